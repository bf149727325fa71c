/*
 * main.c: the benchmark of the flow engine. Started by bench/run, which reserves the huge pages it needs (--pages)
 * and gives them back.
 *
 *     bench-core [--quick] [--flows 1k,64k,1m,10m] [--only ROW,...] [--rounds N] [--json FILE] [--pages]
 *     bench-core --profile udp|tcp|new|close
 */
#include "rows.h"

#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	const char *json, *profile;
	bool pages;
};

static const struct option longs[] = {
	{ "quick", no_argument, NULL, 'q' },       { "flows", required_argument, NULL, 'f' },
	{ "only", required_argument, NULL, 'o' },  { "rounds", required_argument, NULL, 'r' },
	{ "json", required_argument, NULL, 'j' },  { "pages", no_argument, NULL, 'p' },
	{ "profile", required_argument, NULL, 'P' }, { 0 }
};

static int usage(void)
{
	fprintf(stderr, "bench-core: [--quick] [--flows 1k,64k,1m,10m] [--only ROW,...] [--rounds N] "
			"[--json FILE] [--pages]\n");
	return 2;
}

/* The last processor: interrupts and other programs are mostly on the first ones. */
static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool parse(int argc, char **argv, struct bench *b, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'q': b->quick = true; break;
		case 'f': b->flows = optarg; break;
		case 'o': b->only = optarg; break;
		case 'r': b->rounds = (uint32_t)atoi(optarg); break;
		case 'j': o->json = optarg; break;
		case 'p': o->pages = true; break;
		case 'P': o->profile = optarg; break;
		default: return false;
		}
	}
	if (!b->flows)
		b->flows = b->quick ? "1k,1m" : "1k,64k,1m,10m";
	if (!b->rounds)
		b->rounds = b->quick ? 3 : 7;
	return optind == argc && b->rounds <= REPORT_ROUNDS_MAX;
}

int main(int argc, char **argv)
{
	static struct bench bench;
	struct options o = { 0 };
	int err;

	if (!parse(argc, argv, &bench, &o))
		return usage();
	if (o.pages) {
		printf("%u\n", bench_pages(&bench));
		return 0;
	}
	pin();
	err = o.profile ? rows_profile(o.profile) : bench_run(&bench);
	if (!err && o.json)
		err = report_json(&bench.report, o.json);
	if (err)
		fprintf(stderr, "bench-core: %s\n", strerror(-err));
	return err ? 1 : bench.lost ? 3 : 0;
}
