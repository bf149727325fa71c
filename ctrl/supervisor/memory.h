/*
 * memory.h: the region's file and the workers' packet memory: how much, of which pages, made, joined, removed.
 *
 * Callers: supervisor.c. The supervisor alone makes and removes; it stays mapped for its life.
 */
#ifndef SN_MEMORY_H
#define SN_MEMORY_H

#include "base.h"
#include "config.h"
#include "error.h"
#include "mounts.h"
#include "region.h"

struct sn_memory {
	int fd;        /* read-write, for workers and control */
	int fd_ro;     /* opened read-only, for the API */
	void *mem;
	size_t size_b;
	uint32_t frame_b;
	struct sn_region region;
};

struct sn_packet_memory {
	int fd;
	void *mem;
	size_t size_b;
};

/* Size of a frame: 2048, or 4096 if a packet of some interface does not fit. */
uint32_t sn_memory_frame_b(const struct sn_config *c, const struct sn_links *links);

/*
 * Refuses (-ENOMEM) what the machine does not have. Then reserves huge pages, mounts, makes and formats the region.
 * notice: empty, or why there are no huge pages and what that costs. 0, or -errno and the text, and nothing is left.
 */
int sn_memory_create(const struct sn_config *c, const struct sn_paths *p, uint32_t frame_b, struct sn_memory *ret,
		     struct sn_error *notice, struct sn_error *err);

/*
 * Joins a region that is there. 0; -ENOENT (there is none); -EPROTO (garbage, another ABI or shape: the text names
 * the command that recreates it). The region is as it was.
 */
int sn_memory_join(const struct sn_config *c, const struct sn_paths *p, uint32_t frame_b, const char *file,
		   struct sn_memory *ret, struct sn_error *err);

/*
 * For a region that is joined after all its processes died: huge pages for new packet memory, as far as there are
 * any.
 */
void sn_memory_reserve_packets(const struct sn_config *c, const struct sn_paths *p, struct sn_memory *m);

/* Unmaps and closes; the region stays. */
void sn_memory_leave(struct sn_memory *m);

/*
 * Leaves, removes the file and its mount, and gives back the huge pages (as many as are noted, if no region is
 * joined).
 */
void sn_memory_remove(struct sn_memory *m, const struct sn_paths *p);

/*
 * One worker's packet memory, formatted. Of huge pages if the region is; falls back to small ones. 0 or -errno and
 * the text.
 */
int sn_packet_memory_make(uint32_t frames, uint32_t frame_b, bool huge, struct sn_packet_memory *ret,
			  struct sn_error *err);

/*
 * Maps the packet memory behind a descriptor, which it owns from then on (also after a failure). 0 and the size of
 * its frames, -EPROTO (another number of frames, or no packet memory), -errno.
 */
int sn_packet_memory_take(int fd, uint32_t frames, struct sn_packet_memory *ret, uint32_t *ret_frame_b);
void sn_packet_memory_fini(struct sn_packet_memory *m);

#endif
