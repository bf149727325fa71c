/*
 * translate.c: the decision about one packet (DESIGN.md section 4): a flow's packet is tracked and rewritten; a first one is judged
 * by rule or binding and opens its flow. A packet that is not forwarded changes nothing but what its flow's tracking says.
 *
 * Order, so that no refused packet leaves a trace: look up, TTL, next hop and size, track, open, rewrite.
 */
#include "nat/nat.h"

#include "nat/track.h"
#include "packet/rewrite.h"

static struct sn_shard *shard_of(const struct sn_nat *nat, const struct sn_job *job)
{
	return &nat->shards[job->shard];
}

/* Whether the flow that a burst's stages found is the packet's. */
static bool is_its_flow(const struct sn_nat *nat, const struct sn_job *job)
{
	const struct sn_flow *f = &nat->region->flows[job->flow];

	if (SN_UNLIKELY(job->flow >= nat->region->flow_count))
		return false;
	return job->from_inside ? sn_shard_is_inside(shard_of(nat, job), f, job->realm, job->proto, job->inside_be32,
						     job->inside_port_be16, job->remote_be32, job->remote_port_be16,
						     nat->now_ds)
				: sn_shard_is_outside(shard_of(nat, job), f, job->proto, job->remote_be32,
						      job->remote_port_be16, job->public_be32, job->public_port_be16,
						      nat->now_ds);
}

static uint32_t find_flow(const struct sn_nat *nat, const struct sn_job *job)
{
	const struct sn_shard *s = shard_of(nat, job);

	if (SN_LIKELY(is_its_flow(nat, job)))
		return job->flow;
	if (job->from_inside)
		return sn_shard_find_inside(s, job->hash, job->realm, job->proto, job->inside_be32,
					    job->inside_port_be16, job->remote_be32, job->remote_port_be16, nat->now_ds);
	return sn_shard_find_outside(s, job->hash, job->proto, job->remote_be32, job->remote_port_be16,
				     job->public_be32, job->public_port_be16, nat->now_ds);
}

static void want_error(struct sn_job *job, uint8_t type, uint8_t code)
{
	job->error_type = type;
	job->error_code = code;
}

/* Whether the packet's time to live lets it go on; a hairpinned one has paid already. */
static bool ttl_over(struct sn_job *job)
{
	if (SN_LIKELY(job->packet.ip.ttl > 1) || job->hairpin)
		return false;
	want_error(job, 11, 0);
	return true;
}

/* Forgets the flow's next hops if they are of older routes. */
static void refresh_next_hops(const struct sn_nat *nat, struct sn_flow *f)
{
	if (SN_LIKELY(f->nh_gen == (uint16_t)nat->route_gen))
		return;
	f->nh_gen = (uint16_t)nat->route_gen;
	f->nexthop[0] = f->nexthop[1] = UINT16_MAX;
}

/* Where the packet goes once it is translated; nothing for a hairpin, whose second flow knows. */
static enum sn_verdict find_way(struct sn_nat *nat, struct sn_job *job, uint32_t dst_be32, uint16_t *cache)
{
	if (SN_UNLIKELY(job->to_pool))
		return SN_V_FORWARD;
	if (cache && SN_LIKELY(sn_nat_known_hop(nat, job, *cache)))
		return SN_V_FORWARD;
	return sn_nat_next_hop(nat, job, dst_be32, cache);
}

/*
 * What may be fragmented on its way leaves with an identification that nobody else behind the public address uses (RFC 6864);
 * the parts of one datagram have one.
 */
static void identify(struct sn_nat *nat, struct sn_job *job)
{
	const struct sn_ip *ip = &job->packet.ip;

	if (job->fragment)
		sn_rewrite_id(&job->packet, job->told.id_be16);
	else if (!ip->df)
		sn_rewrite_id(&job->packet, sn_nat_ident(nat, false, ip->src_be32, ip->dst_be32, ip->proto));
}

static void rewrite(struct sn_nat *nat, struct sn_job *job, const struct sn_flow *f)
{
	if (SN_LIKELY(!job->hairpin))
		sn_rewrite_ttl(&job->packet);
	if (SN_UNLIKELY(f->flags & SN_FLOW_PASS))
		return;
	if (SN_UNLIKELY((job->packet.tcp_flags & SN_SYN) && nat->policy->tcp_mss != 0))
		sn_rewrite_mss(&job->packet, (uint16_t)nat->policy->tcp_mss);
	if (job->from_inside) {
		sn_rewrite_out(&job->packet, f);
		identify(nat, job);
	} else {
		sn_rewrite_in(&job->packet, f);
	}
}

/* --- ICMP errors: about a flow, but they never open, refresh or end one (RFC 5508, NETFILTER.md 4.5) --- */

static __attribute__((noinline)) enum sn_verdict translate_error(struct sn_nat *nat, struct sn_job *job)
{
	uint32_t number = find_flow(nat, job);
	struct sn_flow *f;
	enum sn_verdict v;
	bool passed;

	if (number == SN_NONE)
		return SN_V_ICMP_NO_FLOW;
	f = &nat->region->flows[number];
	passed = f->flags & SN_FLOW_PASS;
	/* The error must be addressed to the one who sent the packet it quotes. */
	if (job->packet.ip.dst_be32 != job->packet.quote.src_be32)
		return SN_V_ICMP_NO_FLOW;
	if (job->packet.ip.icmp_type == 5 && !passed)
		return SN_V_ICMP_TYPE;
	if (ttl_over(job))
		return SN_V_TTL;
	v = find_way(nat, job, job->from_inside ? job->packet.ip.dst_be32 : f->inside_be32, NULL);
	if (v != SN_V_FORWARD)
		return v;
	if (!job->hairpin)
		sn_rewrite_ttl(&job->packet);
	if (passed)
		return SN_V_FORWARD;
	if (job->from_inside) {
		sn_rewrite_error_out(&job->packet, f, f->public_be32);
		identify(nat, job);
	} else {
		sn_rewrite_error_in(&job->packet, f);
	}
	return SN_V_FORWARD;
}

/* --- later fragments: the first one has opened or refreshed their flow --- */

static void rewrite_later(struct sn_job *job, const struct sn_flow *f)
{
	if (!job->hairpin)
		sn_rewrite_ttl(&job->packet);
	if (f->flags & SN_FLOW_PASS)
		return;
	if (job->from_inside) {
		sn_rewrite_later_out(&job->packet, f);
		sn_rewrite_id(&job->packet, job->told.id_be16);
	} else {
		sn_rewrite_later_in(&job->packet, f);
	}
}

static enum sn_verdict translate_later(struct sn_nat *nat, struct sn_job *job)
{
	uint32_t number = find_flow(nat, job);
	enum sn_verdict v;
	struct sn_flow *f;
	enum sn_dir dir;

	if (number == SN_NONE)
		return SN_V_FRAGMENT;
	f = &nat->region->flows[number];
	dir = sn_flow_dir(f, job->from_inside);
	if (ttl_over(job))
		return SN_V_TTL;
	refresh_next_hops(nat, f);
	v = find_way(nat, job, job->from_inside ? f->remote_be32 : f->inside_be32,
		     &f->nexthop[job->from_inside ? 0 : 1]);
	if (v != SN_V_FORWARD)
		return v;
	sn_flow_account(f, dir, job->packet.ip.len_b);
	if (f->proto == 6)
		sn_track_later(f, dir, &job->packet, job->told.tcp_base);
	rewrite_later(job, f);
	return SN_V_FORWARD;
}

/* --- first packets --- */

static void flow_of_job(const struct sn_nat *nat, const struct sn_job *job, struct sn_flow *f)
{
	*f = (struct sn_flow){
		.inside_be32 = job->inside_be32,
		.inside_port_be16 = job->inside_port_be16,
		.remote_be32 = job->remote_be32,
		.remote_port_be16 = job->remote_port_be16,
		.proto = job->proto,
		.realm = job->realm,
		.nh_gen = (uint16_t)nat->route_gen,
		.nexthop = { UINT16_MAX, UINT16_MAX },
		.binding = SN_NONE,
	};
}

/* Tells a subscriber that was refused (RFC 6888 REQ-11B); from outside nobody is told. */
static enum sn_verdict refuse(struct sn_job *job, enum sn_verdict v)
{
	if (job->from_inside && v != SN_V_INVALID)
		want_error(job, 3, 1);
	return v;
}

static enum sn_verdict open_and_rewrite(struct sn_nat *nat, struct sn_job *job, struct sn_open *o)
{
	struct sn_shard *s = shard_of(nat, job);
	enum sn_verdict v;
	struct sn_track t;
	uint32_t number;

	if (ttl_over(job))
		return SN_V_TTL;
	v = find_way(nat, job, job->from_inside ? job->remote_be32 : o->flow.inside_be32,
		     &o->flow.nexthop[job->from_inside ? 0 : 1]);
	if (v != SN_V_FORWARD)
		return v;
	t = sn_track_first(&o->flow, &job->packet, nat->policy);
	if (t.outcome != SN_TRACK_ACCEPT)
		return SN_V_INVALID;
	o->flow.expires_ds = nat->now_ds + t.timeout_ds;
	o->policy = nat->policy;
	o->bytes = job->packet.ip.len_b;
	o->now_ns = nat->now_ns;
	o->seen = job->seen;
	v = sn_shard_open(s, o, &number);
	if (v != SN_V_FORWARD)
		return refuse(job, v);
	rewrite(nat, job, &nat->region->flows[number]);
	return SN_V_FORWARD;
}

static enum sn_verdict first_from_inside(struct sn_nat *nat, struct sn_job *job)
{
	struct sn_open o = { .binding = SN_NONE };
	uint32_t rule = sn_policy_rule(nat->policy, job->inside_be32);

	if (rule == SN_NONE)
		return SN_V_NO_RULE;
	flow_of_job(nat, job, &o.flow);
	o.flow.rule = (uint8_t)rule;
	o.pool = nat->policy->rules[rule].pool;
	if (nat->policy->rules[rule].action == SN_PASS)
		o.flow.flags |= SN_FLOW_PASS;
	else
		o.flow.status |= SN_ST_SRC_NAT;
	if (job->to_pool)
		o.flow.flags |= SN_FLOW_HAIRPIN;
	return open_and_rewrite(nat, job, &o);
}

/* From outside to an inside end that is reached without translation. */
static enum sn_verdict first_to_passed(struct sn_nat *nat, struct sn_job *job)
{
	struct sn_open o = { .binding = SN_NONE };

	job->inside_be32 = job->public_be32;
	job->inside_port_be16 = job->public_port_be16;
	flow_of_job(nat, job, &o.flow);
	o.flow.rule = (uint8_t)sn_policy_rule(nat->policy, job->inside_be32);
	o.flow.flags |= SN_FLOW_FROM_OUTSIDE | SN_FLOW_PASS;
	return open_and_rewrite(nat, job, &o);
}

static enum sn_verdict first_from_outside(struct sn_nat *nat, struct sn_job *job)
{
	const struct sn_shard *s = shard_of(nat, job);
	struct sn_open o = { 0 };
	const struct sn_binding *b;
	const struct sn_subscriber *sub;
	enum sn_l4 l4 = sn_l4_of(job->proto);
	uint32_t rule;

	if (job->block == SN_NONE)
		return first_to_passed(nat, job);
	/* An identifier is the client's choice: a query from outside reaches nobody. */
	if (l4 == SN_L4_ICMP)
		return SN_V_NO_BINDING;
	o.binding = sn_ports_binding(&s->ports, job->block, l4,
				     __builtin_bswap16(job->public_port_be16) & (s->ports.block_size - 1));
	if (o.binding >= nat->region->binding_count)
		return SN_V_NO_BINDING;
	b = &nat->region->bindings[o.binding];
	if (b->subscriber >= nat->region->subscriber_count)
		return SN_V_NO_BINDING;
	sub = &nat->region->subscribers[b->subscriber];
	rule = sn_policy_rule(nat->policy, sub->inside_be32);
	if (rule == SN_NONE || nat->policy->rules[rule].filtering != SN_ENDPOINT_INDEPENDENT)
		return SN_V_FILTERED;
	job->realm = sub->realm;
	job->inside_be32 = sub->inside_be32;
	job->inside_port_be16 = b->inside_port_be16;
	flow_of_job(nat, job, &o.flow);
	o.flow.rule = (uint8_t)rule;
	o.flow.flags |= SN_FLOW_FROM_OUTSIDE;
	o.flow.status |= SN_ST_DST_NAT;
	return open_and_rewrite(nat, job, &o);
}

static __attribute__((noinline)) enum sn_verdict first_packet(struct sn_nat *nat, struct sn_job *job)
{
	return job->from_inside ? first_from_inside(nat, job) : first_from_outside(nat, job);
}

/* --- packets of a flow --- */

static enum sn_verdict flow_packet(struct sn_nat *nat, struct sn_job *job, uint32_t number)
{
	struct sn_shard *s = shard_of(nat, job);
	struct sn_flow *f = &nat->region->flows[number];
	enum sn_dir dir = sn_flow_dir(f, job->from_inside);
	enum sn_verdict v;
	struct sn_track t;

	if (ttl_over(job))
		return SN_V_TTL;
	refresh_next_hops(nat, f);
	v = find_way(nat, job, job->from_inside ? f->remote_be32 : f->inside_be32,
		     &f->nexthop[job->from_inside ? 0 : 1]);
	if (v != SN_V_FORWARD)
		return v;
	t = sn_track_packet(f, dir, &job->packet, nat->policy, nat->now_ds);
	/* The record follows what track says whatever becomes of the packet. */
	if (t.timeout_ds) {
		atomic_store_explicit(&f->expires_ds, nat->now_ds + t.timeout_ds, memory_order_relaxed);
		if (SN_UNLIKELY((f->flags & SN_FLOW_FROM_OUTSIDE) && dir == SN_DIR_REPLY))
			sn_shard_use_binding(s, f, nat->now_ds, t.timeout_ds);
	}
	if (t.outcome == SN_TRACK_ACCEPT || t.outcome == SN_TRACK_DESTROY)
		sn_flow_account(f, dir, job->packet.ip.len_b);
	if (t.change)
		sn_shard_update(s, number, t.change, nat->now_ns);
	if (SN_UNLIKELY(t.outcome == SN_TRACK_INVALID))
		return SN_V_INVALID;
	if (SN_UNLIKELY(t.outcome == SN_TRACK_REOPEN)) {
		sn_shard_close(s, number, SN_REASON_REOPENED, nat->policy, nat->now_ns);
		return first_packet(nat, job);
	}
	rewrite(nat, job, f);
	if (t.outcome == SN_TRACK_DESTROY)
		sn_shard_close(s, number, SN_REASON_RESET, nat->policy, nat->now_ns);
	return SN_V_FORWARD;
}

static enum sn_verdict translate_one(struct sn_nat *nat, struct sn_job *job)
{
	uint32_t number;

	if (SN_UNLIKELY(job->packet.kind == SN_PKT_ICMP_ERROR))
		return translate_error(nat, job);
	if (SN_UNLIKELY(job->packet.kind == SN_PKT_FRAGMENT))
		return translate_later(nat, job);
	number = find_flow(nat, job);
	return number == SN_NONE ? first_packet(nat, job) : flow_packet(nat, job, number);
}

enum sn_verdict sn_nat_translate(struct sn_nat *nat, struct sn_job *job)
{
	bool hairpin = !job->hairpin && job->to_pool;
	enum sn_verdict v = translate_one(nat, job);
	uint32_t worker;

	if (v != SN_V_FORWARD || !hairpin)
		return v;
	/* Second half: the same packet, now from outside, with the sender's public tuple as its source. */
	job->hairpin = true;
	job->from_inside = false;
	v = sn_nat_steer(nat, job);
	if (v != SN_V_FORWARD)
		return v;
	return sn_nat_mine(nat, job->shard, &worker) ? translate_one(nat, job) : SN_V_TO_OWNER;
}
