/*
 * mounts.h: the file systems of an instance: one for the region (hugetlbfs or tmpfs), one for pinned BPF objects, and
 * the directory of the API's sockets.
 */
#ifndef SN_MOUNTS_H
#define SN_MOUNTS_H

#include "base.h"
#include "error.h"
#include "region.h"

#define SN_RUN_DIR "/run/shardnat"

/* Names of an instance's files, all in SN_RUN_DIR. */
struct sn_paths {
	char sockets[64]; /* directory, the API's */
	char lock[64];
	char listen[64];  /* the supervisor's socket */
	char orders[64];  /* control's socket for the API (order.h) */
	char memory[64];  /* mount point */
	char bpf[64];     /* mount point */
	char hugepages[64]; /* note of how many were added */
	char region[80];
};

void sn_paths_of(const char *instance, struct sn_paths *ret);

/* Makes SN_RUN_DIR; the directory of sockets with its owner. 0, or -errno and the text. */
int sn_mounts_make_run_dir(struct sn_error *err);
int sn_mounts_make_sockets_dir(const struct sn_paths *p, struct sn_error *err);

/* Mounts the region's file system, of one kind; bpffs likewise. 0, or -errno and the text. */
int sn_mounts_memory(const struct sn_paths *p, enum sn_backing kind, size_t size_b, struct sn_error *err);
int sn_mounts_bpf(const struct sn_paths *p, struct sn_error *err);

/* Whether something is mounted there. */
bool sn_mounts_is_mounted(const char *path);

/* Unmounts and removes both mount points; what is missing is no error. */
void sn_mounts_remove_memory(const struct sn_paths *p);
void sn_mounts_remove_bpf(const struct sn_paths *p);

/* Removes the directory of sockets with what is in it, and the listening sockets. */
void sn_mounts_remove_files(const struct sn_paths *p);

/* The last step, with the lock held: the lock's file, and SN_RUN_DIR if no other instance has anything there. */
void sn_mounts_remove_lock(const struct sn_paths *p);

#endif
