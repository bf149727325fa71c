/*
 * preflight.h: what must be so before anything is made: rights, programs, one supervisor per instance.
 */
#ifndef SN_PREFLIGHT_H
#define SN_PREFLIGHT_H

#include "error.h"
#include "mounts.h"

/* Root and the capabilities that the supervisor needs; says which are missing. 0, or -EPERM and the text. */
int sn_preflight_rights(struct sn_error *err);

/* Keeps those capabilities and drops all others. 0, or -errno and the text. */
int sn_preflight_keep_rights(struct sn_error *err);

/* Whether the kernel lets us load BPF programs. 0, or -errno and the text. */
int sn_preflight_bpf(struct sn_error *err);

/* Takes the instance's lock: a descriptor, or -EBUSY (a supervisor runs: its pid is in the text), -errno. */
int sn_preflight_lock(const struct sn_paths *p, const char *instance, struct sn_error *err);

#endif
