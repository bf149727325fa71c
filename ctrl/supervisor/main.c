/*
 * main.c: shardnatd, the supervisor of a node: command line, --check, start, end.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor.h"

enum { EXIT_USAGE = 2 };

static const char help[] =
	"Usage: shardnatd -c FILE [--check | --recreate]\n"
	"Starts a shardnat node and keeps its processes running, until SIGTERM or SIGINT.\n"
	"\n"
	"  -c, --config FILE   the node's configuration (YAML)\n"
	"      --check         only check the configuration, against this host's interfaces too\n"
	"      --recreate      remove a region that an earlier start left, with its flows, and make it anew\n"
	"      --help          this text\n"
	"      --version       the version\n"
	"\n"
	"If a supervisor died and its processes live, a new start takes them over. If all of them died, it goes on\n"
	"with the flows in the region.\n";

struct options {
	const char *file;
	bool check, recreate;
};

static void __attribute__((noreturn)) usage(const char *why)
{
	fprintf(stderr, "shardnatd: %s; see shardnatd --help\n", why);
	exit(EXIT_USAGE);
}

static struct options parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "recreate", no_argument, NULL, 'r' },     { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },      { 0 },
	};
	struct options o = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'c': o.file = optarg; break;
		case 'k': o.check = true; break;
		case 'r': o.recreate = true; break;
		case 'h': fputs(help, stdout); exit(EXIT_SUCCESS);
		case 'V':
		case 'v': puts("shardnatd " SN_VERSION); exit(EXIT_SUCCESS);
		default: usage("an option is not known");
		}
	}
	if (optind < argc)
		usage("there is an argument too many");
	if (!o.file)
		usage("no configuration is named (-c FILE)");
	if (o.check && o.recreate)
		usage("--check changes nothing, so --recreate cannot go with it");
	return o;
}

static void summarize(const struct sn_config *c)
{
	struct sn_geometry geo;

	sn_config_geometry(c, &geo);
	printf("OK: instance %s: %u interfaces, %u pool%s with %u address%s (blocks of %u ports), %u rule%s, "
	       "%u worker%s, %u shards, %u flows; the region needs %zu MB\n",
	       c->instance, c->interface_count, c->pool_count, c->pool_count == 1 ? "" : "s", geo.addresses,
	       geo.addresses == 1 ? "" : "es", c->block_size, c->rule_count, c->rule_count == 1 ? "" : "s", c->workers,
	       c->workers == 1 ? "" : "s", c->shards, c->flows, (sn_region_footprint(&geo) + (1 << 20) - 1) >> 20);
}

static int check(const char *file)
{
	static struct sn_supervisor s;
	struct sn_error err = { "" };
	int e = sn_configure(&s, file, &err);

	if (!e)
		summarize(&s.config);
	else
		fprintf(stderr, "%s\n", err.text);
	sn_config_fini(&s.config);
	return e ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct options *o)
{
	static struct sn_supervisor s;
	struct sn_error err = { "" };

	if (sn_start(&s, o->file, o->recreate, &err)) {
		fprintf(stderr, "%s%s\n", strncmp(err.text, o->file, strlen(o->file)) ? "shardnatd: " : "", err.text);
		return EXIT_FAILURE;
	}
	sn_say("instance '%s' runs: %u workers, %u shards, %u flows", s.config.instance, s.config.workers,
	       s.config.shards, s.config.flows);
	sn_supervise(&s);
	sn_say("instance '%s' stops", s.config.instance);
	sn_end(&s);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);

#ifdef __AES__
	if (!__builtin_cpu_supports("aes")) {
		fprintf(stderr, "shardnatd: this build needs a processor with AES instructions (aes in /proc/cpuinfo): "
				"build it on the machine that runs it\n");
		return EXIT_FAILURE;
	}
#endif
	return o.check ? check(o.file) : run(&o);
}
