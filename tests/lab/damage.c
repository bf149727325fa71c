/*
 * damage.c: spoils a dead node's region, to see what its next start says: damage INSTANCE abi|garbage.
 */
#include "backing.h"
#include "region.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct sn_header *hdr;
	size_t size_b;
	int fd;

	if (argc != 3 || (strcmp(argv[2], "abi") && strcmp(argv[2], "garbage"))) {
		fprintf(stderr, "usage: damage INSTANCE abi|garbage\n");
		return 2;
	}
	fd = sn_backing_open(argv[1], true, &size_b);
	hdr = fd < 0 ? NULL : sn_backing_map(fd, size_b, true);
	if (!hdr) {
		fprintf(stderr, "damage: no region of instance %s\n", argv[1]);
		return 1;
	}
	if (!strcmp(argv[2], "abi"))
		hdr->abi_major++;
	else
		memset(hdr, 0xa5, 65536);
	return 0;
}
