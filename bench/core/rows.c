/* rows.c: see rows.h. The rows of one worker. */
#include "rows.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SUBSCRIBERS 10240u
#define PACKET_MEMORIES 2u /* two workers, or two worlds */

static const struct size sizes[] = {
	{ "1k", 1024, SUBSCRIBERS },
	{ "64k", 65536, SUBSCRIBERS },
	{ "1m", 1000000, SUBSCRIBERS },
	{ "10m", 10000000, 4 * SUBSCRIBERS },
};

static const struct visit both = { .out = true, .in = true };

/* Is a word in a list with commas? */
static bool listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at && (at = strstr(at, word)); at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

static bool wants_any(const struct bench *b, const char *rows)
{
	char copy[128];
	bool any = false;

	snprintf(copy, sizeof(copy), "%s", rows);
	for (char *save, *row = strtok_r(copy, ",", &save); row; row = strtok_r(NULL, ",", &save))
		any = any || listed(b->only, row);
	return any;
}

bool bench_wants(const struct bench *b, const char *rows)
{
	return !b->only || wants_any(b, rows);
}

struct plan bench_plan(const struct size *s)
{
	struct plan p = { .flows = s->flows, .subscribers = s->subscribers, .workers = 1, .block_size = 512, .ports = 512,
			  .hold_down_ds = 1200, .spare = 1u << 17 };

	snprintf(p.label, sizeof(p.label), "%s", s->label);
	return p;
}

void bench_progress(const char *what, uint32_t done, uint32_t of)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s %u of %u", what, done, of);
}

int bench_make(struct bench *b, struct world *w, const struct plan *p)
{
	int err = world_make(w, &b->arena, p);

	if (!err)
		traffic_fill(w, bench_progress);
	return err;
}

/* What became of packets, where some did not end as they should. */
static void say_verdicts(const struct world *w)
{
	for (uint32_t i = 0; i < w->plan.workers; i++)
		for (int v = SN_V_FORWARD + 1; v < SN_V_COUNT; v++) {
			uint64_t n = w->lanes[i].worker->stats->verdict[v];

			if (n)
				fprintf(stderr, "  worker %u: %s: %llu\n", i, sn_verdict_name(v), (unsigned long long)n);
		}
}

void bench_end(struct bench *b, struct world *w)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	report_print(&b->report, stdout);
	b->lost += w->lost;
	if (!w->lost)
		return;
	fprintf(stderr, "bench-core: %s: %llu packets did not end as they should\n", w->plan.label,
		(unsigned long long)w->lost);
	say_verdicts(w);
}

uint32_t bench_packets(const struct bench *b)
{
	return (b->quick ? 256u : 1024u) * WORLD_BATCH;
}

/* --- rows --- */

static double floor_ns(struct bench *b, struct world *w)
{
	uint32_t packets = 2 * bench_packets(b);
	uint64_t start = spent_ns();

	floor_run(&w->floor, packets);
	return (double)(spent_ns() - start) / packets;
}

static double visit_ns(struct bench *b, struct world *w, const struct visit *v)
{
	return (double)traffic_visit(w, v, bench_packets(b)) / bench_packets(b);
}

static void row_visit(struct bench *b, struct world *w, const char *name, const struct visit *v, double floor)
{
	if (bench_wants(b, name))
		report_add(&b->report, name, w->plan.label, "ns/packet", true, visit_ns(b, w, v), "floor", floor);
}

static void row_unsolicited(struct bench *b, struct world *w, double udp)
{
	uint32_t packets = bench_packets(b);

	if (bench_wants(b, "unsolicited"))
		report_add(&b->report, "unsolicited", w->plan.label, "ns/packet", true,
			   (double)traffic_unsolicited(w, packets) / packets, "udp", udp);
}

static void row_churn(struct bench *b, struct world *w, double floor)
{
	uint32_t count = w->plan.spare;
	uint64_t open_ns, close_ns;

	if (!bench_wants(b, "new,churn"))
		return;
	traffic_churn(w, count, &open_ns, &close_ns);
	report_add(&b->report, "new", w->plan.label, "flows/s", false, count * 1e9 / (double)open_ns, "floor", 1e9 / floor);
	report_add(&b->report, "churn", w->plan.label, "flows/s", false, count * 1e9 / (double)(open_ns + close_ns), "floor",
		   1e9 / floor);
}

static void round_udp(struct bench *b, struct world *w)
{
	static const struct visit out = { .out = true }, in = { .in = true }, imix = { .out = true, .in = true, .imix = true };
	double floor = floor_ns(b, w), udp = visit_ns(b, w, &both);

	report_add(&b->report, "floor", w->plan.label, "ns/packet", true, floor, NULL, 0);
	report_add(&b->report, "udp", w->plan.label, "ns/packet", true, udp, "floor", floor);
	row_visit(b, w, "udp-out", &out, floor);
	row_visit(b, w, "udp-in", &in, floor);
	row_visit(b, w, "udp-imix", &imix, floor);
	row_unsolicited(b, w, udp);
	row_churn(b, w, floor);
	if (bench_wants(b, "sweep") && w->plan.flows >= 1000000)
		rows_sweep(b, w);
}

static void round_tcp(struct bench *b, struct world *w)
{
	row_visit(b, w, "tcp", &both, floor_ns(b, w));
}

static void round_mixed(struct bench *b, struct world *w)
{
	row_visit(b, w, "mixed", &both, floor_ns(b, w));
}

/* What a region costs that is made for so many flows, half TCP and half UDP, with pools that fit. */
static void row_bytes(struct bench *b, const struct size *s)
{
	struct plan p = bench_plan(s);

	if (!bench_wants(b, "bytes-per-flow"))
		return;
	p.spare = 0;
	p.subscribers = SN_MIN(s->subscribers, s->flows);
	p.ports = s->flows / p.subscribers * 5 / 8; /* a half, and a quarter of it in reserve */
	for (p.block_size = SN_BLOCK_SIZE_MIN; p.block_size < SN_MIN(p.ports, 512u); p.block_size *= 2)
		;
	report_add(&b->report, "bytes-per-flow", s->label, "bytes", true, (double)world_region_b(&p) / s->flows, NULL, 0);
}

/* What a cold join costs: every index, bitmap and list anew from the live records. */
static void row_rebuild(struct bench *b, struct world *w)
{
	uint32_t times = w->plan.flows > 1000000 ? 1 : 3;

	for (uint32_t i = 0; i < times && bench_wants(b, "rebuild"); i++) {
		uint64_t start = spent_ns();
		uint32_t found = 0;

		for (uint32_t s = 0; s < w->region.geo.shards; s++)
			found += sn_shard_rebuild(&w->lanes[0].worker->nat.shards[s]);
		report_add(&b->report, "rebuild", w->plan.label, "ms", true, (double)(spent_ns() - start) / 1e6, NULL, 0);
		w->lost += found > w->live ? found - w->live : w->live - found;
	}
}

/* --- worlds --- */

/* A virtual machine's memory that was not used for a while may be slow at first. */
static void warm_up(struct world *w)
{
	floor_run(&w->floor, 2048 * WORLD_BATCH);
	traffic_visit(w, &both, 256 * WORLD_BATCH);
}

static int run_world(struct bench *b, const struct plan *p, void (*round)(struct bench *b, struct world *w))
{
	static struct world w;
	int err = bench_make(b, &w, p);

	if (err)
		return err;
	warm_up(&w);
	for (uint32_t i = 0; i < b->rounds; i++) {
		bench_progress("round", i + 1, b->rounds);
		round(b, &w);
	}
	if (round == round_udp)
		row_rebuild(b, &w);
	bench_end(b, &w);
	world_free(&w);
	arena_reset(&b->arena);
	return 0;
}

static int run_size(struct bench *b, const struct size *s)
{
	struct plan udp = bench_plan(s), tcp = udp, mixed = udp;
	int err;

	tcp.tcp = UINT32_MAX;
	mixed.tcp = mixed.flows / 2;
	row_bytes(b, s);
	err = run_world(b, &udp, round_udp);
	if (!err && bench_wants(b, "tcp"))
		err = run_world(b, &tcp, round_tcp);
	if (!err && bench_wants(b, "mixed") && !b->quick)
		err = run_world(b, &mixed, round_mixed);
	if (err || s->flows != 1000000)
		return err;
	if (bench_wants(b, "workers-1,workers-2,handoff-0,handoff-50,handoff-100"))
		err = rows_workers(b, s);
	if (!err && bench_wants(b, "new-full-10,new-full-99"))
		err = rows_full(b, s);
	return err;
}

static uint32_t pages_of(const struct size *s)
{
	struct plan udp = bench_plan(s), workers = rows_workers_plan(s), empty = rows_full_plan(s, false),
		    full = rows_full_plan(s, true);
	uint32_t pages = world_pages(&udp);

	if (s->flows != 1000000)
		return pages;
	pages = SN_MAX(pages, world_pages(&workers));
	return SN_MAX(pages, world_pages(&empty) + world_pages(&full));
}

static uint32_t arena_pages_of(const struct bench *b)
{
	uint32_t most = 0;

	for (size_t i = 0; i < SN_ARRAY_LEN(sizes); i++)
		if (listed(b->flows, sizes[i].label))
			most = SN_MAX(most, pages_of(&sizes[i]));
	return most;
}

uint32_t bench_pages(const struct bench *b)
{
	return arena_pages_of(b) + PACKET_MEMORIES * arena_pages(arena_packets_b());
}

int bench_run(struct bench *b)
{
	int err = arena_open(&b->arena, arena_pages_of(b), PACKET_MEMORIES);

	if (!err && !b->arena.huge)
		fprintf(stderr, "bench-core: not enough huge pages: every figure is worse than it would be "
				"(bench/run reserves them, as root)\n");
	for (size_t i = 0; !err && i < SN_ARRAY_LEN(sizes); i++)
		if (listed(b->flows, sizes[i].label))
			err = run_size(b, &sizes[i]);
	arena_close(&b->arena);
	return err;
}
