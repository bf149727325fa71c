/*
 * order.h: what the API process asks control to have done, which it may not do itself.
 *
 * A SOCK_SEQPACKET socket, /run/shardnat/INSTANCE.ctl, that the supervisor listens on for control and that so outlives it.
 * The API connects, sends one struct sn_order, and gets one struct sn_order_done. Only the API's uid and root are heard.
 * Nothing is begun after an order's deadline, so one that control never saw in time is not carried out behind the back
 * of an operator who was told that it failed.
 */
#ifndef SN_ORDER_H
#define SN_ORDER_H

#include "base.h"

#define SN_ORDER_FLOWS 2048u

enum sn_order_op { SN_ORDER_DELETE = 1 };

/* A flow for ever: its record and the record's gen. */
struct sn_order_flow {
	uint32_t flow, gen;
};

/* On the wire: up to and including flows[count - 1]. */
struct sn_order {
	uint64_t deadline_ns; /* sn_clock_ns() */
	uint32_t op;          /* enum sn_order_op */
	uint32_t count;       /* 1..SN_ORDER_FLOWS */
	struct sn_order_flow flows[SN_ORDER_FLOWS];
};

#define SN_ORDER_B(count) (offsetof(struct sn_order, flows) + (size_t)(count) * sizeof(struct sn_order_flow))

/* The first `given` flows were told to their workers; the rest was not, because a worker takes nothing. */
struct sn_order_done {
	uint32_t given;
};

#endif
