/*
 * steer.c: which shard a packet belongs to, and its key there (DESIGN.md section 1, the table). Called once per packet,
 * and again for a hairpinned one.
 */
#include "nat/nat.h"

#include <string.h>

/* An ICMP query's remote "port": its request's type and code, so that a reply has its request's key. */
static uint16_t query_port(uint8_t type, uint8_t code)
{
	uint8_t bytes[2] = { type, code };
	uint16_t port;

	memcpy(&port, bytes, sizeof(port));
	return port;
}

/* The type that a query from outside answers, or that would answer it. */
static uint8_t opposite_type(uint8_t type)
{
	switch (type) {
	case 0: return 8;
	case 8: return 0;
	case 13: case 15: case 17: return (uint8_t)(type + 1);
	default: return (uint8_t)(type - 1);
	}
}

/* Ends of a packet that goes from inside to outside: of job's packet, or of the one that an error from outside quotes. */
static void ends_outwards(struct sn_job *job, const struct sn_ip *ip, uint32_t *inner_be32, uint16_t *inner_port_be16)
{
	bool query = ip->proto == 1;

	job->proto = ip->proto;
	*inner_be32 = ip->src_be32;
	*inner_port_be16 = ip->src_port_be16;
	job->remote_be32 = ip->dst_be32;
	job->remote_port_be16 = query ? query_port(ip->icmp_type, ip->icmp_code) : ip->dst_port_be16;
}

static void ends_inwards(struct sn_job *job, const struct sn_ip *ip, uint32_t *inner_be32, uint16_t *inner_port_be16)
{
	bool query = ip->proto == 1;

	job->proto = ip->proto;
	*inner_be32 = ip->dst_be32;
	*inner_port_be16 = ip->dst_port_be16;
	job->remote_be32 = ip->src_be32;
	job->remote_port_be16 = query ? query_port(opposite_type(ip->icmp_type), ip->icmp_code) : ip->src_port_be16;
}

static enum sn_verdict aim_inside(const struct sn_nat *nat, struct sn_job *job)
{
	const struct sn_header *hdr = nat->region->hdr;

	if (SN_UNLIKELY(job->packet.kind == SN_PKT_ICMP_ERROR))
		ends_inwards(job, &job->packet.quote, &job->inside_be32, &job->inside_port_be16);
	else
		ends_outwards(job, &job->packet.ip, &job->inside_be32, &job->inside_port_be16);
	job->to_pool = sn_ports_address(&nat->ports, job->packet.ip.dst_be32) != SN_NONE;
	job->shard = sn_hash_shard(&hdr->key, job->realm, job->inside_be32, nat->region->geo.shards);
	job->hash = sn_hash_flow_inside(&hdr->key, job->realm, job->proto, job->inside_be32, job->inside_port_be16,
					job->remote_be32, job->remote_port_be16);
	return SN_V_FORWARD;
}

/* Pass-through: the public end is the inside end, so its address says the shard. */
static enum sn_verdict aim_passed(const struct sn_nat *nat, struct sn_job *job)
{
	uint32_t rule = sn_policy_rule(nat->policy, job->public_be32);

	if (rule == SN_NONE || nat->policy->rules[rule].action != SN_PASS)
		return SN_V_NO_RULE;
	job->block = SN_NONE;
	job->realm = 0;
	job->shard = sn_hash_shard(&nat->region->hdr->key, job->realm, job->public_be32, nat->region->geo.shards);
	return SN_V_FORWARD;
}

static enum sn_verdict no_way_in(const struct sn_job *job, enum sn_verdict v)
{
	return job->packet.kind == SN_PKT_ICMP_ERROR ? SN_V_ICMP_NO_FLOW : v;
}

static enum sn_verdict aim_outside(const struct sn_nat *nat, struct sn_job *job)
{
	uint32_t address;

	if (SN_UNLIKELY(job->packet.kind == SN_PKT_ICMP_ERROR))
		ends_outwards(job, &job->packet.quote, &job->public_be32, &job->public_port_be16);
	else
		ends_inwards(job, &job->packet.ip, &job->public_be32, &job->public_port_be16);
	job->to_pool = false;
	job->hash = sn_hash_flow_outside(&nat->region->hdr->key, job->proto, job->remote_be32, job->remote_port_be16,
					 job->public_be32, job->public_port_be16);
	address = sn_ports_address(&nat->ports, job->public_be32);
	if (SN_UNLIKELY(address == SN_NONE))
		return no_way_in(job, aim_passed(nat, job));
	job->block = sn_ports_block(&nat->ports, address, __builtin_bswap16(job->public_port_be16));
	__builtin_prefetch(&nat->ports.owners[job->block]);
	return SN_V_FORWARD;
}

/* First half: the ends, the hash, and the shard of a packet whose address says it. */
static enum sn_verdict aim(const struct sn_nat *nat, struct sn_job *job)
{
	job->flow = SN_NONE;
	job->seen = NULL;
	return job->from_inside ? aim_inside(nat, job) : aim_outside(nat, job);
}

/* Second half: the shard of a packet to a pool address, which the block's owner says. */
static enum sn_verdict settle(const struct sn_nat *nat, struct sn_job *job)
{
	struct sn_block_owner owner;

	if (job->from_inside || job->block == SN_NONE)
		return SN_V_FORWARD;
	owner = sn_ports_owner(&nat->ports, job->block);
	if (!owner.claimed || owner.shard >= nat->region->geo.shards)
		return no_way_in(job, SN_V_NO_BINDING);
	job->shard = owner.shard;
	return SN_V_FORWARD;
}

enum sn_verdict sn_nat_steer(const struct sn_nat *nat, struct sn_job *job)
{
	enum sn_verdict v = aim(nat, job);

	return v == SN_V_FORWARD ? settle(nat, job) : v;
}

static inline bool is_mine(const struct sn_nat *nat, uint32_t shard)
{
	uint64_t word = atomic_load_explicit(&nat->region->owners[shard], memory_order_acquire);

	return SN_LIKELY(word == nat->owned[shard] && word != 0);
}

bool sn_nat_mine(const struct sn_nat *nat, uint32_t shard, uint32_t *ret_worker)
{
	uint64_t word = atomic_load_explicit(&nat->region->owners[shard], memory_order_acquire);

	if (is_mine(nat, shard))
		return true;
	*ret_worker = sn_shard_owner_unpack(word).worker;
	if (*ret_worker >= nat->region->geo.workers || *ret_worker == nat->worker)
		*ret_worker = SN_NONE;
	return false;
}

/* --- a burst --- */

static void settle_one(const struct sn_nat *nat, struct sn_job *job)
{
	job->verdict = (uint8_t)settle(nat, job);
	if (job->verdict != SN_V_FORWARD)
		return;
	if (is_mine(nat, job->shard))
		sn_index_prefetch(&nat->shards[job->shard].flow_index, job->hash);
	else
		job->verdict = SN_V_TO_OWNER;
}

/* The first flow whose tag is right: its lines are on their way. False: there is none. */
static bool find_one(const struct sn_nat *nat, struct sn_job *job)
{
	job->flow = sn_index_guess(&nat->shards[job->shard].flow_index, job->hash);
	if (job->flow >= nat->region->flow_count)
		return false;
	__builtin_prefetch(&nat->region->flows[job->flow], 1);
	if (job->proto == 6)
		__builtin_prefetch(&nat->region->flows[job->flow].tcp, 1);
	return true;
}

/* --- what may open flows --- */

static struct sn_foresight foresight_of(const struct sn_job *job)
{
	return (struct sn_foresight){ .inside_be32 = job->inside_be32, .remote_be32 = job->remote_be32,
				      .inside_port_be16 = job->inside_port_be16,
				      .remote_port_be16 = job->remote_port_be16, .proto = job->proto,
				      .realm = job->realm };
}

/* The map word of a public port: who is behind it, if anybody. */
static const uint32_t *map_word(const struct sn_nat *nat, const struct sn_job *job)
{
	uint16_t place = __builtin_bswap16(job->public_port_be16) & (nat->ports.block_size - 1);

	return &sn_ports_map(&nat->ports, job->block, sn_l4_of(job->proto))[place];
}

static void first_step(const struct sn_nat *nat, struct sn_job *job, struct sn_foresight *f, uint32_t ahead)
{
	if (job->from_inside) {
		*f = foresight_of(job);
		job->seen = f;
		sn_shard_foresee_keys(&nat->shards[job->shard], f, ahead);
	} else if (job->block != SN_NONE) {
		__builtin_prefetch(map_word(nat, job));
	}
}

static void second_step(const struct sn_nat *nat, const struct sn_job *job, struct sn_foresight *f)
{
	if (job->from_inside) {
		sn_shard_foresee_records(&nat->shards[job->shard], f);
		return;
	}
	f->binding = job->block != SN_NONE ? *map_word(nat, job) - 1 : SN_NONE;
	if (f->binding < nat->region->binding_count)
		__builtin_prefetch(&nat->region->bindings[f->binding]);
}

static void third_step(const struct sn_nat *nat, const struct sn_job *job, struct sn_foresight *f)
{
	if (job->from_inside)
		sn_shard_foresee_block(&nat->shards[job->shard], f);
	else if (f->binding < nat->region->binding_count &&
		 nat->region->bindings[f->binding].subscriber < nat->region->subscriber_count)
		__builtin_prefetch(&nat->region->subscribers[nat->region->bindings[f->binding].subscriber]);
}

static void fourth_step(const struct sn_nat *nat, const struct sn_job *job, const struct sn_foresight *f)
{
	if (job->from_inside)
		sn_shard_foresee_port(&nat->shards[job->shard], f);
}

/* No flow was found for it, and it may open one: an ICMP error does not, and what has no port has no map word. */
static bool is_stranger(const struct sn_job *job)
{
	return job->flow == SN_NONE && job->verdict == SN_V_FORWARD && job->packet.kind != SN_PKT_ICMP_ERROR &&
	       sn_l4_of(job->proto) != SN_L4_COUNT;
}

static void foresee(struct sn_nat *nat, struct sn_job *jobs, uint32_t n)
{
	uint8_t ahead[SN_SHARDS_MAX] = { 0 };
	uint8_t who[SN_NAT_BURST];
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		if (is_stranger(&jobs[i]))
			who[count++] = (uint8_t)i;
	for (uint32_t i = 0; i < count; i++)
		first_step(nat, &jobs[who[i]], &nat->seen[i], ahead[jobs[who[i]].shard]++);
	for (uint32_t i = 0; i < count; i++)
		second_step(nat, &jobs[who[i]], &nat->seen[i]);
	for (uint32_t i = 0; i < count; i++)
		third_step(nat, &jobs[who[i]], &nat->seen[i]);
	for (uint32_t i = 0; i < count; i++)
		fourth_step(nat, &jobs[who[i]], &nat->seen[i]);
}

void sn_nat_steer_burst(struct sn_nat *nat, struct sn_job *jobs, uint32_t n)
{
	bool strangers = false;

	SN_ASSERT(n <= SN_NAT_BURST);
	for (uint32_t i = 0; i < n; i++)
		if (jobs[i].verdict == SN_V_FORWARD)
			jobs[i].verdict = (uint8_t)aim(nat, &jobs[i]);
	for (uint32_t i = 0; i < n; i++)
		if (jobs[i].verdict == SN_V_FORWARD)
			settle_one(nat, &jobs[i]);
	for (uint32_t i = 0; i < n; i++)
		if (jobs[i].verdict == SN_V_FORWARD)
			strangers |= !find_one(nat, &jobs[i]);
	if (SN_UNLIKELY(strangers))
		foresee(nat, jobs, n);
}
