/* audits.c: from the audit rings to a file or to a count. Caller: control's loop. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audits.h"

int sn_audits_init(struct sn_audits *a, const struct sn_region *r, int fd)
{
	struct sn_audits made = { .region = r, .fd = fd };
	struct stat st;

	if (fd >= 0) {
		if (fstat(fd, &st) != 0)
			return -errno;
		if (fcntl(fd, F_GETFL) & O_APPEND)
			return -EINVAL;
		made.end_b = (uint64_t)st.st_size / sizeof(struct sn_audit) * sizeof(struct sn_audit);
	}
	*a = made;
	return 0;
}

static int keep(struct sn_audits *a, const struct sn_audit *record)
{
	ssize_t written_b;

	if (a->fd < 0)
		return 0;
	written_b = pwrite(a->fd, record, sizeof(*record), (off_t)a->end_b);
	if (written_b < 0)
		return -errno;
	if (written_b != (ssize_t)sizeof(*record))
		return -ENOSPC;
	a->end_b += sizeof(*record);
	return 0;
}

int sn_audits_drain(struct sn_audits *a)
{
	const struct sn_audit *record;
	int err;

	for (uint32_t shard = 0; shard < a->region->geo.shards; shard++) {
		struct sn_ring ring = sn_region_audits(a->region, shard);

		for (uint32_t i = 0; i < ring.slots && (record = sn_ring_peek(&ring, 0)) != NULL; i++) {
			err = keep(a, record);
			if (err != 0)
				return err;
			sn_ring_release(&ring, 1);
			a->drained++;
		}
	}
	return 0;
}
