/*
 * steer.h: what the XDP program (steer.bpf.c) and its loader (ctrl/supervisor/xdp.c) share: the maps' keys and values,
 * and the program itself as an object in memory. Compiled for both sides, so kernel types and no libc.
 *
 * W: the loader, all maps but the counters, which the program writes per CPU. R: the program; the loader reads
 * counters.
 */
#ifndef SN_STEER_XDP_H
#define SN_STEER_XDP_H

#include <linux/types.h>

#define SN_STEER_INTERFACES_MAX 16 /* as SN_INTERFACES_MAX */
#define SN_STEER_QUEUES_MAX 64
#define SN_STEER_SLOTS (SN_STEER_INTERFACES_MAX * SN_STEER_QUEUES_MAX)
#define SN_STEER_LOCAL_MAX 256
#define SN_STEER_VLANS_MAX 2

/* Slot of a socket in the socket map. */
#define SN_STEER_SLOT(interface, queue) ((interface) * SN_STEER_QUEUES_MAX + (queue))

/* Map `interfaces`, by ifindex. An interface that is not in it passes everything. */
struct sn_steer_interface {
	__u32 side;  /* enum sn_side: 0 inside, 1 outside */
	__u32 index; /* in the policy, below SN_STEER_INTERFACES_MAX */
};

/*
 * Maps `inside` (subscribers' prefixes) and `outside` (pools and pass-through): longest prefix match; the value is a
 * mere 1.
 */
struct sn_steer_prefix {
	__u32 bits;
	__u32 addr_be32;
};

/* Map `counters`, per CPU: packets by what became of them. */
enum sn_steer_counter {
	SN_STEER_REDIRECTED,
	SN_STEER_PASSED,
	SN_STEER_DROPPED, /* NAT traffic of a queue without a live socket */
	SN_STEER_COUNTERS
};

#ifndef __bpf__
/* The compiled program, an ELF object. */
extern const unsigned char sn_steer_object[], sn_steer_object_end[];
#endif

#endif
