/*
 * check.c: proves a region, shard by shard.
 *
 * Callers: shardnat-check, tests. A shard is verified, or a live one copied to be verified, between two looks at the count of
 * changes begun in it; what was found counts only if none was under way or begun meanwhile. A shard in the middle of a change that nobody finishes
 * (its worker is dead) stays unsettled.
 */
#include "check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check_inner.h"

#define TRIES 20
#define PAUSE_NS 2000000

/* Changes begun in a shard, ever; *ret_still is false in the middle of one. */
static uint64_t look_at(const struct sn_shard *s, bool *ret_still)
{
	const struct sn_intent *in = s->writer.intent;
	uint64_t changes;

	atomic_thread_fence(memory_order_seq_cst);
	changes = __atomic_load_n(&in->changes, __ATOMIC_ACQUIRE); /* first: a change that begins now is counted then */
	*ret_still = atomic_load_explicit(&in->op, memory_order_acquire) == SN_INTENT_NONE &&
		     __atomic_load_n(&s->state->rebuilding, __ATOMIC_ACQUIRE) == 0;
	atomic_thread_fence(memory_order_seq_cst);
	return changes;
}

void sn_check_violation(struct sn_checker *c, const char *format, ...)
{
	va_list args;
	int used;

	c->found.violations++;
	if (c->lines == SN_CHECK_LINES)
		return;
	used = c->shard.number == SN_NONE ? 0
					  : snprintf(c->line[c->lines], SN_CHECK_LINE_B, "shard %u: ", c->shard.number);
	va_start(args, format);
	vsnprintf(c->line[c->lines] + used, SN_CHECK_LINE_B - (size_t)used, format, args);
	va_end(args);
	c->lines++;
}

static void verify_shard(struct sn_checker *c)
{
	memset(&c->found, 0, sizeof(c->found));
	c->lines = 0;
	sn_check_slabs(c);
	sn_check_subscribers(c);
	sn_check_bindings(c);
	sn_check_flows(c);
	sn_check_ports(c);
	sn_check_counts(c);
}

/* Whether the shard stood still while it was copied (live), or while it was verified. */
static bool try_shard(struct sn_checker *c, bool live)
{
	bool still;
	uint64_t before = look_at(&c->source_shard, &still);

	if (!still)
		return false;
	if (live)
		sn_check_copy_shard(c);
	else
		verify_shard(c);
	if (look_at(&c->source_shard, &still) != before || !still)
		return false;
	if (live)
		verify_shard(c);
	return true;
}

static bool settle_shard(struct sn_checker *c, bool live)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };

	for (int i = 0; i < (live ? TRIES : 1); i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		if (try_shard(c, live))
			return true;
	}
	return false;
}

static void add_up(const struct sn_checker *c, struct sn_check *sum)
{
	sum->flows += c->found.flows;
	sum->bindings += c->found.bindings;
	sum->subscribers += c->found.subscribers;
	sum->blocks += c->found.blocks;
	sum->held += c->found.held;
	sum->violations += c->found.violations;
}

/* Claims are counted per address after they are made, and given back before: the count is never above the truth. */
static void check_addresses(struct sn_checker *c)
{
	const struct sn_ports *p = &c->shard.ports;

	memset(&c->found, 0, sizeof(c->found));
	c->lines = 0;
	c->shard.number = SN_NONE; /* the node's */
	for (uint32_t a = 0; a < p->address_count; a++) {
		uint32_t claimed = 0, says = atomic_load_explicit(&p->addresses[a].claimed, memory_order_relaxed);

		for (uint32_t i = 0; i < p->blocks_per_address; i++)
			claimed += sn_ports_owner(p, a * p->blocks_per_address + i).claimed;
		if (says > claimed)
			sn_check_violation(c, "address %u: counts %u blocks claimed, has %u", a, says, claimed);
	}
}

static int make_scratch(struct sn_checker *c, bool live)
{
	const struct sn_region *r = &c->region;

	c->bindings = calloc(r->binding_count, sizeof(*c->bindings));
	c->subscribers = calloc(r->subscriber_count, sizeof(*c->subscribers));
	c->held_bits = calloc(1, sn_region_section_b(r, SN_SEC_PORT_BUSY) + sizeof(uint64_t));
	c->line = calloc(SN_CHECK_LINES, sizeof(*c->line));
	if (!c->bindings || !c->subscribers || !c->held_bits || !c->line)
		return -ENOMEM;
	return live && sn_check_copy_make(c) != 0 ? -ENOMEM : 0;
}

static void free_scratch(struct sn_checker *c)
{
	sn_check_copy_free(c);
	free(c->bindings);
	free(c->subscribers);
	free(c->held_bits);
	free(c->line);
}

struct reporter {
	void (*report)(void *ctx, const char *line);
	void *ctx;
	uint32_t lines;
};

static void pass_on(const struct sn_checker *c, struct reporter *to)
{
	for (uint32_t i = 0; i < c->lines && to->lines < SN_CHECK_LINES; i++, to->lines++)
		if (to->report != NULL)
			to->report(to->ctx, c->line[i]);
}

static void check_all(struct sn_checker *c, bool live, struct reporter *to, struct sn_check *ret)
{
	for (uint32_t s = 0; s < c->region.geo.shards; s++) {
		sn_shard_join(&c->source_shard, &c->source, s);
		sn_shard_join(&c->shard, &c->region, s);
		if (!settle_shard(c, live)) {
			ret->unsettled++;
			continue;
		}
		add_up(c, ret);
		pass_on(c, to);
	}
	if (live || ret->unsettled > 0)
		return;
	check_addresses(c);
	add_up(c, ret);
	pass_on(c, to);
}

int sn_check_region(const struct sn_region *r, bool live, void (*report)(void *ctx, const char *line), void *ctx,
		    struct sn_check *ret)
{
	struct sn_checker c = { .source = *r, .region = *r };
	struct reporter to = { .report = report, .ctx = ctx };
	int err = make_scratch(&c, live);

	*ret = (struct sn_check){ 0 };
	if (err == 0) {
		check_all(&c, live, &to, ret);
		err = ret->violations > 0 ? 1 : ret->unsettled > 0 ? 2 : 0;
	}
	free_scratch(&c);
	return err;
}
