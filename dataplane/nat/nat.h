/*
 * nat.h: what happens to one packet between parse and transmission: which shard decides about it (steer), which flow it is of or
 * opens (translate), and where it goes (nexthop).
 *
 *     parse -> sn_nat_steer -> not this worker's shard: hand off
 *                           -> sn_nat_translate -> flow hit: track, rewrite
 *                                               -> no flow: rule or binding, track, open, rewrite
 *                                               -> to a pool address, from inside: hairpin, steer again as from outside
 *
 * One struct sn_nat per worker, private. Nothing here blocks, allocates or makes a system call.
 */
#ifndef SN_NAT_H
#define SN_NAT_H

#include "packet/parse.h"
#include "policy.h"
#include "region.h"
#include "shard.h"

/*
 * A resolved next hop as a worker keeps it: good as long as the neighbour's sequence number and the policy are what they were when it
 * was copied.
 */
struct sn_hop {
	const _Atomic uint32_t *live_seq; /* of the neighbour; NULL: nothing here */
	uint32_t seq;
	uint16_t number;      /* of the neighbour */
	uint16_t interface;
	uint16_t mtu_b;       /* of the interface */
	uint8_t macs[12];     /* destination and source */
	uint32_t used_ds;     /* when this was last said in the neighbour's entry */
};

#define SN_HOPS 64
#define SN_NAT_BURST 64 /* jobs of a burst at most */
#define SN_IDENTS 1024 /* counters of IP identifications, power of two */

struct sn_nat {
	struct sn_region *region;
	struct sn_shard *shards;        /* by number; joined where owned[] */
	uint64_t *owned;                /* by shard: the packed owner word that makes it ours, 0 where it is not */
	struct sn_ports ports;          /* as all shards see them: addresses and block owners */
	uint32_t worker;
	/* Taken once per burst. */
	const struct sn_policy *policy;
	uint64_t now_ns;
	uint32_t now_ds;
	uint32_t route_gen;
	uint64_t hops_generation;       /* of the policy that hops[] are of */
	struct sn_foresight seen[SN_NAT_BURST]; /* what was foreseen in this burst */
	struct sn_hop hops[SN_HOPS];    /* by the low bits of the neighbour's number */
	uint16_t idents[2][SN_IDENTS]; /* next IP identification, of whole packets and of fragments: ident.c */
};

/* A packet on its way. */
struct sn_job {
	struct sn_packet packet;
	uint16_t interface;   /* it came in by: index in the policy */
	bool from_inside;
	bool hairpin;         /* translated outwards already; its TTL is lowered */
	bool fragment;        /* a part of a datagram; told is about it */
	bool to_pool;         /* from inside: it is addressed to a pool address of ours */
	uint8_t realm;
	uint8_t verdict;      /* enum sn_verdict, as far as it has come */
	uint32_t shard;       /* that decides */
	uint32_t block;       /* from outside, to a pool address: the block of the port, SN_NONE for pass-through */
	uint32_t flow;        /* probably its flow's number: not compared yet; SN_NONE */
	const struct sn_foresight *seen; /* what was foreseen of its opening, NULL */
	uint64_t hash;        /* of its key in that shard's flow index */
	/* The ends as its key has them; of an ICMP error, those of the packet that it quotes. Ports as in struct sn_flow. */
	uint32_t inside_be32, remote_be32, public_be32;
	uint16_t inside_port_be16, remote_port_be16, public_port_be16;
	uint8_t proto;
	/* After translate, with SN_V_FORWARD. */
	uint16_t neighbour;   /* next hop's number, or SN_NEIGHBOUR_UNKNOWN: ask for (out_interface, hop_be32) */
	uint16_t out_interface;
	uint32_t hop_be32;
	const struct sn_hop *hop; /* NULL: not resolved, or not looked at, then by neighbour */
	uint16_t cut_b;       /* it is bigger than that: to be sent in fragments of at most so many bytes; 0: as it is */
	struct sn_told told;  /* of a fragment */
	/* An ICMP error to send about it, whatever the verdict; 0: none. */
	uint8_t error_type, error_code;
	uint16_t error_mtu_b;
};

/*
 * Finds the shard and the key of a parsed packet (job->packet, interface, from_inside, hairpin, realm are set). SN_V_FORWARD, or
 * NO_BINDING when its port's block is nobody's, NO_RULE when its destination is neither in a pool nor passed through.
 */
enum sn_verdict sn_nat_steer(const struct sn_nat *nat, struct sn_job *job);

/* Whether the job's shard is this worker's now; otherwise the worker that has it, SN_NONE if nobody has. */
bool sn_nat_mine(const struct sn_nat *nat, uint32_t shard, uint32_t *ret_worker);

/*
 * The same for a burst of parsed packets, in stages, so that what each stage reads is on its way while others are worked on. job->verdict
 * says which take part (SN_V_FORWARD) and becomes what steer says, or SN_V_TO_OWNER where the shard is not this worker's. Afterwards
 * translate finds the lines that it reads near; nothing is decided yet, as packets of one burst may be of one flow.
 */
void sn_nat_steer_burst(struct sn_nat *nat, struct sn_job *jobs, uint32_t n);

/*
 * Decides, tracks and rewrites; the shard must be mine. SN_V_FORWARD: send it to the next hop in the job. SN_V_TO_OWNER: a
 * hairpinned packet that is now as from outside and whose shard is another worker's (job->shard is set): hand it off.
 * Any other verdict: drop it.
 */
enum sn_verdict sn_nat_translate(struct sn_nat *nat, struct sn_job *job);

/* At the start of a burst: forgets the hops of another policy. */
void sn_nat_refresh_hops(struct sn_nat *nat);

/*
 * An IP identification for a packet that may be fragmented (RFC 6864 5.3.1): of its source, destination and protocol alone until
 * the counter is round, whichever subscriber and worker it is from. fragment: of a datagram that comes in fragments, whose
 * source is not known yet.
 */
uint16_t sn_nat_ident(struct sn_nat *nat, bool fragment, uint32_t src_be32, uint32_t dst_be32, uint8_t proto);

/*
 * Next hop towards dst for a packet of len_b bytes (IP). Sets hop, or neighbour, out_interface and hop_be32, or gives NO_ROUTE, SELF, or
 * TOO_BIG with the ICMP error to send in the job (with DF; without, cut_b is set).
 * cache: a flow's remembered number (see sn_flow.nexthop), may be NULL.
 */
enum sn_verdict sn_nat_next_hop(struct sn_nat *nat, struct sn_job *job, uint32_t dst_be32, uint16_t *cache);

/* The same for a flow whose next hop is remembered and kept here: true, and job->hop is set. */
static inline bool sn_nat_known_hop(const struct sn_nat *nat, struct sn_job *job, uint16_t number)
{
	const struct sn_hop *h = &nat->hops[number % SN_HOPS];

	if (h->number != number || !h->live_seq ||
	    atomic_load_explicit(h->live_seq, memory_order_acquire) != h->seq || job->packet.ip.len_b > h->mtu_b)
		return false;
	job->hop = h;
	return true;
}

#endif
