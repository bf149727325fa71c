/*
 * check_main.c: shardnat-check, proves the region of an instance, running or dead, or of a file. Reads only.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backing.h"
#include "check.h"

enum { CLEAN, VIOLATIONS, TROUBLE };

struct options {
	const char *instance;
	const char *file;
	bool live;
	bool json;
};

struct printer {
	bool json;
	bool first;
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: shardnat-check --instance NAME | --file PATH  [--live] [-o json]\n"
		    "Proves that the flow table and ports of a shardnat region are consistent. Changes nothing.\n"
		    "\n"
		    "  --instance NAME  the region of this instance, /run/shardnat/NAME.mem/region\n"
		    "  --file PATH      the region in this file\n"
		    "  --live           the node is running: a shard that changes meanwhile is looked at again\n"
		    "  -o json          print one JSON object\n"
		    "  -h, --help       this text\n"
		    "\n"
		    "Exit status: 0 clean, 1 violations, 2 not proved: wrong usage, no region, or a shard never stood "
		    "still.\n");
}

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = {
		{ "instance", required_argument, NULL, 'i' }, { "file", required_argument, NULL, 'f' },
		{ "live", no_argument, NULL, 'l' },           { "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },           { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			exit(CLEAN);
		}
		if (c == 'i')
			ret->instance = optarg;
		else if (c == 'f')
			ret->file = optarg;
		else if (c == 'l')
			ret->live = true;
		else if (c == 'o' && strcmp(optarg, "json") == 0)
			ret->json = true;
		else
			return -EINVAL;
	}
	return optind == argc && (ret->instance == NULL) != (ret->file == NULL) ? 0 : -EINVAL;
}

/* An instance's name becomes part of a path: nothing but a plain name will do. */
static bool is_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strlen(name) < SN_NAME_B && strchr(name, '/') == NULL;
}

static int open_file(const struct options *o, size_t *ret_size_b)
{
	struct stat st;
	int fd;

	if (o->instance != NULL)
		return is_name(o->instance) ? sn_backing_open(o->instance, false, ret_size_b) : -EINVAL;
	fd = open(o->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*ret_size_b = (size_t)st.st_size;
	return fd;
}

static const char *name_of(const struct options *o)
{
	return o->instance != NULL ? o->instance : o->file;
}

static void explain_open(const struct options *o, int err)
{
	if (err == -ENOENT && o->instance != NULL)
		fprintf(stderr,
			"shardnat-check: instance %s has no region: it is not running and left none behind (or give "
			"--file)\n",
			o->instance);
	else if (err == -EACCES || err == -EPERM)
		fprintf(stderr, "shardnat-check: %s: no permission to read the region; run it as root\n", name_of(o));
	else
		fprintf(stderr, "shardnat-check: %s: cannot open the region: %s\n", name_of(o),
			err == -EINVAL ? "not a valid name or not a regular file" : strerror(-err));
}

static void print_violation(void *ctx, const char *line)
{
	struct printer *p = ctx;

	if (!p->json) {
		printf("%s\n", line);
		return;
	}
	/* Lines are made of letters, numbers and plain punctuation: nothing in them needs an escape. */
	printf("%s\"%s\"", p->first ? "" : ",", line);
	p->first = false;
}

static void print_counts(const struct sn_check *c, bool json)
{
	const char *format = json ? "],\"flows\":%" PRIu64 ",\"bindings\":%" PRIu64 ",\"subscribers\":%" PRIu64
				    ",\"blocks\":%" PRIu64 ",\"held_ports\":%" PRIu64 ",\"violations\":%" PRIu64
				    ",\"unsettled_shards\":%" PRIu64 "}\n"
				  : "%" PRIu64 " flows, %" PRIu64 " bindings, %" PRIu64 " subscribers, %" PRIu64
				    " blocks, %" PRIu64 " held ports: %" PRIu64 " violations, %" PRIu64
				    " shards not proved\n";

	printf(format, c->flows, c->bindings, c->subscribers, c->blocks, c->held, c->violations, c->unsettled);
}

static int check(const struct options *o, const struct sn_region *r)
{
	struct printer p = { .json = o->json, .first = true };
	struct sn_check found;
	int result;

	if (o->json)
		printf("{\"violation_lines\":[");
	result = sn_check_region(r, o->live, print_violation, &p, &found);
	if (result < 0) {
		fprintf(stderr, "shardnat-check: not enough memory\n");
		return TROUBLE;
	}
	print_counts(&found, o->json);
	if (found.unsettled > 0)
		fprintf(stderr,
			o->live ? "shardnat-check: %" PRIu64 " shards changed all the time, or stand in the middle of "
							     "a change because their worker is "
				  "dead: try again when the node is less busy, and see `shardnat status` for workers "
				  "that do not run\n"
				: "shardnat-check: %" PRIu64 " shards changed or stand in the middle of a change: if "
							     "the node is running, add --live; "
				  "if it is dead, start it, it recovers them, and check again\n",
			found.unsettled);
	return result;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct sn_region r;
	size_t size_b;
	void *mem;
	int fd, err;

	if (parse(argc, argv, &o) != 0) {
		usage(stderr);
		return TROUBLE;
	}
	fd = open_file(&o, &size_b);
	if (fd < 0) {
		explain_open(&o, fd);
		return TROUBLE;
	}
	mem = sn_backing_map(fd, size_b, false);
	close(fd);
	if (mem == NULL) {
		fprintf(stderr, "shardnat-check: %s: cannot map the region: %s\n", name_of(&o), strerror(errno));
		return TROUBLE;
	}
	err = sn_region_join(mem, size_b, false, &r);
	if (err != 0) {
		fprintf(stderr,
			"shardnat-check: %s: %s; use the shardnat-check of the version that made it, or restart the "
			"node to "
			"make it anew\n",
			name_of(&o), sn_join_error_text(err));
		err = TROUBLE;
	} else {
		err = check(&o, &r);
	}
	sn_backing_unmap(mem, size_b);
	return err;
}
