/*
 * traffic.bpf.c: the benchmark's generator and sink, in the kernel.
 *
 * generate: run over live frames (BPF_PROG_TEST_RUN); writes the whole frame anew, because the gateway changed the one
 * that comes back from the page pool, and sends it out of the ordered interface. sink: counts and drops what generate
 * made, wherever it is attached. pass: does nothing; a veth takes frames from its peer only while it has a program.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "traffic.h"

#define SCATTER 0x9e3779b1u /* odd: a permutation of the flows */
#define FLOWS_PER_SOURCE 16
#define SYN_SOURCES 16384
#define SPINS_MAX 100000
#define LATE_NS 500000
#define PORT_FIRST 1024
#define PORTS 60000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct wire_order);
} order SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wire_sent);
} sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wire_seen);
} seen SEC(".maps");

struct udp_frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u64 stamp_ns;
} __attribute__((packed));

struct tcp_frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct ends {
	__u32 source, target; /* host order */
	__u16 source_port;
};

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 address_sum(const struct ends *e)
{
	return (e->source >> 16) + (e->source & 0xffff) + (e->target >> 16) + (e->target & 0xffff);
}

static __always_inline void write_ip(struct iphdr *ip, const struct ends *e, __u32 id, __u32 len_b, __u8 protocol)
{
	id &= 0xffff;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(len_b);
	ip->id = bpf_htons(id);
	ip->frag_off = 0;
	ip->ttl = 64;
	ip->protocol = protocol;
	ip->saddr = bpf_htonl(e->source);
	ip->daddr = bpf_htonl(e->target);
	ip->check = bpf_htons(~fold(0x4500 + len_b + id + (64 << 8 | protocol) + address_sum(e)));
}

static __always_inline void write_eth(struct ethhdr *eth, const struct wire_order *o)
{
	__builtin_memcpy(eth->h_dest, o->destination, ETH_ALEN);
	__builtin_memcpy(eth->h_source, o->source, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
}

static __always_inline int write_udp(struct xdp_md *ctx, const struct wire_order *o, __u64 n)
{
	void *end = (void *)(long)ctx->data_end;
	struct udp_frame *f = (void *)(long)ctx->data;
	__u32 flow = o->flow_base + ((__u32)n * SCATTER & o->flow_mask);
	struct ends e = {
		.source = WIRE_SOURCE + flow / FLOWS_PER_SOURCE,
		.target = WIRE_TARGET + flow / FLOWS_PER_SOURCE % WIRE_TARGETS,
		.source_port = PORT_FIRST + (flow * 40503u >> 4) % PORTS,
	};
	__u32 len_b;

	if ((void *)(f + 1) > end)
		return 0;
	len_b = end - (void *)(&f->eth + 1);
	write_eth(&f->eth, o);
	write_ip((void *)(&f->eth + 1), &e, n, len_b, IPPROTO_UDP);
	f->udp.source = bpf_htons(e.source_port);
	f->udp.dest = bpf_htons(WIRE_PORT);
	f->udp.len = bpf_htons(len_b - sizeof(f->ip));
	f->udp.check = 0;
	f->stamp_ns = n & o->stamp_mask ? 0 : bpf_ktime_get_ns();
	return 1;
}

static __always_inline int write_syn(struct xdp_md *ctx, const struct wire_order *o, __u64 n)
{
	struct tcp_frame *f = (void *)(long)ctx->data;
	__u32 source = (__u32)n % SYN_SOURCES;
	struct ends e = {
		.source = WIRE_SOURCE + o->flow_base + source,
		.target = WIRE_TARGET + source % WIRE_TARGETS,
		.source_port = PORT_FIRST + (__u32)(n / SYN_SOURCES + source * 40503u) % PORTS,
	};
	__u32 sequence = (__u32)n * SCATTER;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return 0;
	write_eth(&f->eth, o);
	write_ip((void *)(&f->eth + 1), &e, n, sizeof(f->ip) + sizeof(f->tcp), IPPROTO_TCP);
	__builtin_memset(&f->tcp, 0, sizeof(f->tcp));
	f->tcp.source = bpf_htons(e.source_port);
	f->tcp.dest = bpf_htons(WIRE_PORT);
	f->tcp.seq = bpf_htonl(sequence);
	f->tcp.doff = 5;
	f->tcp.syn = 1;
	f->tcp.window = bpf_htons(64240);
	f->tcp.check = bpf_htons(~fold((__u64)address_sum(&e) + IPPROTO_TCP + sizeof(f->tcp) + e.source_port + WIRE_PORT +
				       (sequence >> 16) + (sequence & 0xffff) + 0x5002 + 64240));
	return 1;
}

/* IMIX, over twelve packets. The frame comes with its largest size. */
static __always_inline int cut(struct xdp_md *ctx, __u64 n)
{
	__u32 turn = (__u32)n % 12;
	int less = turn < 7 ? WIRE_LARGE_B - WIRE_SMALL_B : turn < 11 ? WIRE_LARGE_B - WIRE_MIDDLE_B : 0;

	return less ? bpf_xdp_adjust_tail(ctx, -less) : 0;
}

static long is_due(__u64 i, void *due_ns)
{
	(void)i;
	return bpf_ktime_get_ns() >= *(__u64 *)due_ns;
}

/*
 * Holds the first packet of a batch until it is due: the batch before has been flushed, and its softirqs have run. A delay of more than
 * LATE_NS is not made up for.
 */
static __always_inline void pace(struct wire_sent *s, const struct wire_order *o)
{
	__u64 due_ns = s->due_ns, now_ns;

	if (!o->gap_ns || s->in_batch++ % o->batch)
		return;
	bpf_loop(SPINS_MAX, is_due, &due_ns, 0);
	now_ns = bpf_ktime_get_ns();
	s->due_ns = (now_ns > due_ns + LATE_NS ? now_ns : due_ns) + o->gap_ns;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0, cpu = bpf_get_smp_processor_id();
	struct wire_order *o = bpf_map_lookup_elem(&order, &cpu);
	struct wire_sent *s = bpf_map_lookup_elem(&sent, &zero);
	__u64 n;
	int made;

	if (!o || !s)
		return XDP_ABORTED;
	pace(s, o);
	n = s->next++;
	if (o->kind == WIRE_IMIX && cut(ctx, n))
		return XDP_ABORTED;
	made = o->kind == WIRE_SYN ? write_syn(ctx, o, n) : write_udp(ctx, o, n);
	if (!made)
		return XDP_ABORTED;
	s->packets++;
	return bpf_redirect(o->ifindex, 0);
}

static __always_inline __u32 bucket(__u64 delay_ns)
{
	__u32 v = delay_ns > 0xffffffffu ? 0xffffffffu : delay_ns, log = 0;

	if (v < 16)
		return v;
#pragma unroll
	for (int step = 16; step; step /= 2)
		if (v >> (log + step))
			log += step;
	return (log - 3) * 8 + (v >> (log - 3));
}

static __always_inline void count(struct wire_seen *s, struct udp_frame *f, void *end)
{
	__u32 at;

	s->packets++;
	s->bytes += end - (void *)f;
	if (f->ip.protocol != IPPROTO_UDP || !f->stamp_ns)
		return;
	at = bucket(bpf_ktime_get_ns() - f->stamp_ns);
	if (at < WIRE_BUCKETS)
		s->delays[at]++;
}

/* The destination port is at the same place in UDP and TCP, and no frame is shorter than a UDP one with its stamp. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct udp_frame *f = (void *)(long)ctx->data;
	struct wire_seen *s;
	__u32 zero = 0;

	if ((void *)(f + 1) > end || f->eth.h_proto != bpf_htons(ETH_P_IP) || f->udp.dest != bpf_htons(WIRE_PORT) ||
	    (bpf_ntohl(f->ip.daddr) & ~(WIRE_TARGETS - 1)) != WIRE_TARGET)
		return XDP_PASS;
	s = bpf_map_lookup_elem(&seen, &zero);
	if (s)
		count(s, f, end);
	return XDP_DROP;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char license_text[] SEC("license") = "Apache-2.0";
