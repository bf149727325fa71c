/*
 * region.h: the shared region: what is where, how it is made, joined and left.
 *
 * One region per instance. No pointers in it: sections are found by offsets from the header, records by u32 indices. It may
 * be mapped at any address. Magic is stored last; a join that does not match in magic, ABI, layout or size is refused.
 *
 *   header | process table | shard owners | policy | routing | worker stats | commands, requests, hand-off rings |
 *   shards (state, intent, indexes, event ring, audit ring, hold ring) | chunks | flows | bindings | subscribers | ports
 */
#ifndef SN_REGION_H
#define SN_REGION_H

#include "audit.h"
#include "base.h"
#include "clock.h"
#include "event.h"
#include "flow.h"
#include "hash.h"
#include "index.h"
#include "policy.h"
#include "ports.h"
#include "process.h"
#include "records.h"
#include "ring.h"
#include "route.h"
#include "slab.h"

#define SN_MAGIC 0x74616e6472616873ull /* "shardnat" */
#define SN_ABI_MAJOR 1
#define SN_ABI_MINOR 1

/* Everything that decides sizes; fixed when the region is made. */
struct sn_geometry {
	uint32_t shards;           /* power of two, 1..256 */
	uint32_t workers;          /* 1..64 */
	uint32_t flows;            /* at least; rounded up to whole chunks. Bindings: as many */
	uint32_t subscribers;      /* at least, likewise */
	uint32_t addresses;        /* pool addresses */
	uint32_t block_size;       /* power of two, 64..4096 */
	uint32_t events;           /* slots of a shard's event ring, power of two */
	uint32_t held_ports;       /* slots of a shard's hold ring, power of two */
	uint32_t commands;         /* slots of a worker's command ring, power of two */
	uint32_t handoff;          /* slots of a hand-off ring, power of two */
	uint32_t audits;           /* slots of a shard's audit ring, power of two */
	uint32_t reserved;
};

enum sn_backing { SN_BACKING_MEMORY, SN_BACKING_HUGETLB, SN_BACKING_TMPFS };

enum sn_section {
	SN_SEC_PROCESSES, SN_SEC_OWNERS, SN_SEC_POLICY, SN_SEC_ROUTING, SN_SEC_STATS,
	SN_SEC_COMMANDS, SN_SEC_REQUESTS, SN_SEC_HANDOFF, SN_SEC_SHARDS, SN_SEC_INTENTS, SN_SEC_FLOW_INDEX,
	SN_SEC_BINDING_INDEX, SN_SEC_SUBSCRIBER_INDEX, SN_SEC_EVENTS, SN_SEC_AUDITS, SN_SEC_HOLDS,
	SN_SEC_FLOW_CHUNKS, SN_SEC_BINDING_CHUNKS, SN_SEC_SUBSCRIBER_CHUNKS, SN_SEC_FLOWS, SN_SEC_BINDINGS,
	SN_SEC_SUBSCRIBERS, SN_SEC_ADDRESSES, SN_SEC_ADDRESS_SLOTS, SN_SEC_BLOCK_OWNERS, SN_SEC_BLOCKS,
	SN_SEC_PORT_BUSY, SN_SEC_PORT_MAP,
	SN_SEC_COUNT
};

struct sn_header {
	_Atomic uint64_t magic;       /* stored last, release */
	uint32_t abi_major, abi_minor;
	uint64_t layout_hash;         /* of sizes and offsets of every structure */
	uint64_t size_b;              /* of the whole region */
	uint64_t boot_id[2];          /* /proc/sys/kernel/random/boot_id: a region of another boot is cold */
	uint64_t generation;          /* supervisors that have had it */
	uint64_t created_wall_ns;
	struct sn_geometry geometry;
	struct sn_hash_key key;
	struct sn_clock clock;
	uint32_t backing;             /* enum sn_backing */
	uint32_t hugepages_added;     /* by us to nr_hugepages; given back at the end */
	char instance[SN_NAME_B];
	_Atomic uint32_t flow_chunks_free, binding_chunks_free, subscriber_chunks_free;
	uint32_t pad;
	uint64_t config_hash;         /* of the settings that shape sockets and sizes */
	uint64_t section[SN_SEC_COUNT]; /* offsets */
};

/* What the first fragment of a datagram told about the later ones. Ports as in struct sn_flow. */
struct sn_told {
	uint16_t src_port_be16, dst_port_be16;
	uint8_t icmp_type, icmp_code;
	uint16_t id_be16;  /* the identification that it leaves with from inside */
	uint32_t tcp_base; /* sequence number of the datagram's first byte: where the TCP header begins */
};

/* One hand-off slot: a frame of the receiver's UMEM, which the sender fills in place (worker/handoff.h). */
struct sn_handoff {
	_Atomic uint32_t len_b; /* 0: nothing to do */
	_Atomic uint32_t frame; /* number in the receiver's UMEM + 1; 0: none yet. W: receiver, while the slot is its own */
	uint16_t interface;     /* that it came from, index in the policy */
	uint16_t flags;         /* SN_HANDOFF_* */
	uint32_t offset_b;      /* of the packet in the frame */
	struct sn_told told;    /* with SN_HANDOFF_TOLD */
	uint32_t pad;
};

#define SN_HANDOFF_HAIRPIN 1 /* translated outwards by the sender's shard: treat as from outside, TTL is lowered already */
#define SN_HANDOFF_TOLD 2    /* a fragment whose datagram's ports are known */

/* The state of one shard beside its tables. W: owner. R: API, control, check. */
struct sn_shard_state {
	struct sn_slab_lease flows, bindings, subscribers;
	struct sn_hold_ends hold;
	uint64_t audit_seq;
	uint64_t opened, closed, refused;
	uint64_t rebuilding;       /* 1 while sn_shard_rebuild() is at work: a successor starts it again */
	uint64_t rule_hits[SN_RULES_MAX];
} SN_ALIGNED(SN_CACHE_LINE);

/* A process's view of the region. Pointers are ours alone. */
struct sn_region {
	uint8_t *base;
	size_t size_b;
	bool writable;
	struct sn_header *hdr;
	struct sn_geometry geo;           /* own copy, checked at join */
	uint64_t section[SN_SEC_COUNT];   /* likewise: offsets */
	struct sn_process *processes;
	_Atomic uint64_t *owners;         /* per shard: struct sn_shard_owner, packed */
	struct sn_policy_box *policy;
	struct sn_routing *routing;
	struct sn_worker_stats *stats;
	struct sn_shard_state *shards;
	struct sn_flow *flows;
	struct sn_binding *bindings;
	struct sn_subscriber *subscribers;
	struct sn_chunk *flow_chunks, *binding_chunks, *subscriber_chunks;
	uint32_t flow_count, binding_count, subscriber_count; /* records, whole chunks */
	uint32_t flow_chunk_records, binding_chunk_records, subscriber_chunk_records;
	uint32_t flow_buckets, binding_buckets, subscriber_buckets; /* of one shard's index */
};

/* Bytes that a region of this geometry needs; 0 if the geometry is not possible. */
size_t sn_region_footprint(const struct sn_geometry *geo);

/* What a region of this geometry costs, by section (offset of the next minus its own), for status and bench. */
size_t sn_region_section_b(const struct sn_region *r, enum sn_section s);

/*
 * Formats size_b bytes of zeroed memory (fresh pages of a file are) as a region with a random key. progress may be NULL.
 * 0, -EINVAL (geometry), -ENOMEM (size_b too small).
 */
int sn_region_format(void *mem, size_t size_b, const struct sn_geometry *geo, const char *instance);

enum sn_join_error {
	SN_JOIN_GARBAGE = 1, /* no magic: not a region, or one that was never finished */
	SN_JOIN_ABI,         /* another ABI version or layout */
	SN_JOIN_SIZE,        /* header and file disagree */
};

/* Joins formatted memory. 0 or an enum sn_join_error; ret is untouched then. Every offset is range-checked. */
int sn_region_join(void *mem, size_t size_b, bool writable, struct sn_region *ret);

/* What is wrong, for an operator. */
const char *sn_join_error_text(int error);

/* Rings. worker, from, to: numbers below geo.workers. */
struct sn_ring sn_region_commands(const struct sn_region *r, uint32_t worker);
struct sn_ring sn_region_requests(const struct sn_region *r, uint32_t worker);
struct sn_ring sn_region_handoff(const struct sn_region *r, uint32_t from, uint32_t to);
struct sn_ring sn_region_audits(const struct sn_region *r, uint32_t shard);
struct sn_event_ring sn_region_events(const struct sn_region *r, uint32_t shard);

/* A shard's intent slot. */
struct sn_intent *sn_region_intent(const struct sn_region *r, uint32_t shard);

/* A shard's indexes and its part of the slabs. s: the section of the index, or of the chunks. */
struct sn_index sn_region_index(const struct sn_region *r, enum sn_section s, uint32_t shard);
struct sn_slab sn_region_slab(const struct sn_region *r, enum sn_section s, uint32_t shard);

/* Ports as all see them; shard SN_NONE: without a hold ring. */
struct sn_ports sn_region_ports(const struct sn_region *r, uint32_t shard);

/* Owner of a shard, now. */
static inline struct sn_shard_owner sn_region_owner(const struct sn_region *r, uint32_t shard)
{
	return sn_shard_owner_unpack(atomic_load_explicit(&r->owners[shard], memory_order_acquire));
}

/* Consistent copy of a live record: false if it is dead, out of range or was changing at each of a few tries. */
bool sn_region_read_flow(const struct sn_region *r, uint32_t number, struct sn_flow *ret);
bool sn_region_read_binding(const struct sn_region *r, uint32_t number, struct sn_binding *ret);
bool sn_region_read_subscriber(const struct sn_region *r, uint32_t number, struct sn_subscriber *ret);

#endif
