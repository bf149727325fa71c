/*
 * publish.c: what the supervisor writes for others: into the region, and into the maps of the XDP program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "offloads.h"
#include "supervisor.h"

static int publish_addresses(struct sn_supervisor *s)
{
	struct sn_ports ports = sn_region_ports(&s->memory.region, SN_NONE);
	uint32_t index = 0;
	int e = 0;

	for (uint32_t i = 0; i < s->config.range_count; i++) {
		const struct sn_config_range *r = &s->config.ranges[i];

		for (uint32_t a = r->first; a <= r->last && !e; a++)
			e = sn_ports_add_address(&ports, index++, htonl(a), r->pool);
	}
	return e;
}

int sn_publish_fresh(struct sn_supervisor *s)
{
	struct sn_region *r = &s->memory.region;
	uint32_t now_ds = sn_clock_ds(sn_clock_ns(&r->hdr->clock)), hold_ds = s->config.cold_hold_down_ds;

	for (uint32_t shard = 0; shard < r->geo.shards; shard++)
		atomic_store_explicit(&r->owners[shard],
				      sn_shard_owner_pack((struct sn_shard_owner){ shard % r->geo.workers, 1 }),
				      memory_order_release);
	/* 0 is "not at all", so a sum that wraps to it is one tenth of a second longer */
	s->config.timeouts.cold_until_ds = hold_ds ? SN_MAX(now_ds + hold_ds, 1) : 0;
	return publish_addresses(s);
}

/* Workers can write to the region: what stands there may be anything. */
static uint32_t local_count(const struct sn_policy *p)
{
	return SN_MIN(p->local_count, (uint32_t)SN_LOCAL_MAX);
}

static bool has_address(const struct sn_policy *p, uint32_t addr_be32)
{
	for (uint32_t i = 0; i < local_count(p); i++)
		if (p->local_be32[i] == addr_be32)
			return true;
	return false;
}

/* New addresses first: one that moves between interfaces is never missing. */
static void publish_local(struct sn_supervisor *s, const struct sn_policy *old, const struct sn_policy *new)
{
	for (uint32_t i = 0; i < local_count(new); i++)
		sn_xdp_add_local(&s->xdp, new->local_be32[i]);
	for (uint32_t i = 0; i < local_count(old); i++)
		if (!has_address(new, old->local_be32[i]))
			sn_xdp_del_local(&s->xdp, old->local_be32[i]);
}

bool sn_publish_policy(struct sn_supervisor *s)
{
	static struct sn_policy new;
	struct sn_policy_box *box = s->memory.region.policy;
	uint32_t active = atomic_load_explicit(&box->active, memory_order_relaxed) & 1;
	const struct sn_policy *old = &box->copy[active];
	uint32_t lost = sn_config_policy(&s->config, &s->links, &new);

	if (!s->fresh)
		new.cold_until_ds = old->cold_until_ds;
	publish_local(s, old, &new);
	new.generation = old->generation;
	if (!memcmp(&new, old, sizeof(new)))
		return false;
	if (lost)
		sn_say("the node has more than %u addresses: packets to %u of them may be taken for NAT", SN_LOCAL_MAX,
		       lost);
	new.generation++;
	box->copy[active ^ 1] = new;
	atomic_store_explicit(&box->active, active ^ 1, memory_order_release);
	return true;
}

void sn_publish_process(struct sn_supervisor *s, uint32_t slot, pid_t pid)
{
	struct sn_process *p = &s->memory.region.processes[slot];

	p->role = slot ? s->children[slot].role : SN_ROLE_SUPERVISOR;
	if (pid) {
		if (p->started_ns)
			atomic_fetch_add_explicit(&p->restarts, 1, memory_order_relaxed);
		p->started_ns = sn_clock_ns(&s->memory.region.hdr->clock);
	}
	atomic_store_explicit(&p->pid, (uint32_t)pid, memory_order_release);
}

void sn_publish_epochs(struct sn_supervisor *s, uint32_t worker)
{
	struct sn_region *r = &s->memory.region;

	for (uint32_t shard = 0; shard < r->geo.shards; shard++) {
		struct sn_shard_owner o = sn_region_owner(r, shard);

		if (o.worker != worker)
			continue;
		o.epoch++;
		atomic_store_explicit(&r->owners[shard], sn_shard_owner_pack(o), memory_order_release);
	}
}

/* Visits the prefixes that make up a range. Stops at the first error. */
static int each_prefix(const struct sn_config_range *r, int (*visit)(void *ctx, uint32_t first, uint32_t bits),
		       void *ctx)
{
	uint64_t first = r->first;
	int e = 0;

	while (first <= r->last && !e) {
		uint32_t bits = 32;

		while (bits > 0 && !(first & (1ull << (32 - bits))) && first + (2ull << (32 - bits)) - 1 <= r->last)
			bits--;
		e = visit(ctx, (uint32_t)first, bits);
		first += 1ull << (32 - bits);
	}
	return e;
}

static int count_prefix(void *ctx, uint32_t first, uint32_t bits)
{
	(void)first;
	(void)bits;
	++*(uint32_t *)ctx;
	return 0;
}

static int add_outside(void *ctx, uint32_t first, uint32_t bits)
{
	return sn_xdp_add_prefix(ctx, SN_OUTSIDE, htonl(first), bits);
}

static int publish_rule(struct sn_supervisor *s, const struct sn_rule *r)
{
	uint32_t bits = (uint32_t)__builtin_popcount(r->source_mask_be32);
	int e = sn_xdp_add_prefix(&s->xdp, SN_INSIDE, r->source_be32, bits);

	if (!e && r->action == SN_PASS)
		e = sn_xdp_add_prefix(&s->xdp, SN_OUTSIDE, r->source_be32, bits);
	return e;
}

static int publish_prefixes(struct sn_supervisor *s)
{
	int e = 0;

	for (uint32_t i = 0; i < s->config.rule_count && !e; i++)
		e = publish_rule(s, &s->config.rules[i]);
	for (uint32_t i = 0; i < s->config.range_count && !e; i++)
		e = each_prefix(&s->config.ranges[i], add_outside, &s->xdp);
	return e;
}

static uint32_t outside_prefixes(const struct sn_config *c)
{
	uint32_t n = c->rule_count;

	for (uint32_t i = 0; i < c->range_count; i++)
		each_prefix(&c->ranges[i], count_prefix, &n);
	return n;
}

static int load(struct sn_supervisor *s, struct sn_error *err)
{
	int e = sn_xdp_adopt(s->paths.bpf, &s->xdp, err->text, sizeof(err->text));

	if (!e)
		return 0;
	sn_xdp_remove(s->paths.bpf);
	e = sn_xdp_load(s->paths.bpf, s->config.rule_count, outside_prefixes(&s->config), &s->xdp, err->text,
			sizeof(err->text));
	return e;
}

/* Errors that mean that this interface, or this kernel, cannot have the program; the others are to be put right. */
static bool is_without_xdp(int e)
{
	return e == -EOPNOTSUPP || e == -EINVAL || e == -ENOSPC || e == -ERANGE || e == -E2BIG;
}

static int hold(struct sn_supervisor *s, uint32_t index, uint32_t ifindex, struct sn_error *err)
{
	return sn_xdp_hold(&s->xdp, ifindex, s->config.interfaces[index].side, index, err->text, sizeof(err->text));
}

/* Without it the node does its work all the same, but for an inside interface that is made anew behind its back. */
static void guard(struct sn_supervisor *s, uint32_t index)
{
	const struct sn_config_interface *i = &s->config.interfaces[index];
	const struct sn_link *l = sn_links_find(&s->links, i->name);
	int e = l && i->side == SN_OUTSIDE && s->kinds[index] != SN_SOCKET_TUN ? sn_xdp_guard(&s->xdp, l->ifindex) : 0;

	if (e)
		sn_say("%s takes no tc filter on egress (%s): set net.ipv4.ip_forward to 0, so that the kernel forwards nothing "
		       "untranslated if an inside interface is removed and made anew", i->name, strerror(-e));
}

static int attach(struct sn_supervisor *s, uint32_t index, struct sn_error *err)
{
	const struct sn_config_interface *i = &s->config.interfaces[index];
	const struct sn_link *l = sn_links_find(&s->links, i->name);
	bool generic = false;
	int e;

	if (!l)
		return sn_error_set(err, -ENODEV, "there is no interface %s", i->name);
	if (s->kinds[index] != SN_SOCKET_XSK)
		return s->kinds[index] == SN_SOCKET_PACKET ? hold(s, index, l->ifindex, err) : 0;
	e = sn_xdp_attach(&s->xdp, l->ifindex, i->side, index, &generic, err->text, sizeof(err->text));
	if (is_without_xdp(e) && s->config.io == SN_IO_AUTO) {
		sn_sockets_without_xdp(s, index, strerror(-e));
		return hold(s, index, l->ifindex, err);
	}
	if (!e && generic)
		sn_say("%s: the driver has no native XDP: generic mode is used, which is slower", i->name);
	return e;
}

static void switch_offloads(struct sn_supervisor *s, uint32_t index)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[index].name);
	char text[128];
	bool virtual;
	int e;

	if (!l || s->kinds[index] == SN_SOCKET_TUN)
		return;
	e = sn_offloads_off(s->paths.bpf, l->ifindex, s->kinds[index] == SN_SOCKET_PACKET, text, sizeof(text), &virtual);
	if (text[0])
		sn_say("%s: %s switched off, until the node ends%s", l->name, text,
		       virtual ? "; the other end of a veth pair, if this is one, wants the same (ethtool -K PEER tx off "
				 "tso off gso off)" : "");
	if (e)
		sn_say("%s: not all offloads can be switched off (%s): super-packets are dropped, and counted", l->name,
		       strerror(-e));
}

int sn_publish_program(struct sn_supervisor *s, struct sn_error *err)
{
	int e = load(s, err);

	if (e)
		return e;
	s->xdp_loaded = true;
	e = publish_prefixes(s);
	if (e)
		return sn_error_set(err, e, "prefixes do not go into the XDP program's maps: %s", strerror(-e));
	sn_publish_policy(s);
	for (uint32_t i = 0; i < s->config.interface_count; i++)
		guard(s, i);
	for (uint32_t i = 0; i < s->config.interface_count && !e; i++)
		e = attach(s, i, err);
	for (uint32_t i = 0; i < s->config.interface_count && !e; i++)
		switch_offloads(s, i);
	return e;
}
