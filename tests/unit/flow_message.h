/* flow_message.h: flow messages for tests of what reads them. */
#ifndef SN_TEST_FLOW_MESSAGE_H
#define SN_TEST_FLOW_MESSAGE_H

#include "shardnat.h"

#define ASSURED SHARDNAT__STATUS__STATUS_ASSURED
#define SEEN_REPLY SHARDNAT__STATUS__STATUS_SEEN_REPLY

/* Subscriber 100.64.0.2 port 40000 as 203.0.113.7 port 23456 to 198.51.100.9 port 443. */
static inline Shardnat__Flow flow_message(uint32_t proto)
{
	Shardnat__Flow f = SHARDNAT__FLOW__INIT;

	f.id = 7ull << 32 | 5;
	f.shard = 3;
	f.proto = proto;
	f.inside_address = 0x64400002;
	f.public_address = 0xcb007107;
	f.remote_address = 0xc6336409;
	f.inside_port = 40000;
	f.public_port = 23456;
	f.remote_port = proto == 1 ? 8 << 8 : 443;
	f.realm = (char *)"default";
	f.timeout_ds = 1209;
	f.packets_original = 3;
	f.bytes_original = 180;
	f.packets_reply = 2;
	f.bytes_reply = 120;
	f.block_first_port = 23040;
	f.block_ports = 512;
	f.start_wall_ns = 1700000000000000000ull;
	return f;
}

static inline Shardnat__Event event_message(Shardnat__EventType type, Shardnat__Flow *flow, uint64_t seq)
{
	Shardnat__Event e = SHARDNAT__EVENT__INIT;

	e.type = type;
	e.seq = seq;
	e.wall_ns = 1700000001000002003ull;
	e.flow = flow;
	return e;
}

#define NEW SHARDNAT__EVENT_TYPE__EVENT_NEW
#define UPDATE SHARDNAT__EVENT_TYPE__EVENT_UPDATE
#define DESTROY SHARDNAT__EVENT_TYPE__EVENT_DESTROY

#endif
