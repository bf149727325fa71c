/*
 * document.h: the configuration file as text: its shape is checked (keys, lists, duplicates), each value is still a
 * string.
 *
 * libcyaml has the schema; where each value stands is kept from libyaml's events, because libcyaml tells lines only
 * in its messages.
 */
#ifndef SN_DOCUMENT_H
#define SN_DOCUMENT_H

#include "base.h"
#include "error.h"
#include "policy.h"

#define SN_PATH_B 128

/* Strings are NULL where the file says nothing. */
struct sn_yaml_interface {
	char *interface, *realm;
};

struct sn_yaml_pool {
	char *name, *block_size;
	char **addresses;
	unsigned addresses_count;
};

struct sn_yaml_rule {
	char *source, *translate, *filtering;
};

struct sn_yaml_timeouts {
	char *profile;
	char *value[SN_T_COUNT];
};

struct sn_yaml_limits {
	char *tcp_ports, *udp_ports, *icmp_ids, *flows, *flow_rate, *blocks, *outside_flows;
};

struct sn_yaml_tcp {
	char *loose, *liberal, *mss;
};

struct sn_yaml_xsk {
	char *ring, *tx_ring, *busy_poll;
};

struct sn_yaml {
	char *instance;
	struct sn_yaml_interface *inside, *outside;
	unsigned inside_count, outside_count;
	struct sn_yaml_pool *pools;
	unsigned pools_count;
	struct sn_yaml_rule *rules;
	unsigned rules_count;
	struct sn_yaml_timeouts *timeouts;
	struct sn_yaml_limits *limits;
	struct sn_yaml_tcp *tcp;
	struct sn_yaml_xsk *xsk;
	char *workers, *shards, *flows, *subscribers, *event_ring, *frames;
	char *hold_down, *cold_hold_down, *icmp_rate, *held_ports, *hugepages, *zero_copy, *io, *cpus;
};

/* Where a value stands: "pools[0].name", line from 1. */
struct sn_mark {
	char path[SN_PATH_B];
	unsigned line;
};

struct sn_document {
	char *file;
	struct sn_yaml *yaml;
	struct sn_mark *marks;
	size_t mark_count;
};

/* Reads a file. 0, or -EINVAL and the text (FILE:LINE: ...); ret is empty then. */
int sn_document_load(const char *file, struct sn_document *ret, struct sn_error *err);
void sn_document_free(struct sn_document *d);

/* Line of the value at a path, or of the nearest one that encloses it; 1 if there is none. */
unsigned sn_document_line(const struct sn_document *d, const char *path);

/* Part of loading (marks.c): where each value is, syntax errors, keys that are there twice. 0 or -EINVAL. */
int sn_document_mark(struct sn_document *d, struct sn_error *err);

#endif
