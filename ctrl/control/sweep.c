/* sweep.c: the reader behind ageing. Caller: control's loop, test_sweep, bench. */
#include "sweep.h"

#define PASS_NS 1000000000u
#define STALL_MS 2u
#define STALLS_MAX 10u
#define LIST_MAX 1024u /* blocks of one subscriber that are looked at */
#define WORD_RECORDS 64u
#define AHEAD 24u      /* flows prefetched; past the end it does nothing */

/* One kind of records in chunks, and what to do with those of a live chunk. */
struct kind {
	const struct sn_chunk *chunks;
	uint32_t records, chunk_records;
	bool (*look)(struct sn_sweep *s, uint32_t shard, uint32_t record); /* false: wait here */
};

void sn_sweep_init(struct sn_sweep *s, const struct sn_region *r)
{
	*s = (struct sn_sweep){ .region = r, .ports = sn_region_ports(r, SN_NONE), .stalled_worker = SN_NONE };
}

/* Whether to wait for a worker whose ring is full, rather than to leave it out. */
static bool wait_for(struct sn_sweep *s, uint32_t worker, const struct sn_ring *ring)
{
	uint32_t tail = atomic_load_explicit(&ring->ends->tail, memory_order_relaxed);

	if (s->stalled_worker != worker || s->stalled_tail != tail) {
		s->stalled_worker = worker;
		s->stalled_tail = tail;
		s->stalls = 0;
	}
	if (++s->stalls <= STALLS_MAX)
		return true;
	s->stuck |= 1ull << worker;
	s->stalled_worker = SN_NONE;
	return false;
}

/* Tells the owner of a shard. False: its ring is full, wait. *count goes up if the command was sent. */
static bool tell(struct sn_sweep *s, struct sn_command c, uint64_t *count)
{
	uint32_t worker = sn_region_owner(s->region, c.shard).worker;
	struct sn_command *slot;
	struct sn_ring ring;

	if (worker >= s->region->geo.workers || (s->stuck >> worker & 1)) {
		s->skipped++;
		return true;
	}
	ring = sn_region_commands(s->region, worker);
	slot = sn_ring_reserve(&ring, 0);
	if (slot == NULL) {
		if (wait_for(s, worker, &ring))
			return false;
		s->skipped++;
		return true;
	}
	*slot = c;
	sn_ring_publish(&ring, 1);
	s->touched |= 1ull << worker;
	++*count;
	return true;
}

static bool look_at_flow(struct sn_sweep *s, uint32_t shard, uint32_t record)
{
	const struct sn_flow *f = &s->region->flows[record];
	uint32_t gen = atomic_load_explicit(&f->gen, memory_order_acquire);

	__builtin_prefetch(f + AHEAD);
	if ((gen & 1) == 0 || !sn_clock_due(atomic_load_explicit(&f->expires_ds, memory_order_relaxed), s->now_ds))
		return true;
	return tell(s, (struct sn_command){ SN_CMD_EXPIRE, shard, record, gen }, &s->expired);
}

static uint32_t peek32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint16_t peek16(const uint16_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static bool look_at_subscriber(struct sn_sweep *s, uint32_t shard, uint32_t record)
{
	const struct sn_subscriber *u = &s->region->subscribers[record];
	uint32_t gen = atomic_load_explicit(&u->gen, memory_order_acquire);

	if ((gen & 1) == 0 || peek32(&u->flows) != 0 || peek16(&u->blocks) != 0)
		return true;
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		if (peek32(&u->ports[l4]) != 0)
			return true;
	return tell(s, (struct sn_command){ SN_CMD_LEAVE, shard, record, gen }, &s->left);
}

static bool is_empty(const struct sn_block *b)
{
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		if (peek16(&b->bound[l4]) != 0)
			return false;
	return peek16(&b->held) == 0;
}

/* Whether a subscriber with flows keeps this empty block: the first empty one on its list. */
static bool is_kept(const struct sn_sweep *s, uint32_t subscriber, uint32_t block)
{
	const struct sn_subscriber *u = &s->region->subscribers[subscriber % s->region->subscriber_count];
	uint32_t b;

	if (subscriber >= s->region->subscriber_count || (atomic_load_explicit(&u->gen, memory_order_acquire) & 1) == 0)
		return false;
	if (peek32(&u->flows) == 0)
		return false;
	b = peek32(&u->first_block);
	for (uint32_t i = 0; i < LIST_MAX && b < sn_ports_block_count(&s->ports); i++) {
		if (is_empty(&s->ports.blocks[b]))
			return b == block;
		b = peek32(&s->ports.blocks[b].next);
	}
	return false;
}

static bool look_at_block(struct sn_sweep *s, uint32_t block)
{
	struct sn_block_owner owner = sn_ports_owner(&s->ports, block);

	if (!owner.claimed || owner.shard >= s->region->geo.shards || !is_empty(&s->ports.blocks[block]) ||
	    is_kept(s, owner.subscriber, block))
		return true;
	return tell(s, (struct sn_command){ SN_CMD_RETURN_BLOCK, owner.shard, block, owner.generation }, &s->returned);
}

/* Looks at the records of one word of a chunk's bitmap, from s->next on. False: wait at s->next. */
static bool look_at_word(struct sn_sweep *s, const struct kind *k, uint32_t shard, uint32_t end)
{
	for (; s->next < end; s->next++)
		if (!k->look(s, shard, s->next))
			return false;
	return true;
}

/* Goes on in one chunk; records not in use are passed by, 64 at a time. False: wait at s->next. */
static bool sweep_chunk(struct sn_sweep *s, const struct kind *k, uint32_t *budget)
{
	const struct sn_chunk *c = &k->chunks[s->next / k->chunk_records];
	uint32_t shard = sn_slab_owner(c), end = (s->next / k->chunk_records + 1) * k->chunk_records;
	uint32_t word_end;

	if (shard >= s->region->geo.shards) {
		s->next = end;
		*budget -= 1;
		return true;
	}
	while (s->next < end && *budget > 0) {
		uint32_t word = s->next % k->chunk_records / WORD_RECORDS;

		word_end = s->next - s->next % WORD_RECORDS + WORD_RECORDS;
		*budget -= SN_MIN(*budget, WORD_RECORDS);
		if (__atomic_load_n(&c->used[word], __ATOMIC_RELAXED) == 0)
			s->next = word_end;
		else if (!look_at_word(s, k, shard, word_end))
			return false;
	}
	return true;
}

static bool sweep_kind(struct sn_sweep *s, const struct kind *k, uint32_t *budget)
{
	while (s->next < k->records && *budget > 0)
		if (!sweep_chunk(s, k, budget))
			return false;
	return true;
}

static bool sweep_blocks(struct sn_sweep *s, uint32_t *budget)
{
	for (; s->next < sn_ports_block_count(&s->ports) && *budget > 0; s->next++, --*budget)
		if (!look_at_block(s, s->next))
			return false;
	return true;
}

/* Works at the phase and goes to the next one at its end. False: wait. */
static bool sweep_phase(struct sn_sweep *s, uint32_t *budget)
{
	const struct sn_region *r = s->region;
	const struct kind flows = { r->flow_chunks, r->flow_count, r->flow_chunk_records, look_at_flow };
	const struct kind subscribers = { r->subscriber_chunks, r->subscriber_count, r->subscriber_chunk_records,
					  look_at_subscriber };
	uint32_t end = s->phase == SN_SWEEP_FLOWS ? flows.records :
		       s->phase == SN_SWEEP_BLOCKS ? sn_ports_block_count(&s->ports) : subscribers.records;
	bool on;

	if (s->phase == SN_SWEEP_BLOCKS)
		on = sweep_blocks(s, budget);
	else
		on = sweep_kind(s, s->phase == SN_SWEEP_FLOWS ? &flows : &subscribers, budget);
	if (on && s->next >= end) {
		s->next = 0;
		s->phase = s->phase == SN_SWEEP_SUBSCRIBERS ? SN_SWEEP_IDLE : s->phase + 1;
	}
	return on;
}

static void start_pass(struct sn_sweep *s, uint64_t now_ns)
{
	s->phase = SN_SWEEP_FLOWS;
	s->next = 0;
	s->stuck = 0;
	s->due_ns = now_ns + PASS_NS;
	s->passes++;
}

uint32_t sn_sweep_slice(struct sn_sweep *s, uint32_t budget)
{
	uint64_t now_ns = sn_clock_ns(&s->region->hdr->clock);

	if (s->phase == SN_SWEEP_IDLE && now_ns >= s->due_ns)
		start_pass(s, now_ns);
	s->now_ds = sn_clock_ds(now_ns);
	while (s->phase != SN_SWEEP_IDLE && budget > 0)
		if (!sweep_phase(s, &budget))
			return STALL_MS;
	if (s->phase != SN_SWEEP_IDLE)
		return 0;
	return now_ns >= s->due_ns ? 0 : (uint32_t)((s->due_ns - now_ns) / 1000000u + 1);
}

uint64_t sn_sweep_touched(struct sn_sweep *s)
{
	uint64_t touched = s->touched;

	s->touched = 0;
	return touched;
}
