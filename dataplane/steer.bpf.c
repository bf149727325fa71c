/*
 * steer.bpf.c: which packets are for NAT, and which are the kernel's (ARP, routing protocols, ssh, the node's own
 * addresses, everything that is not IPv4). Three programs with one decision (is_for_nat) over the same maps, and a fourth:
 *
 *     steer   XDP: NAT traffic into the workers' sockets; dropped where a queue has no live socket
 *     tap     filter of a packet socket: lets NAT traffic alone into it
 *     hold    tc ingress, after all taps: drops what tap let in, so that the kernel never forwards it untranslated
 *     guard   tc egress of an outside interface, which the workers' packets do not pass: drops what the kernel forwards with the
 *             source of a subscriber (it came in by an interface without steer: one made anew, say) or of a pool (a lie)
 *
 * NAT traffic never reaches the kernel's forwarding. The kernel has taken a VLAN tag off before tap and hold see the
 * packet: they leave tagged packets to it (a VLAN device on top is an interface like any other).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SN_STEER_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, struct sn_steer_interface);
} interfaces SEC(".maps");

struct prefixes {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* the loader sets it */
	__type(key, struct sn_steer_prefix);
	__type(value, __u32);
};
struct prefixes inside SEC(".maps");
struct prefixes outside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SN_STEER_LOCAL_MAX);
	__type(key, __u32);
	__type(value, __u32);
} local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SN_STEER_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SN_STEER_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* <linux/icmp.h> needs a libc. */
enum { UNREACHABLE = 3, SOURCE_QUENCH = 4, REDIRECT = 5, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12, ICMP_B = 8 };

/* <linux/if_packet.h> */
enum { PACKET_OUTGOING = 4 };

struct vlan_tag {
	__be16 tci, type;
};

static __always_inline int counted(int action)
{
	__u32 key = action == XDP_PASS ? SN_STEER_PASSED :
		    action == XDP_REDIRECT ? SN_STEER_REDIRECTED : SN_STEER_DROPPED;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);

	if (n)
		*n += 1;
	return action;
}

static __always_inline int is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* The IPv4 header behind the Ethernet header and up to two tags; NULL if there is none. */
static __always_inline struct iphdr *find_ip(void *data, void *end)
{
	struct ethhdr *eth = data;
	void *at = eth + 1;
	struct iphdr *ip;
	__be16 type;

	if (at > end)
		return 0;
	type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < SN_STEER_VLANS_MAX; i++) {
		struct vlan_tag *tag = at;

		if (!is_tag(type))
			break;
		if ((void *)(tag + 1) > end)
			return 0;
		type = tag->type;
		at = tag + 1;
	}
	ip = at;
	if (type != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return 0;
	return ip;
}

static __always_inline int may_have_icmp(const struct iphdr *ip)
{
	return ip->protocol == IPPROTO_ICMP && !(ip->frag_off & bpf_htons(0x1fff));
}

static __always_inline int is_error(__u8 type)
{
	switch (type) {
	case UNREACHABLE:
	case SOURCE_QUENCH:
	case REDIRECT:
	case TIME_EXCEEDED:
	case PARAMETER_PROBLEM:
		return 1;
	default:
		return 0;
	}
}

static __always_inline int is_icmp_error(struct iphdr *ip, void *end)
{
	const __u8 *icmp = (const __u8 *)ip + ip->ihl * 4;

	return may_have_icmp(ip) && (const void *)(icmp + ICMP_B) <= end && is_error(icmp[0]);
}

static __always_inline int is_group(__be32 addr)
{
	return (addr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || addr == 0xffffffff;
}

static __always_inline int covers(void *map, __be32 addr)
{
	struct sn_steer_prefix key = { .bits = 32, .addr_be32 = addr };

	return bpf_map_lookup_elem(map, &key) != 0;
}

static __always_inline int is_for_nat(const struct sn_steer_interface *on, const struct iphdr *ip, int icmp_error)
{
	__be32 to = ip->daddr;

	if (is_group(to) || bpf_map_lookup_elem(&local, &to))
		return 0;
	if (on->side)
		return covers(&outside, to);
	return covers(&inside, ip->saddr) || icmp_error;
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = find_ip((void *)(long)ctx->data, end);
	__u32 ifindex = ctx->ingress_ifindex;
	struct sn_steer_interface *on;

	if (!ip)
		return counted(XDP_PASS);
	on = bpf_map_lookup_elem(&interfaces, &ifindex);
	if (!on || !is_for_nat(on, ip, is_icmp_error(ip, end)))
		return counted(XDP_PASS);
	if (ctx->rx_queue_index >= SN_STEER_QUEUES_MAX)
		return counted(XDP_DROP);
	return counted(bpf_redirect_map(&sockets, SN_STEER_SLOT(on->index, ctx->rx_queue_index), XDP_DROP));
}

/* As find_ip and is_icmp_error, for a packet that may be in pieces. False: no IPv4, or a tag was on it. */
static __always_inline int load_ip(struct __sk_buff *skb, struct iphdr *ip, int *icmp_error)
{
	__u8 icmp[ICMP_B];

	*icmp_error = 0;
	if (skb->vlan_present || skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, sizeof(struct ethhdr), ip, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5)
		return 0;
	if (may_have_icmp(ip) && !bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + ip->ihl * 4, icmp, sizeof(icmp)))
		*icmp_error = is_error(icmp[0]);
	return 1;
}

static __always_inline int is_skb_for_nat(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct sn_steer_interface *on = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct iphdr ip;
	int icmp_error;

	return on && load_ip(skb, &ip, &icmp_error) && is_for_nat(on, &ip, icmp_error);
}

/* What the host sends itself passes a packet socket too. */
SEC("socket")
int tap(struct __sk_buff *skb)
{
	if (skb->pkt_type == PACKET_OUTGOING || !is_skb_for_nat(skb))
		return 0;
	counted(XDP_REDIRECT);
	return -1;
}

SEC("tc")
int hold(struct __sk_buff *skb)
{
	return is_skb_for_nat(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int guard(struct __sk_buff *skb)
{
	struct iphdr ip;
	__be32 from;
	int icmp_error;

	if (!load_ip(skb, &ip, &icmp_error))
		return TC_ACT_UNSPEC;
	from = ip.saddr;
	if (bpf_map_lookup_elem(&local, &from) || (!covers(&inside, from) && !covers(&outside, from)))
		return TC_ACT_UNSPEC;
	counted(XDP_DROP);
	return TC_ACT_SHOT;
}

char license_text[] SEC("license") = "Apache-2.0";
