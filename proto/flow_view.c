/*
 * flow_view.c: reading flow messages: tuples, filters, names (client/shardnat.h, last part). Pure functions over
 * messages that may come from anywhere. Callers: clients, and the API process for its filters.
 */
#include "client/shardnat.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17

/* ICMP queries: 8 -> 0, 13 -> 14, 15 -> 16, 17 -> 18. */
static uint8_t icmp_reply(uint8_t type)
{
	return type == 8 ? 0 : (uint8_t)(type + 1);
}

static struct shardnat_tuple icmp_tuple(const Shardnat__Flow *f, bool reply, struct shardnat_tuple t)
{
	uint8_t type = (uint8_t)(f->remote_port >> 8);

	t.icmp_id = (uint16_t)(reply != f->from_outside ? f->public_port : f->inside_port);
	t.icmp_type = reply ? icmp_reply(type) : type;
	t.icmp_code = (uint8_t)f->remote_port;
	t.src_port = t.dst_port = 0;
	return t;
}

/*
 * On the way out a packet goes inside -> remote; on the way in remote -> public before, and remote -> inside
 * after translation.
 */
struct shardnat_tuple shardnat_flow_tuple(const Shardnat__Flow *f, bool reply)
{
	struct shardnat_tuple t = { .proto = (uint8_t)f->proto };

	if (reply == f->from_outside) {
		t.src = f->inside_address;
		t.src_port = (uint16_t)f->inside_port;
		t.dst = f->remote_address;
		t.dst_port = (uint16_t)f->remote_port;
	} else {
		t.src = f->remote_address;
		t.src_port = (uint16_t)f->remote_port;
		t.dst = f->public_address;
		t.dst_port = (uint16_t)f->public_port;
	}
	return f->proto == PROTO_ICMP ? icmp_tuple(f, reply, t) : t;
}

/* One criterion: true if it is not asked for, or holds. */
static bool holds(const Shardnat__FlowFilter *f, uint32_t match, bool is)
{
	return !(f->match & match) || is;
}

static bool match_addresses(const Shardnat__FlowFilter *f, const struct shardnat_tuple *o,
			    const struct shardnat_tuple *r)
{
	return holds(f, SHARDNAT__MATCH__MATCH_SRC, !((o->src ^ f->src) & f->src_mask)) &&
	       holds(f, SHARDNAT__MATCH__MATCH_DST, !((o->dst ^ f->dst) & f->dst_mask)) &&
	       holds(f, SHARDNAT__MATCH__MATCH_REPLY_SRC, !((r->src ^ f->reply_src) & f->reply_src_mask)) &&
	       holds(f, SHARDNAT__MATCH__MATCH_REPLY_DST, !((r->dst ^ f->reply_dst) & f->reply_dst_mask));
}

static bool match_ports(const Shardnat__FlowFilter *f, const struct shardnat_tuple *o, const struct shardnat_tuple *r)
{
	return holds(f, SHARDNAT__MATCH__MATCH_SPORT, o->src_port == f->sport) &&
	       holds(f, SHARDNAT__MATCH__MATCH_DPORT, o->dst_port == f->dport) &&
	       holds(f, SHARDNAT__MATCH__MATCH_REPLY_SPORT, r->src_port == f->reply_sport) &&
	       holds(f, SHARDNAT__MATCH__MATCH_REPLY_DPORT, r->dst_port == f->reply_dport) &&
	       holds(f, SHARDNAT__MATCH__MATCH_ICMP_TYPE, o->icmp_type == f->icmp_type) &&
	       holds(f, SHARDNAT__MATCH__MATCH_ICMP_CODE, o->icmp_code == f->icmp_code) &&
	       holds(f, SHARDNAT__MATCH__MATCH_ICMP_ID, o->icmp_id == f->icmp_id);
}

static bool is_translated(const Shardnat__Flow *flow)
{
	return flow->inside_address != flow->public_address || flow->inside_port != flow->public_port;
}

/* 0 stands for any. */
static bool is_end(uint32_t address, uint32_t port, uint32_t wanted, uint32_t wanted_port)
{
	return (!wanted || address == wanted) && (!wanted_port || port == wanted_port);
}

static bool match_nat(const Shardnat__FlowFilter *f, const Shardnat__Flow *flow)
{
	bool src = !flow->from_outside && is_translated(flow) &&
		   is_end(flow->public_address, flow->public_port, f->src_nat, f->src_nat_port);
	bool dst = flow->from_outside && is_translated(flow) &&
		   is_end(flow->inside_address, flow->inside_port, f->dst_nat, f->dst_nat_port);

	return holds(f, SHARDNAT__MATCH__MATCH_SRC_NAT, src) && holds(f, SHARDNAT__MATCH__MATCH_DST_NAT, dst) &&
	       holds(f, SHARDNAT__MATCH__MATCH_ANY_NAT, src || dst);
}

bool shardnat_filter_match(const Shardnat__FlowFilter *f, const Shardnat__Flow *flow)
{
	struct shardnat_tuple o, r;

	if (!f || !f->match)
		return true;
	if (!holds(f, SHARDNAT__MATCH__MATCH_PROTO, flow->proto == f->proto) ||
	    !holds(f, SHARDNAT__MATCH__MATCH_STATE, flow->state == f->state) ||
	    !holds(f, SHARDNAT__MATCH__MATCH_STATUS, (flow->status & f->status) == f->status) ||
	    !holds(f, SHARDNAT__MATCH__MATCH_UNREPLIED, !(flow->status & SHARDNAT__STATUS__STATUS_SEEN_REPLY)) ||
	    !holds(f, SHARDNAT__MATCH__MATCH_SUBSCRIBER, flow->inside_address == f->subscriber) ||
	    (f->match & SHARDNAT__MATCH__MATCH_NOTHING) || !match_nat(f, flow))
		return false;
	o = shardnat_flow_tuple(flow, false);
	r = shardnat_flow_tuple(flow, true);
	return match_addresses(f, &o, &r) && match_ports(f, &o, &r);
}

/* Names are those of the .proto, without their prefix. */
const char *shardnat_state_name(uint32_t state)
{
	const ProtobufCEnumValue *v =
		protobuf_c_enum_descriptor_get_value(&shardnat__tcp_state__descriptor, (int)state);

	return v ? v->name + strlen("TCP_") : NULL;
}

int shardnat_state_number(const char *name)
{
	for (int state = 0; shardnat_state_name((uint32_t)state); state++)
		if (!strcasecmp(name, shardnat_state_name((uint32_t)state)))
			return state;
	return strcasecmp(name, "LISTEN") ? -1 : SHARDNAT__TCP_STATE__TCP_SYN_SENT2;
}

static const struct {
	int number;
	const char *name;
} protos[] = { { PROTO_TCP, "tcp" }, { PROTO_UDP, "udp" }, { PROTO_ICMP, "icmp" } };

const char *shardnat_proto_name(uint32_t proto)
{
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if ((uint32_t)protos[i].number == proto)
			return protos[i].name;
	return NULL;
}

int shardnat_proto_number(const char *name)
{
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (!strcasecmp(name, protos[i].name) || (isdigit((unsigned char)*name) && atoi(name) == protos[i].number))
			return protos[i].number;
	return -1;
}

const char *shardnat_reason_name(uint32_t reason)
{
	static const char *const names[] = { "", "expired", "reset", "reopened", "command", "withdrawn" };

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : NULL;
}
