/*
 * fragments.h: what is known about the datagrams that come in fragments, and which fragments wait for their first one.
 *
 * Nothing is joined: the first fragment, which has the ports, is told to the table, and later ones go by what it told. A later one
 * that comes too early is held for two seconds at most. A datagram is named by a 64-bit keyed hash of (side, realm, source,
 * destination, id, protocol), which nobody outside can aim at. Memory is fixed, and a flood of fragments harms only fragments:
 * the oldest datagram of a full bucket is forgotten, and the fragment that was held longest makes way for a new one.
 *
 * For the worker that has the datagram's hash; private to it. Bytes and packets are the caller's: it keeps what it holds by place.
 */
#ifndef SN_FRAGMENTS_H
#define SN_FRAGMENTS_H

#include "base.h"
#include "region.h"

#define SN_FRAGMENT_BUCKETS 512 /* powers of two */
#define SN_FRAGMENT_WAYS 8
#define SN_FRAGMENTS_HELD 256
#define SN_FRAGMENT_LIFE_DS 300
#define SN_FRAGMENT_HELD_DS 20

struct sn_datagram {
	uint64_t name;       /* 0: none */
	uint32_t until_ds;
	struct sn_told told;
};

struct sn_held {
	uint64_t name;       /* 0: the place is empty */
	uint32_t until_ds;
	bool released;       /* its first fragment has come */
};

/* Zeroed memory is an empty table. */
struct sn_fragments {
	struct sn_datagram datagrams[SN_FRAGMENT_BUCKETS][SN_FRAGMENT_WAYS];
	struct sn_held held[SN_FRAGMENTS_HELD]; /* a ring: next_held is the one held longest, or empty */
	uint32_t next_held, held_count, released_count;
};

/* What the first fragment of the datagram told, NULL if it has not come. Good until the next call. */
const struct sn_told *sn_fragments_told(const struct sn_fragments *t, uint64_t name, uint32_t now_ds);

/*
 * The first fragment came: told is remembered, and what was held for it is released. A repetition of one that told the same
 * ports keeps the identification that was given then. Returns what the table knows now.
 */
const struct sn_told *sn_fragments_tell(struct sn_fragments *t, uint64_t name, const struct sn_told *told, uint32_t now_ds);

/* Holds a later fragment: its place. *ret_pushed: whether another one that was there must be dropped. */
uint32_t sn_fragments_hold(struct sn_fragments *t, uint64_t name, uint32_t now_ds, bool *ret_pushed);

/* Takes out a fragment whose first one has come, and one whose time is over: its place, SN_NONE if there is none. */
uint32_t sn_fragments_release(struct sn_fragments *t);
uint32_t sn_fragments_expire(struct sn_fragments *t, uint32_t now_ds);

#endif
