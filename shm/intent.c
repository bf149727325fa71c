/*
 * intent.c: notes of old values, and what a successor does with them.
 *
 * A process is killed between two instructions, and what it stored before is then in memory. So it is the compiler's order
 * that counts: the note, then the number of notes, then the store (and all of that before the commit word, and that before op).
 * Going back lowers the number of notes note by note, so that being killed while going back repeats one step at most: a word
 * that has been given back to others is never touched again.
 */
#include "intent.h"

#include <errno.h>

#define WHERE_KIND(where) ((uint32_t)((where) >> 56))
#define WHERE_OFFSET(where) ((where) & 0x00ffffffffffffffull)

static uint64_t where_of(const struct sn_writer *w, const void *at, uint32_t width_b)
{
	size_t offset_b = (size_t)((const uint8_t *)at - w->base);

	SN_ASSERT(offset_b < w->size_b && w->size_b - offset_b >= width_b && offset_b % width_b == 0);
	return (uint64_t)width_b << 56 | offset_b;
}

static uint32_t notes_of(const struct sn_intent *in)
{
	return atomic_load_explicit(&in->notes, memory_order_relaxed);
}

static void set_notes(struct sn_intent *in, uint32_t notes)
{
	atomic_store_explicit(&in->notes, notes, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static void set_op(struct sn_intent *in, uint32_t op)
{
	atomic_store_explicit(&in->op, op, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

void sn_intent_begin(struct sn_writer *w, enum sn_intent_op op, uint32_t record, uint32_t gen)
{
	struct sn_intent *in = w->intent;

	SN_ASSERT(!sn_intent_open(w) && op != SN_INTENT_NONE);
	in->record = record;
	in->gen = gen;
	w->released = 0;
	in->commit_where = 0;
	in->commit_value = 0;
	set_notes(in, 0);
	__atomic_store_n(&in->changes, in->changes + 1, __ATOMIC_RELAXED);
	set_op(in, op);
	atomic_thread_fence(memory_order_release); /* who sees a store of the change sees that it was begun (check.c) */
}

static void commit_at(struct sn_writer *w, const void *where, uint32_t width_b, uint64_t value)
{
	struct sn_intent *in = w->intent;

	SN_ASSERT(sn_intent_open(w) && in->commit_where == 0);
	in->commit_value = value;
	atomic_signal_fence(memory_order_seq_cst);
	__atomic_store_n(&in->commit_where, where_of(w, where, width_b), __ATOMIC_RELEASE);
	atomic_signal_fence(memory_order_seq_cst);
}

void sn_intent_commit_at32(struct sn_writer *w, const _Atomic uint32_t *where, uint32_t value)
{
	SN_ASSERT(atomic_load_explicit(where, memory_order_relaxed) != value);
	commit_at(w, where, sizeof(*where), value);
}

void sn_intent_commit_at64(struct sn_writer *w, const _Atomic uint64_t *where, uint64_t value)
{
	SN_ASSERT(atomic_load_explicit(where, memory_order_relaxed) != value);
	commit_at(w, where, sizeof(*where), value);
}

/* --- stores --- */

void sn_intent_put8(struct sn_writer *w, uint8_t *where, uint8_t value)
{
	sn_intent_note(w, where, sizeof(*where), sizeof(*where), *where);
	__atomic_store_n(where, value, __ATOMIC_RELAXED);
}

/* The value to put is there before the note counts. */
static void note_swap(struct sn_writer *w, const _Atomic uint64_t *where, uint32_t kind, uint64_t old, uint64_t put)
{
	w->intent->note[SN_MIN(notes_of(w->intent), SN_INTENT_NOTES - 1u)].put = put;
	atomic_signal_fence(memory_order_seq_cst);
	sn_intent_note(w, where, kind, sizeof(*where), old);
}

bool sn_intent_claim64(struct sn_writer *w, _Atomic uint64_t *where, uint64_t expected, uint64_t value)
{
	uint32_t before = notes_of(w->intent);

	note_swap(w, where, SN_INTENT_CLAIMED, expected, value);
	if (atomic_compare_exchange_strong_explicit(where, &expected, value, memory_order_acq_rel,
						    memory_order_relaxed))
		return true;
	set_notes(w->intent, before);
	return false;
}

void sn_intent_release64(struct sn_writer *w, _Atomic uint64_t *where, uint64_t expected, uint64_t value)
{
	note_swap(w, where, SN_INTENT_RELEASED, expected, value);
	w->released++;
}

/* --- forward and back --- */

static void swap64(uint8_t *at, uint64_t expected, uint64_t value)
{
	__atomic_compare_exchange_n((uint64_t *)(void *)at, &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void put_back(struct sn_writer *w, const struct sn_intent_note *note)
{
	uint8_t *at = w->base + WHERE_OFFSET(note->where);

	switch (WHERE_KIND(note->where)) {
	case 1:
		__atomic_store_n(at, (uint8_t)note->old, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)(void *)at, (uint16_t)note->old, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)(void *)at, (uint32_t)note->old, __ATOMIC_RELEASE);
		break;
	case 8:
		__atomic_store_n((uint64_t *)(void *)at, note->old, __ATOMIC_RELEASE);
		break;
	case SN_INTENT_CLAIMED:
		swap64(at, note->put, note->old);
		break;
	}
}

static void go_back(struct sn_writer *w)
{
	struct sn_intent *in = w->intent;

	for (uint32_t n = notes_of(in); n > 0; n--) {
		put_back(w, &in->note[n - 1]);
		set_notes(in, n - 1);
	}
	set_op(in, SN_INTENT_NONE);
}

/* What is given away is given by swap, so doing it again after a kill does nothing. */
static void go_forward(struct sn_writer *w)
{
	struct sn_intent *in = w->intent;
	uint32_t notes = notes_of(in);

	for (uint32_t n = 0; n < notes; n++) {
		const struct sn_intent_note *note = &in->note[n];

		if (WHERE_KIND(note->where) != SN_INTENT_RELEASED)
			continue;
		if (!(atomic_load_explicit(&in->op, memory_order_relaxed) & SN_INTENT_DONE))
			set_op(in, atomic_load_explicit(&in->op, memory_order_relaxed) | SN_INTENT_DONE);
		swap64(w->base + WHERE_OFFSET(note->where), note->old, note->put);
	}
	set_op(in, SN_INTENT_NONE);
}

static bool committed(const struct sn_writer *w)
{
	const struct sn_intent *in = w->intent;
	const uint8_t *at = w->base + WHERE_OFFSET(in->commit_where);

	if (atomic_load_explicit(&in->op, memory_order_relaxed) & SN_INTENT_DONE)
		return true;
	switch (WHERE_KIND(in->commit_where)) {
	case 4:
		return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE) == in->commit_value;
	case 8:
		return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE) == in->commit_value;
	}
	return false;
}

void sn_intent_clear(struct sn_writer *w)
{
	SN_ASSERT(sn_intent_open(w));
	if (w->released)
		go_forward(w);
	else
		set_op(w->intent, SN_INTENT_NONE);
}

void sn_intent_undo(struct sn_writer *w)
{
	SN_ASSERT(sn_intent_open(w) && !committed(w));
	go_back(w);
}

/* --- the successor --- */

static bool where_is_good(const struct sn_writer *w, uint64_t where)
{
	uint32_t kind = WHERE_KIND(where);
	uint32_t width_b = kind == SN_INTENT_CLAIMED || kind == SN_INTENT_RELEASED ? 8 : kind;
	uint64_t offset_b = WHERE_OFFSET(where);

	if (width_b != 1 && width_b != 2 && width_b != 4 && width_b != 8)
		return false;
	return offset_b < w->size_b && w->size_b - offset_b >= width_b && offset_b % width_b == 0;
}

static bool intent_is_good(const struct sn_writer *w)
{
	const struct sn_intent *in = w->intent;
	uint32_t op = atomic_load_explicit(&in->op, memory_order_relaxed) & ~SN_INTENT_DONE;
	uint32_t notes = notes_of(in);

	if (op == SN_INTENT_NONE || op > SN_INTENT_HOLD || notes > SN_INTENT_NOTES)
		return false;
	if (in->commit_where != 0 && (!where_is_good(w, in->commit_where) || WHERE_KIND(in->commit_where) < 4 ||
				      WHERE_KIND(in->commit_where) > 8))
		return false;
	for (uint32_t n = 0; n < notes; n++)
		if (!where_is_good(w, in->note[n].where))
			return false;
	return true;
}

int sn_intent_recover(struct sn_writer *w)
{
	if (!sn_intent_open(w))
		return 0;
	if (!intent_is_good(w)) {
		set_op(w->intent, SN_INTENT_NONE);
		return -EBADMSG;
	}
	if (committed(w)) {
		go_forward(w);
		return 1;
	}
	go_back(w);
	return -1;
}
