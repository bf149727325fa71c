/* status_warnings.c: what an operator should know before a subscriber calls. */
#include "answer.h"

#define WARNINGS_MAX 16u

/* A table or pool this full, in percent, is worth a warning. */
#define FULL_PERCENT 90u

static void warn(struct sn_arena *a, Shardnat__StatusReply *ret, const char *code, char *text, uint64_t seconds_left)
{
	Shardnat__Warning *w;

	if (ret->n_warnings == WARNINGS_MAX)
		return;
	w = sn_arena_take(a, 1, sizeof(*w));
	shardnat__warning__init(w);
	w->code = sn_text(code);
	w->text = text;
	w->seconds_left = seconds_left;
	ret->warnings[ret->n_warnings++] = w;
}

static void warn_region(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	const struct sn_region *r = v->region;
	uint32_t cold_ds = sn_policy_active(r->policy)->cold_until_ds, now_ds = sn_clock_ds(v->now_ns);

	if (cold_ds && !sn_clock_due(cold_ds, now_ds))
		warn(a, ret, "cold-hold-down",
		     sn_text("after a cold start all ports are held, so that none is given out again too soon"),
		     (cold_ds - now_ds + 9) / 10);
	if (r->hdr->backing == SN_BACKING_TMPFS)
		warn(a, ret, "no-hugepages",
		     sn_text("the region is in a tmpfs for want of hugepages: look-ups in large tables are slower"),
		     0);
	if (r->routing->overflow)
		warn(a, ret, "routes-overflow",
		     sn_arena_printf(a, "%u routes of the kernel did not fit and are missing", r->routing->overflow),
		     0);
}

static void warn_processes(struct sn_arena *a, Shardnat__StatusReply *ret)
{
	uint32_t unowned = 0;

	for (size_t i = 0; i < ret->n_processes; i++)
		if (!ret->processes[i]->pid)
			warn(a, ret, "not-running",
			     sn_arena_printf(a, i < SN_PROCESS_WORKER0 ? "%s is not running" : "%s %u is not running",
					     ret->processes[i]->role, ret->processes[i]->number),
			     0);
	for (size_t i = 0; i < ret->n_shards; i++)
		unowned += !ret->shards[i]->owned;
	if (unowned)
		warn(a, ret, "no-owner",
		     sn_arena_printf(a, "%u shards have no worker: their packets are dropped", unowned), 0);
}

static void warn_full(struct sn_arena *a, Shardnat__StatusReply *ret, const char *code, const char *what, uint64_t used,
		      uint64_t all)
{
	if (all && used * 100 >= all * FULL_PERCENT)
		warn(a, ret, code,
		     sn_arena_printf(a, "%s: %llu of %llu in use", what, (unsigned long long)used,
				     (unsigned long long)all),
		     0);
}

void sn_status_warnings(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	ret->warnings = sn_arena_take(a, WARNINGS_MAX, sizeof(ret->warnings[0]));
	warn_region(v, a, ret);
	warn_processes(a, ret);
	for (size_t i = 0; i < ret->n_slabs; i++)
		warn_full(a, ret, "table-full", ret->slabs[i]->name, ret->slabs[i]->live, ret->slabs[i]->records);
	for (size_t i = 0; i < ret->n_pools; i++)
		warn_full(a, ret, "pool-full", ret->pools[i]->name, ret->pools[i]->blocks_claimed,
			  ret->pools[i]->blocks);
}
