/*
 * intent.h: one change of a shard is whole or has not happened, whenever its worker is killed.
 *
 * Each shard has one intent slot. A change of several steps (open, close, block claim) begins it, and then makes each of
 * its stores through sn_intent_put*(), which notes the old value in the slot before it stores the new one. The change
 * becomes true at one store, the commit: the head of the event or audit ring taking its next value, or, for a change without a
 * record, the slot being cleared. A successor that finds the slot in use either sees that the record is out, and clears the
 * slot (forward), or puts the noted values back in reverse order (back). It is O(what one change touches), never O(flows),
 * and a change and its event are never apart.
 *
 *     begin -> put, put, claim ... -> record's body -> ring head = commit_value (true from here) -> clear
 *
 * Words that other processes may also take by CAS (block and chunk owners) are claimed with sn_intent_claim64(): the
 * roll-back gives the word back only if it still holds what this change put there. They are given away with
 * sn_intent_release64(), which only takes effect when the change has become true: a word that another process may have
 * taken meanwhile could not be rolled back.
 *
 * Fresh records need no note: they are filled while dead, and only the store of gen that brings them alive goes through put.
 *
 * W: the worker that owns the shard; its successor after the owner has been reaped.
 */
#ifndef SN_INTENT_H
#define SN_INTENT_H

#include "base.h"

enum sn_intent_op {
	SN_INTENT_NONE,
	SN_INTENT_SUBSCRIBE, /* a subscriber comes; record: its number */
	SN_INTENT_LEAVE,     /* a subscriber without flows and blocks goes */
	SN_INTENT_CLAIM,     /* a block for a subscriber; record: block */
	SN_INTENT_RETURN,    /* a block back to the pool; record: block */
	SN_INTENT_OPEN,      /* a flow, with its binding where that is new; record: flow */
	SN_INTENT_CLOSE,     /* a flow, with its binding where it was the last; record: flow */
	SN_INTENT_HOLD,      /* ports out of hold-down; record: how many */
};

#define SN_INTENT_NOTES 96

/* Set in op while what the change gives away is given: it has become true, whatever the commit word says. */
#define SN_INTENT_DONE 0x100u

/* Top byte of a note's where, beside the widths 1, 2, 4 and 8. */
#define SN_INTENT_CLAIMED 0x80u
#define SN_INTENT_RELEASED 0x40u

struct sn_intent_note {
	uint64_t where; /* offset in the region; the top byte is the width in bytes, SN_INTENT_CLAIMED or SN_INTENT_RELEASED */
	uint64_t old;   /* before the change */
	uint64_t put;   /* claimed and released words only: what this change stored or will store */
};

struct sn_intent {
	_Atomic uint32_t op;    /* enum sn_intent_op, SN_INTENT_DONE */
	_Atomic uint32_t notes;
	uint32_t record;        /* flow, block or chunk index, for people */
	uint32_t gen;           /* of the record before the change, for people */
	uint64_t commit_where;  /* like a note's: the word that makes the change true, 0: clearing the slot does */
	uint64_t commit_value;  /* what it holds then */
	uint64_t changes;       /* begun in this slot, ever; R: check, to see whether a shard stood still */
	uint64_t reserved[2];
	struct sn_intent_note note[SN_INTENT_NOTES];
};

/* The slot together with where the region is mapped here: what all writers of a shard's memory take. */
struct sn_writer {
	uint8_t *base;          /* of the region, to turn addresses into offsets */
	size_t size_b;
	struct sn_intent *intent;
	uint32_t released;      /* words that the open change gives away; private */
};

/*
 * Starts a change that clearing the slot makes true. The slot must be free (asserted). record and gen may be set later in
 * w->intent, they are for people.
 */
void sn_intent_begin(struct sn_writer *w, enum sn_intent_op op, uint32_t record, uint32_t gen);

/* Names the word whose taking this value will make the change true, before it does; aligned, in the region. */
void sn_intent_commit_at32(struct sn_writer *w, const _Atomic uint32_t *where, uint32_t value);
void sn_intent_commit_at64(struct sn_writer *w, const _Atomic uint64_t *where, uint64_t value);

/*
 * Ends it: released words are given away, and the slot is free again. Call it after the commit word was stored, or as the
 * commit if there is none.
 */
void sn_intent_clear(struct sn_writer *w);

/* Gives the change up: every note is put back, in reverse, and the slot is free. For a change that cannot be completed. */
void sn_intent_undo(struct sn_writer *w);

/* Whether a change is under way. */
static inline bool sn_intent_open(const struct sn_writer *w)
{
	return atomic_load_explicit(&w->intent->op, memory_order_relaxed) != SN_INTENT_NONE;
}

/*
 * One note: where is the width of the word, or one of the kinds above. The note is whole before it counts, and it counts before anything
 * after it is stored. Private to the functions here and to intent.c.
 */
static inline struct sn_intent_note *sn_intent_note(struct sn_writer *w, const void *at, uint32_t kind, uint32_t width_b,
						    uint64_t old)
{
	struct sn_intent *in = w->intent;
	uint32_t n = atomic_load_explicit(&in->notes, memory_order_relaxed);
	size_t offset_b = (size_t)((const uint8_t *)at - w->base);

	SN_ASSERT(offset_b < w->size_b && offset_b % width_b == 0 && n < SN_INTENT_NOTES && sn_intent_open(w));
	in->note[n].where = (uint64_t)kind << 56 | offset_b;
	in->note[n].old = old;
	atomic_store_explicit(&in->notes, n + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	return &in->note[n];
}

/* Notes the old value, then stores. Needs an open change; more than SN_INTENT_NOTES stores is a bug (asserted). */
static inline void sn_intent_put16(struct sn_writer *w, uint16_t *where, uint16_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), *where);
	__atomic_store_n(where, value, __ATOMIC_RELAXED);
}

static inline void sn_intent_put32(struct sn_writer *w, uint32_t *where, uint32_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), *where);
	__atomic_store_n(where, value, __ATOMIC_RELAXED);
}

static inline void sn_intent_put64(struct sn_writer *w, uint64_t *where, uint64_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), *where);
	__atomic_store_n(where, value, __ATOMIC_RELAXED);
}

void sn_intent_put8(struct sn_writer *w, uint8_t *where, uint8_t value);

/* The same for words that other processes read: the store has release order. */
static inline void sn_intent_put32_release(struct sn_writer *w, _Atomic uint32_t *where, uint32_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), atomic_load_explicit(where, memory_order_relaxed));
	atomic_store_explicit(where, value, memory_order_release);
}

static inline void sn_intent_put64_release(struct sn_writer *w, _Atomic uint64_t *where, uint64_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), atomic_load_explicit(where, memory_order_relaxed));
	atomic_store_explicit(where, value, memory_order_release);
}

/* Notes, then compares and swaps. False, and nothing noted, if the word was not as expected. value must be unique to this change. */
bool sn_intent_claim64(struct sn_writer *w, _Atomic uint64_t *where, uint64_t expected, uint64_t value);

/*
 * Gives a 64-bit word away once the change is true: sn_intent_clear() (or the successor) swaps expected for value; until then the word
 * stays as it is, also for this process. expected must be a value that the word never takes again.
 */
void sn_intent_release64(struct sn_writer *w, _Atomic uint64_t *where, uint64_t expected, uint64_t value);

/*
 * The successor's first act on a shard: finishes or undoes what the slot describes.
 * Returns 1 rolled forward, -1 rolled back, 0 nothing was under way, -EBADMSG the slot is corrupt (a note points outside the
 * region or has no width): then the slot is cleared and the caller rebuilds the shard's indexes from its records.
 */
int sn_intent_recover(struct sn_writer *w);

#endif
