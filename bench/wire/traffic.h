/*
 * traffic.h: what the benchmark's XDP programs (traffic.bpf.c) and their loader (traffic.c) share.
 *
 * W: the loader, `order`; the programs, per CPU, `sent` and `seen`. R: each the other's.
 */
#ifndef WIRE_TRAFFIC_H
#define WIRE_TRAFFIC_H

#include <linux/types.h>

#define WIRE_SMALL_B 60 /* 64 on the wire, with the frame check sequence */
#define WIRE_MIDDLE_B 590
#define WIRE_LARGE_B 1514

/* Inside sources are 100.64.0.0/10 from here on; destinations 192.0.2.16 to .31, one port. */
#define WIRE_SOURCE 0x64400100u
#define WIRE_TARGET 0xc0000210u
#define WIRE_TARGETS 16
#define WIRE_PORT 7000

enum wire_kind {
	WIRE_UDP, /* flows in a fixed, scattered order, over and over */
	WIRE_IMIX, /* likewise, 7:4:1 of the three sizes */
	WIRE_SYN   /* every packet is the first of a new TCP connection */
};

/* Map `order`, one per CPU: what the generator on that CPU makes. */
struct wire_order {
	__u32 ifindex; /* 0: none yet */
	__u32 kind;
	__u32 flow_mask; /* flows - 1 */
	__u32 flow_base; /* first flow of this CPU */
	__u32 stamp_mask; /* a timestamp in each packet whose number has none of these bits */
	__u32 batch;      /* packets between two looks at the clock */
	__u32 gap_ns;     /* between two batches; 0: as fast as it is told */
	__u8 destination[6], source[6];
};

/* Map `sent`, per CPU. The loader resets due_ns and in_batch. next runs on from order to order: a SYN is never the same twice. */
struct wire_sent {
	__u64 packets;
	__u64 next;
	__u64 due_ns; /* next batch; 0 at the start of an order */
	__u32 in_batch;
};

/* Delays, in ns: bucket = 8 * log2 + the next three bits. */
#define WIRE_BUCKETS 256

/* Map `seen`, per CPU: what came to the sink. */
struct wire_seen {
	__u64 packets;
	__u64 bytes;
	__u64 delays[WIRE_BUCKETS];
};

#ifndef __bpf__
/* The compiled programs, an ELF object. */
extern const unsigned char wire_object[], wire_object_end[];
#endif

#endif
