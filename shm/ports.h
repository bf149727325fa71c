/*
 * ports.h: pool -> address -> block -> port, and hold-down. Mechanism only: which pool serves whom is policy.
 *
 * An address's ports are cut into blocks of block_size; those below 1024 are never given out. A block's owner word says
 * which shard and subscriber have it; any shard may claim a free block by one CAS. Inside its blocks the owner alone writes: per
 * protocol a bitmap of ports that are busy (bound, or in hold-down) and a map from port to binding, so two bindings can
 * never share (public address, port, protocol): there is one word for it.
 *
 *     block:  free --CAS--> claimed by (shard, subscriber) --store, when nothing is bound or held--> free, generation + 1
 *     port:   free -> bound (map = binding) -> held (in the shard's hold ring) -> free
 */
#ifndef SN_PORTS_H
#define SN_PORTS_H

#include "base.h"
#include "clock.h"
#include "hash.h"
#include "intent.h"

#define SN_PORT_FIRST 1024u
#define SN_PORT_COUNT 65536u
#define SN_BLOCK_SIZE_MIN 64u
#define SN_BLOCK_SIZE_MAX 4096u

enum sn_address_state { SN_ADDRESS_ABSENT, SN_ADDRESS_ACTIVE, SN_ADDRESS_DRAINING, SN_ADDRESS_COOLING };

struct sn_address {
	uint32_t addr_be32;            /* W: control */
	uint16_t pool;                 /* W: control  index in the policy's pools */
	uint8_t state;                 /* W: control */
	uint8_t pad;
	_Atomic uint32_t claimed;      /* W: any worker  blocks claimed, for choosing an address and for status. Never above
					  the truth; one below it per worker killed inside a claim or return */
	uint32_t reserved;
} SN_ALIGNED(8);

static_assert(sizeof(struct sn_address) == 16, "addresses are in an array");

/* Owner word of a block. */
#define SN_BLOCK_FREE 0ull
struct sn_block_owner {
	uint32_t subscriber;
	uint16_t generation; /* goes up each time the block is claimed */
	uint8_t shard;
	bool claimed;
};

static inline uint64_t sn_block_owner_pack(struct sn_block_owner o)
{
	return (uint64_t)o.subscriber << 32 | (uint64_t)o.generation << 16 | (uint64_t)o.shard << 8 | o.claimed;
}

static inline struct sn_block_owner sn_block_owner_unpack(uint64_t word)
{
	return (struct sn_block_owner){ .subscriber = (uint32_t)(word >> 32),
					.generation = (uint16_t)(word >> 16),
					.shard = (uint8_t)(word >> 8),
					.claimed = word & 1 };
}

/* W: the worker of the shard that has the block. */
struct sn_block {
	uint32_t next;               /* the subscriber's next block, SN_NONE ends */
	uint16_t bound[SN_L4_COUNT]; /* ports bound */
	uint16_t held;               /* ports in hold-down, all protocols */
	uint32_t claimed_ds;
} SN_ALIGNED(8);

static_assert(sizeof(struct sn_block) == 16, "blocks are in an array");

/* One port in hold-down. */
struct sn_hold {
	uint32_t block;
	uint32_t until_ds;
	uint16_t place; /* port within the block */
	uint8_t l4;
	uint8_t pad;
	uint32_t reserved;
} SN_ALIGNED(8);

/*
 * A shard's hold ring, oldest first. W: owner, through the intent. One slot stays empty, so that a change never writes over
 * the slot that it has just freed, and can be undone.
 */
struct sn_hold_ends {
	uint32_t head, tail; /* free running */
	uint64_t forced;     /* ports released early because the ring was full */
};

/* A process's view of all ports, and of one shard's hold ring. */
struct sn_ports {
	struct sn_address *addresses;
	uint32_t *address_slots;      /* open hash from address to index + 1, W: control at start */
	_Atomic uint64_t *owners;     /* per block */
	struct sn_block *blocks;
	uint64_t *busy;               /* per block and protocol: block_size bits */
	uint32_t *map;                /* per block and protocol: block_size binding numbers plus one, 0 where none is bound */
	struct sn_hold_ends *hold_ends;
	struct sn_hold *hold;
	uint32_t address_count;       /* in the array, absent ones included */
	uint32_t address_slot_count;  /* power of two */
	uint32_t block_size;          /* power of two */
	uint32_t block_shift;         /* its exponent, so that no packet divides */
	uint32_t blocks_per_address;  /* 65536 / block_size; those under port 1024 are never claimed */
	uint32_t hold_count;          /* power of two */
};

/* Enters an address into array and hash, active (control, before workers start). index: its place in the array. -ENOSPC, -EEXIST. */
int sn_ports_add_address(struct sn_ports *p, uint32_t index, uint32_t addr_be32, uint16_t pool);

static inline uint32_t sn_ports_address_slot(const struct sn_ports *p, uint32_t addr_be32)
{
	return (uint32_t)(addr_be32 * 0x9e3779b97f4a7c15ull >> 32) & (p->address_slot_count - 1);
}

/* Index of a pool address, SN_NONE if it is none of ours. O(1). */
static inline uint32_t sn_ports_address(const struct sn_ports *p, uint32_t addr_be32)
{
	uint32_t slot = sn_ports_address_slot(p, addr_be32);

	for (uint32_t i = 0; i < p->address_slot_count; i++, slot = (slot + 1) & (p->address_slot_count - 1)) {
		uint32_t index = p->address_slots[slot] - 1;

		if (index == SN_NONE)
			return SN_NONE;
		if (index < p->address_count && p->addresses[index].addr_be32 == addr_be32 &&
		    p->addresses[index].state != SN_ADDRESS_ABSENT)
			return index;
	}
	return SN_NONE;
}

/* The block of a port on an address (port in host order), and back. */
static inline uint32_t sn_ports_block(const struct sn_ports *p, uint32_t address, uint16_t port)
{
	return address * p->blocks_per_address + (port >> p->block_shift);
}

static inline uint16_t sn_ports_first_port(const struct sn_ports *p, uint32_t block)
{
	return (uint16_t)((block & (p->blocks_per_address - 1)) << p->block_shift);
}

static inline uint32_t sn_ports_block_address(const struct sn_ports *p, uint32_t block)
{
	return block >> (16 - p->block_shift);
}

static inline uint32_t sn_ports_block_count(const struct sn_ports *p)
{
	return p->address_count * p->blocks_per_address;
}

/* Where the busy bits and the map words of a block and protocol are. */
static inline uint64_t *sn_ports_busy(const struct sn_ports *p, uint32_t block, enum sn_l4 l4)
{
	return p->busy + ((size_t)block * SN_L4_COUNT + l4) * (p->block_size / 64u);
}

static inline uint32_t *sn_ports_map(const struct sn_ports *p, uint32_t block, enum sn_l4 l4)
{
	return p->map + ((size_t)block * SN_L4_COUNT + l4) * p->block_size;
}

/* Owner of a block; acquire. An out of range block is free. */
static inline struct sn_block_owner sn_ports_owner(const struct sn_ports *p, uint32_t block)
{
	if (block >= sn_ports_block_count(p))
		return (struct sn_block_owner){ 0 };
	return sn_block_owner_unpack(atomic_load_explicit(&p->owners[block], memory_order_acquire));
}

/*
 * The binding that has a public port, SN_NONE if it is free or held; only of a block that this process's worker owns
 * (others may read a word that is being changed; check stops or retries).
 */
static inline uint32_t sn_ports_binding(const struct sn_ports *p, uint32_t block, enum sn_l4 l4, uint16_t place)
{
	if (block >= sn_ports_block_count(p) || l4 >= SN_L4_COUNT || place >= p->block_size)
		return SN_NONE;
	return sn_ports_map(p, block, l4)[place] - 1;
}

/*
 * Claims a free block of an address for a subscriber: the search starts at a place given by start (keyed hash), visits each
 * block of the address once, and takes the first free one by CAS. Inside an open intent. 0 and the block, -ENOSPC if none is free.
 */
int sn_ports_claim(struct sn_ports *p, struct sn_writer *w, uint32_t address, uint64_t start, uint8_t shard,
		   uint32_t subscriber, uint32_t now_ds, uint32_t *ret_block);

/* Counts a claim once it is true. */
void sn_ports_claimed(struct sn_ports *p, uint32_t block);

/*
 * Gives a block back, when the change has become true (intent.h, release). Nothing may be bound or held in it (asserted), and
 * it must be off its subscriber's list. In an intent.
 */
void sn_ports_return(struct sn_ports *p, struct sn_writer *w, uint32_t block);

/*
 * Binds a port of a claimed block: the first one at or after start (modulo block_size, wrapping) that is neither bound
 * nor held. By bitmap: at most block_size / 64 + 1 words are looked at. In an intent. 0 and the place, -ENOSPC.
 */
int sn_ports_bind(struct sn_ports *p, struct sn_writer *w, uint32_t block, enum sn_l4 l4, uint32_t start,
		  uint32_t binding, uint16_t *ret_place);

/* Unbinds a port into hold-down for hold_ds (0: free at once); the oldest held port goes early, counted, if the ring is full. In an intent. */
void sn_ports_unbind(struct sn_ports *p, struct sn_writer *w, uint32_t block, enum sn_l4 l4, uint16_t place,
		     uint32_t now_ds, uint32_t hold_ds);

/* Frees up to max held ports whose time is over; an intent of its own when there is one. Returns how many. */
uint32_t sn_ports_release_held(struct sn_ports *p, struct sn_writer *w, uint32_t now_ds, uint32_t max);

#endif
