/*
 * records.h: bindings and subscribers, the two records beside the flow.
 *
 * Both belong to one shard: W: the owning worker through its intent; R: control's sweep and the API (copy, then compare gen).
 * Alive while gen is odd, like a flow.
 */
#ifndef SN_RECORDS_H
#define SN_RECORDS_H

#include "base.h"

/*
 * A binding: inside (address, port) <-> public (address, port) of one protocol, RFC 4787's mapping. It has no timer: it
 * lives while a flow holds it. Its public address is the block's. Its realm and inside address are the subscriber's.
 *
 * Strangers do not keep it (RFC 4787 REQ-6): once no flow from inside holds it and used_until is over, no flow opens from outside
 * any more, and it goes with the last one.
 */
struct sn_binding {
	_Atomic uint32_t gen;
	uint32_t subscriber;
	uint32_t block;
	uint32_t flows;            /* that hold it, those from outside included */
	uint16_t inside_port_be16; /* ICMP: identifier */
	uint16_t public_port_be16;
	uint16_t outside_flows;    /* of flows: opened from outside */
	uint8_t proto;
	uint8_t used_until;        /* outbound packets of flows that are gone, or were opened from outside: sn_binding_time() */
} SN_ALIGNED(8);

static_assert(sizeof(struct sn_binding) == 24, "bindings are many");

#define SN_BINDING_UNIT_DS 256
#define SN_BINDING_MOST_DS 32000

/* A time at most SN_BINDING_MOST_DS away, rounded up to 25.6 s, in a byte that goes round. */
static inline uint8_t sn_binding_time(uint32_t ds)
{
	return (uint8_t)((ds + SN_BINDING_UNIT_DS - 1) / SN_BINDING_UNIT_DS);
}

static inline bool sn_binding_in_use(const struct sn_binding *b, uint32_t now_ds)
{
	return (int8_t)(b->used_until - now_ds / SN_BINDING_UNIT_DS) > 0;
}

struct sn_subscriber {
	_Atomic uint32_t gen;
	uint32_t inside_be32;
	uint32_t flows;               /* opened from inside */
	uint32_t address;             /* paired pool address (index), SN_NONE until the first block */
	uint32_t first_block;         /* list through sn_block.next, SN_NONE ends; the newest is first */
	uint16_t blocks;              /* in that list */
	uint16_t pool;                /* that address and blocks are from */
	uint32_t ports[SN_L4_COUNT];  /* bindings, by protocol */
	uint8_t realm;
	uint8_t shard;
	uint16_t rate_tokens;         /* new flows it may open now (policy.h limits.flow_rate) */
	uint32_t rate_ds;             /* when rate_tokens was last filled */
	uint32_t refused;             /* packets refused for a quota or for want of a port, for status */
	uint32_t reserved[3];
} SN_ALIGNED(SN_CACHE_LINE);

static_assert(sizeof(struct sn_subscriber) == 64, "one line per subscriber");

#endif
