/*
 * advance.c: moves a test node's clock forward: lab_clock INSTANCE SECONDS. Only in builds with -Dtest_clock=true.
 */
#include "backing.h"
#include "region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct sn_region r;
	size_t size_b;
	void *mem;
	int fd, err;

	if (argc != 3) {
		fprintf(stderr, "usage: advance INSTANCE SECONDS\n");
		return 2;
	}
	fd = sn_backing_open(argv[1], true, &size_b);
	if (fd < 0) {
		fprintf(stderr, "advance: no region of instance %s: %s\n", argv[1], strerror(-fd));
		return 1;
	}
	mem = sn_backing_map(fd, size_b, true);
	err = mem ? sn_region_join(mem, size_b, true, &r) : SN_JOIN_SIZE;
	if (err) {
		fprintf(stderr, "advance: %s\n", sn_join_error_text(err));
		return 1;
	}
	sn_clock_advance(&r.hdr->clock, strtoull(argv[2], NULL, 10) * 1000000000ull);
	return 0;
}
