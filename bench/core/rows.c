/* rows.c: see rows.h. */
#include "rows.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SUBSCRIBERS 10240u

struct size {
	const char *label;
	uint32_t flows, subscribers;
};

static const struct size sizes[] = {
	{ "1k", 1024, SUBSCRIBERS },
	{ "64k", 65536, SUBSCRIBERS },
	{ "1m", 1000000, SUBSCRIBERS },
	{ "10m", 10000000, 4 * SUBSCRIBERS },
};

/* Is a word in a list with commas? */
static bool listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at && (at = strstr(at, word)); at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

static bool wanted(const struct bench *b, const char *row)
{
	return !b->only || listed(b->only, row);
}

static struct plan plan_of(const struct size *s, uint8_t proto)
{
	struct plan p = { .flows = s->flows, .subscribers = s->subscribers, .workers = 1, .proto = proto, .block_size = 512,
			  .blocks = 8, .ports = 384, .spare = 1u << 17 };

	snprintf(p.label, sizeof(p.label), "%s", s->label);
	return p;
}

static void progress(const char *what, uint32_t done, uint32_t of)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s %u of %u", what, done, of);
}

/* --- rows --- */

/* Packets of one sample: more where memory makes them dearer would only make it longer. */
static uint32_t sample_packets(const struct bench *b)
{
	return (b->quick ? 256u : 1024u) * WORLD_BATCH;
}

static double floor_ns(struct bench *b, struct world *w)
{
	uint32_t packets = 2 * sample_packets(b);
	uint64_t start = spent_ns();

	floor_run(&w->floor, packets);
	return (double)(spent_ns() - start) / packets;
}

static double visit_ns(struct bench *b, struct world *w, const struct visit *v)
{
	return (double)traffic_visit(w, v, sample_packets(b)) / sample_packets(b);
}

static void row_visit(struct bench *b, struct world *w, const char *name, const struct visit *v, double floor)
{
	if (wanted(b, name))
		report_add(&b->report, name, w->plan.label, "ns/packet", true, visit_ns(b, w, v), "floor", floor);
}

static void row_unsolicited(struct bench *b, struct world *w, const char *peer, double peer_ns)
{
	uint32_t packets = sample_packets(b);

	if (wanted(b, "unsolicited"))
		report_add(&b->report, "unsolicited", w->plan.label, "ns/packet", true,
			   (double)traffic_unsolicited(w, packets) / packets, peer, peer_ns);
}

static void row_churn(struct bench *b, struct world *w, double floor)
{
	uint32_t count = w->plan.spare;
	uint64_t open_ns, close_ns;

	if (!wanted(b, "new") && !wanted(b, "churn"))
		return;
	traffic_churn(w, count, &open_ns, &close_ns);
	report_add(&b->report, "new", w->plan.label, "flows/s", false, count * 1e9 / (double)open_ns, "floor", 1e9 / floor);
	report_add(&b->report, "churn", w->plan.label, "flows/s", false, count * 1e9 / (double)(open_ns + close_ns), "floor",
		   1e9 / floor);
}

static void round_udp(struct bench *b, struct world *w)
{
	static const struct visit both = { .out = true, .in = true }, out = { .out = true }, in = { .in = true },
				  imix = { .out = true, .in = true, .imix = true };
	double floor = floor_ns(b, w), udp = visit_ns(b, w, &both);

	report_add(&b->report, "floor", w->plan.label, "ns/packet", true, floor, NULL, 0);
	report_add(&b->report, "udp", w->plan.label, "ns/packet", true, udp, "floor", floor);
	row_visit(b, w, "udp-out", &out, floor);
	row_visit(b, w, "udp-in", &in, floor);
	row_visit(b, w, "udp-imix", &imix, floor);
	row_unsolicited(b, w, "udp", udp);
	row_churn(b, w, floor);
}

static void round_tcp(struct bench *b, struct world *w)
{
	static const struct visit both = { .out = true, .in = true };

	row_visit(b, w, "tcp", &both, floor_ns(b, w));
}

/* --- worlds --- */

static int run_world(struct bench *b, const struct plan *p, void (*round)(struct bench *b, struct world *w))
{
	static struct world w;
	int err = world_make(&w, p);

	if (err)
		return err;
	if (!w.huge)
		fprintf(stderr, "bench-core: no huge pages for %s: every figure is worse than it would be (bench/run as root reserves them)\n",
			p->label);
	traffic_fill(&w, progress);
	for (uint32_t i = 0; i < b->rounds; i++) {
		progress("round", i + 1, b->rounds);
		round(b, &w);
	}
	progress("done", b->rounds, b->rounds);
	if (w.lost)
		fprintf(stderr, "\nbench-core: %s: %llu packets did not end as they should\n", p->label, (unsigned long long)w.lost);
	b->lost += w.lost;
	world_free(&w);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	report_print(&b->report, stdout);
	return 0;
}

static int run_size(struct bench *b, const struct size *s)
{
	struct plan udp = plan_of(s, 17), tcp = plan_of(s, 6);
	int err = run_world(b, &udp, round_udp);

	if (!err && wanted(b, "tcp"))
		err = run_world(b, &tcp, round_tcp);
	return err;
}

uint32_t bench_pages(const struct bench *b)
{
	uint32_t most = 0;

	for (size_t i = 0; i < SN_ARRAY_LEN(sizes); i++) {
		struct plan p = plan_of(&sizes[i], 17);

		if (listed(b->flows, sizes[i].label))
			most = SN_MAX(most, world_pages(&p));
	}
	return most;
}

int bench_run(struct bench *b)
{
	int err = 0;

	for (size_t i = 0; !err && i < SN_ARRAY_LEN(sizes); i++)
		if (listed(b->flows, sizes[i].label))
			err = run_size(b, &sizes[i]);
	return err;
}
