/*
 * config.c: from a checked configuration to what the region is made of: geometry, policy, shape hash.
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

int sn_config_refuse(const struct sn_config *c, struct sn_error *err, const char *path, const char *value,
		     const char *what, const char *use)
{
	snprintf(err->text, sizeof(err->text), "%s:%u: %s: value '%s' is not %s; use %s", c->doc.file,
		 sn_document_line(&c->doc, path), path, value, what, use);
	return -EINVAL;
}

bool sn_config_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= SN_NAME_B || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return false;
	return true;
}

int sn_config_load(const char *file, struct sn_config *ret, struct sn_error *err)
{
	int e;

	memset(ret, 0, sizeof(*ret));
	e = sn_document_load(file, &ret->doc, err);
	if (e)
		return e;
	e = sn_config_read_values(ret, err);
	if (!e)
		e = sn_config_read_pools(ret, err);
	if (!e)
		e = sn_config_read_rules(ret, err);
	if (!e)
		e = sn_config_check_pools(ret, NULL, err);
	if (e)
		sn_config_fini(ret);
	return e;
}

void sn_config_fini(struct sn_config *c)
{
	sn_document_free(&c->doc);
}

static const char *side_name(uint8_t side)
{
	return side == SN_INSIDE ? "inside" : "outside";
}

static int refuse_missing(const struct sn_config *c, const struct sn_config_interface *i, const struct sn_links *links,
			  struct sn_error *err)
{
	char path[SN_PATH_B], use[512] = "one of";
	size_t used = strlen(use);

	for (uint32_t n = 0; n < links->count && used + SN_NAME_B + 2 < sizeof(use); n++)
		if (links->links[n].ethernet || links->links[n].tun)
			used += (size_t)snprintf(use + used, sizeof(use) - used, " %s", links->links[n].name);
	snprintf(path, sizeof(path), "%s[%u].interface", side_name(i->side), i->entry);
	return sn_config_refuse(c, err, path, i->name, "an Ethernet interface or TUN device of this host", use);
}

static int check_interfaces(const struct sn_config *c, const struct sn_links *links, uint32_t *ret_queues,
			    struct sn_error *err)
{
	uint32_t least = SN_WORKERS_MAX;

	for (uint32_t i = 0; i < c->interface_count; i++) {
		const struct sn_link *l = sn_links_find(links, c->interfaces[i].name);

		if (!l || !(l->ethernet || l->tun))
			return refuse_missing(c, &c->interfaces[i], links, err);
		if (l->tun) /* a queue per worker, or one for the first */
			continue;
		least = SN_MIN(least, SN_MAX(l->queues, 1));
	}
	*ret_queues = least;
	return 0;
}

static int check_cpus(const struct sn_config *c, struct sn_error *err)
{
	cpu_set_t allowed;
	char use[64];

	if (!c->cpu_count)
		return 0;
	if (c->cpu_count < c->workers) {
		snprintf(use, sizeof(use), "%u CPUs or more, or none for any", c->workers);
		return sn_config_refuse(c, err, "cpus", c->doc.yaml->cpus, "enough: each worker has a CPU", use);
	}
	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (uint32_t i = 0; i < c->workers; i++)
		if (!CPU_ISSET(c->cpus[i], &allowed)) {
			snprintf(use, sizeof(use), "others than %u, which is not there or not allowed", c->cpus[i]);
			return sn_config_refuse(c, err, "cpus", c->doc.yaml->cpus, "a list of CPUs of this host", use);
		}
	return 0;
}

static int settle_workers(struct sn_config *c, uint32_t queues, struct sn_error *err)
{
	uint32_t most = SN_MIN(queues, c->shards / 2);
	char value[16], what[160], use[64];

	most = SN_MAX(most, 1);
	if (!c->workers)
		c->workers = most;
	if (c->workers <= queues)
		return 0;
	snprintf(value, sizeof(value), "%u", c->workers);
	snprintf(what, sizeof(what), "possible: each worker needs a queue of every interface, and there is one with %u",
		 queues);
	snprintf(use, sizeof(use), "%u or fewer, or give the interface more queues (ethtool -L)", queues);
	return sn_config_refuse(c, err, "workers", value, what, use);
}

int sn_config_settle(struct sn_config *c, const struct sn_links *links, struct sn_error *err)
{
	uint32_t queues = 1;
	int e = check_interfaces(c, links, &queues, err);

	if (!e)
		e = settle_workers(c, queues, err);
	if (!e)
		e = check_cpus(c, err);
	if (!e)
		e = sn_config_check_pools(c, links, err);
	return e;
}

uint32_t sn_config_addresses(const struct sn_config *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->range_count; i++)
		n += c->ranges[i].last - c->ranges[i].first + 1;
	return n;
}

/* The power of two at or above n, between least and most (themselves powers of two). */
static uint32_t round_up(uint64_t n, uint32_t least, uint32_t most)
{
	uint32_t size = least;

	while (size < most && size < n)
		size *= 2;
	return size;
}

/*
 * Hold rings: room for every port that the shard's share of flows can leave behind, twice over, since subscribers are
 * unequal. Hand-off: an eighth of a worker's frames may be out with its peers.
 */
void sn_config_geometry(const struct sn_config *c, struct sn_geometry *ret)
{
	uint64_t ports = SN_MIN((uint64_t)c->flows, (uint64_t)sn_config_addresses(c) * SN_PORT_COUNT * SN_L4_COUNT);
	uint32_t peers = SN_MAX(c->workers, 2) - 1;

	*ret = (struct sn_geometry){
		.shards = c->shards,
		.workers = c->workers,
		.flows = c->flows,
		.subscribers = c->subscribers,
		.addresses = sn_config_addresses(c),
		.block_size = c->block_size,
		.events = c->event_ring,
		.held_ports = c->held_ports ? c->held_ports : round_up(2 * ports / c->shards, 1024, 1u << 20),
		.commands = 4096,
		.handoff = round_up(c->frames / 8 / peers, 64, 1024),
		.audits = 1024,
	};
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

uint64_t sn_config_hash(const struct sn_config *c)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (uint32_t i = 0; i < c->interface_count; i++) {
		h = mix(h, c->interfaces[i].name, SN_NAME_B);
		h = mix(h, &c->interfaces[i].side, sizeof(c->interfaces[i].side));
		h = mix(h, &c->interfaces[i].realm, sizeof(c->interfaces[i].realm));
	}
	h = mix(h, c->realms, sizeof(c->realms));
	h = mix(h, c->pools, sizeof(c->pools));
	for (uint32_t i = 0; i < c->range_count; i++) {
		h = mix(h, &c->ranges[i].first, sizeof(c->ranges[i].first));
		h = mix(h, &c->ranges[i].last, sizeof(c->ranges[i].last));
		h = mix(h, &c->ranges[i].pool, sizeof(c->ranges[i].pool));
	}
	return mix(h, &c->frames, sizeof(c->frames));
}

static void fill_interface(const struct sn_config_interface *i, const struct sn_links *links, struct sn_interface *ret)
{
	const struct sn_link *l = sn_links_find(links, i->name);

	memcpy(ret->name, i->name, SN_NAME_B);
	ret->side = i->side;
	ret->realm = i->realm;
	if (!l)
		return;
	ret->ifindex = l->ifindex;
	ret->addr_be32 = sn_links_addr(links, l->ifindex);
	ret->mtu_b = (uint16_t)SN_MIN(l->mtu_b, 65535);
	ret->queues = l->queues;
	memcpy(ret->mac, l->mac, sizeof(ret->mac));
}

static void fill_pools(const struct sn_config *c, struct sn_policy *p)
{
	uint32_t next = 0;

	p->pool_count = c->pool_count;
	for (uint32_t i = 0; i < c->pool_count; i++) {
		memcpy(p->pools[i].name, c->pools[i], SN_NAME_B);
		p->pools[i].first_address = next;
		for (uint32_t n = 0; n < c->range_count; n++)
			if (c->ranges[n].pool == i)
				next += c->ranges[n].last - c->ranges[n].first + 1;
		p->pools[i].addresses = next - p->pools[i].first_address;
	}
}

uint32_t sn_config_policy(const struct sn_config *c, const struct sn_links *links, struct sn_policy *ret)
{
	*ret = c->timeouts;
	ret->interface_count = c->interface_count;
	for (uint32_t i = 0; i < c->interface_count; i++)
		fill_interface(&c->interfaces[i], links, &ret->interfaces[i]);
	ret->realm_count = c->realm_count;
	memcpy(ret->realms, c->realms, sizeof(ret->realms));
	fill_pools(c, ret);
	ret->rule_count = c->rule_count;
	memcpy(ret->rules, c->rules, sizeof(ret->rules));
	ret->local_count = SN_MIN(links->addr_count, SN_LOCAL_MAX);
	for (uint32_t i = 0; i < ret->local_count; i++)
		ret->local_be32[i] = links->addrs[i].addr_be32;
	return links->addr_count - ret->local_count;
}
