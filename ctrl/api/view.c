/* view.c: see view.h. */
#include "view.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

void sn_view_init(struct sn_view *v, const struct sn_region *r)
{
	memset(v, 0, sizeof(*v));
	v->region = r;
	v->ports = sn_region_ports(r, SN_NONE);
	sn_view_refresh(v);
}

/* Copies a name of the region: terminated, and nothing but printable ASCII, so that it is valid in a message. */
static void copy_name(char *to, const char *from)
{
	size_t i;

	for (i = 0; i < SN_NAME_B - 1 && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
	to[i] = '\0';
}

void sn_view_refresh(struct sn_view *v)
{
	const struct sn_policy *p = sn_policy_active(v->region->policy);

	v->now_ns = sn_clock_ns(&v->region->hdr->clock);
	v->wall_ns = sn_clock_wall_ns();
	for (uint32_t i = 0; i < SN_REALMS_MAX; i++)
		copy_name(v->realms[i], p->realms[i]);
	for (uint32_t i = 0; i < SN_POOLS_MAX; i++)
		copy_name(v->pools[i], p->pools[i].name);
}

char *sn_view_realm(struct sn_view *v, uint32_t realm)
{
	static char unknown[] = "?";

	return realm < SN_REALMS_MAX ? v->realms[realm] : unknown;
}

char *sn_view_pool(struct sn_view *v, uint32_t pool)
{
	static char unknown[] = "?";

	return pool < SN_POOLS_MAX ? v->pools[pool] : unknown;
}

uint32_t sn_view_blocks_per_address(const struct sn_view *v)
{
	return v->ports.blocks_per_address - (SN_PORT_FIRST + v->ports.block_size - 1) / v->ports.block_size;
}

uint64_t sn_view_wall_of_ns(const struct sn_view *v, uint64_t time_ns)
{
	return v->wall_ns - (v->now_ns - time_ns);
}

/* A moment in the past, given in the region's tenths of a second (which wrap); the same whenever it is asked for. */
static uint64_t wall_of_ds(const struct sn_view *v, uint32_t time_ds)
{
	int32_t ago_ds = (int32_t)(sn_clock_ds(v->now_ns) - time_ds);
	uint64_t since_ns = v->now_ns % 100000000u;

	return v->wall_ns - since_ns - (uint64_t)SN_MAX(ago_ds, 0) * 100000000u;
}

static void fill_block(const struct sn_view *v, uint32_t block, Shardnat__Flow *ret)
{
	if (block / v->ports.blocks_per_address >= v->ports.address_count)
		return;
	ret->block_first_port = sn_ports_first_port(&v->ports, block);
	ret->block_ports = v->ports.block_size;
}

void sn_view_event_flow(struct sn_view *v, const struct sn_event *e, Shardnat__Flow *ret)
{
	ret->id = (uint64_t)e->gen << 32 | e->flow;
	ret->shard = e->shard;
	ret->proto = e->proto;
	ret->inside_address = ntohl(e->inside_be32);
	ret->public_address = ntohl(e->public_be32);
	ret->remote_address = ntohl(e->remote_be32);
	ret->inside_port = ntohs(e->inside_port_be16);
	ret->public_port = ntohs(e->public_port_be16);
	ret->remote_port = ntohs(e->remote_port_be16);
	ret->realm = sn_view_realm(v, e->realm);
	ret->state = (Shardnat__TcpState)e->state;
	ret->status = e->status;
	ret->timeout_ds = e->timeout_ds;
	ret->from_outside = e->flags & SN_FLOW_FROM_OUTSIDE;
	ret->pass = (e->flags & SN_FLOW_PASS) != 0;
	ret->hairpin = (e->flags & SN_FLOW_HAIRPIN) != 0;
	ret->rule = e->rule;
	fill_block(v, e->block, ret);
	ret->start_wall_ns = wall_of_ds(v, e->start_ds);
	ret->packets_original = e->packets[SN_DIR_ORIGINAL];
	ret->packets_reply = e->packets[SN_DIR_REPLY];
	ret->bytes_original = e->bytes[SN_DIR_ORIGINAL];
	ret->bytes_reply = e->bytes[SN_DIR_REPLY];
}

bool sn_view_flow(struct sn_view *v, uint32_t number, Shardnat__Flow *ret)
{
	struct sn_binding binding;
	struct sn_event e = { 0 };
	struct sn_flow f;

	if (!sn_region_read_flow(v->region, number, &f) || sn_clock_due(f.expires_ds, sn_clock_ds(v->now_ns)))
		return false;
	sn_event_of_flow(&e, &f, number, v->now_ns);
	if (f.binding != SN_NONE && sn_region_read_binding(v->region, f.binding, &binding))
		e.block = binding.block;
	sn_view_event_flow(v, &e, ret);
	return true;
}
