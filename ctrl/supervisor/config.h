/*
 * config.h: the configuration of a node, checked. What the rest of the supervisor works from.
 *
 * Callers: main (--check and the start), the region's set-up, unit tests. A configuration is either loaded whole and
 * right, or refused with one line of text: FILE:LINE: key.path: value 'x' is not ...; use ...
 *
 *     sn_config_load()   file -> settings, everything that the file alone can tell
 *     sn_config_settle() settings + host's interfaces -> defaults that depend on them, and the checks that need them
 */
#ifndef SN_CONFIG_H
#define SN_CONFIG_H

#include "base.h"
#include "document.h"
#include "links.h"
#include "policy.h"
#include "region.h"

#define SN_RANGES_MAX 256
#define SN_ADDRESSES_MAX 65536

/* Addresses of a pool as written: first .. last, host byte order. */
struct sn_config_range {
	uint32_t first, last;
	uint16_t pool;
	uint16_t entry; /* in the pool's list */
};

struct sn_config_interface {
	char name[SN_NAME_B];
	uint8_t side;   /* enum sn_side */
	uint8_t realm;
	uint16_t entry; /* in the list of its side */
};

#define SN_CPU_MAX 1024

enum sn_io { SN_IO_AUTO, SN_IO_XSK, SN_IO_URING };

/* AF_XDP sockets; ring sizes 0: by the number of frames. */
struct sn_config_xsk {
	uint32_t ring, tx_ring; /* of packets received, given for receiving and completed; to be sent */
	uint32_t busy_poll;
};

enum sn_choice { SN_AUTO, SN_NEVER, SN_REQUIRED };

struct sn_config {
	struct sn_document doc;
	char instance[SN_NAME_B];
	struct sn_config_interface interfaces[SN_INTERFACES_MAX];
	uint32_t interface_count;
	char realms[SN_REALMS_MAX][SN_NAME_B];
	uint32_t realm_count;
	char pools[SN_POOLS_MAX][SN_NAME_B];
	uint32_t pool_count;
	uint32_t block_size;
	struct sn_config_range ranges[SN_RANGES_MAX];
	uint32_t range_count;
	struct sn_rule rules[SN_RULES_MAX];
	uint32_t rule_count;
	struct sn_policy timeouts;  /* timeout_ds, inbound_refresh, tcp_*, limits: as the policy has them */
	uint32_t cold_hold_down_ds;
	uint32_t workers;           /* 0 until sn_config_settle(): as many as there are queues */
	uint32_t shards, flows, subscribers, event_ring, frames;
	uint32_t held_ports;        /* 0: as many as a shard's share of the flows asks for */
	enum sn_choice hugepages, zero_copy;
	enum sn_io io;
	struct sn_config_xsk xsk;
	uint16_t cpus[SN_WORKERS_MAX]; /* where worker n runs */
	uint32_t cpu_count;            /* 0: anywhere */
};

/* Reads and checks a file. 0, or -EINVAL and the text; nothing is held then. */
int sn_config_load(const char *file, struct sn_config *ret, struct sn_error *err);

/* Checks against the host's interfaces and sets what depends on them. 0, or -EINVAL and the text. */
int sn_config_settle(struct sn_config *c, const struct sn_links *links, struct sn_error *err);

void sn_config_fini(struct sn_config *c);

/* Number of pool addresses. */
uint32_t sn_config_addresses(const struct sn_config *c);

/* Sizes of the region, after sn_config_settle(). */
void sn_config_geometry(const struct sn_config *c, struct sn_geometry *ret);

/* Hash of all that shapes a region beside its geometry: interfaces, realms, pools and their addresses, frames. */
uint64_t sn_config_hash(const struct sn_config *c);

/*
 * The policy of this configuration with the interfaces as they are now; generation is the caller's. Number of local
 * addresses that did not fit.
 */
uint32_t sn_config_policy(const struct sn_config *c, const struct sn_links *links, struct sn_policy *ret);

/*
 * For the checks: refuses the value at path: "FILE:LINE: path: value 'x' is not <what>; use <use>". Always -EINVAL.
 */
int sn_config_refuse(const struct sn_config *c, struct sn_error *err, const char *path, const char *value,
		     const char *what, const char *use);

/* Parts of loading and settling (config_values.c, config_pools.c). 0 or -EINVAL. */
int sn_config_read_values(struct sn_config *c, struct sn_error *err);
int sn_config_read_pools(struct sn_config *c, struct sn_error *err);
int sn_config_read_rules(struct sn_config *c, struct sn_error *err);
int sn_config_check_pools(const struct sn_config *c, const struct sn_links *links, struct sn_error *err);

/* Names of instances, pools and realms: letters, digits, '-' and '_', at most 31, the first a letter or digit. */
bool sn_config_name_ok(const char *name);

#endif
