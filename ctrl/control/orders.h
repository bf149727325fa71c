/*
 * orders.h: what the API asks control to have done (shm/order.h): each flow becomes a command to the worker that owns
 * it. Caller: control's loop.
 *
 * One connection and one order at a time; an order that meets a full ring goes on in later turns, until its deadline. A
 * connection that says nothing is closed after a while, so that it does not keep the next one waiting.
 */
#ifndef SN_CONTROL_ORDERS_H
#define SN_CONTROL_ORDERS_H

#include "order.h"
#include "region.h"

struct sn_orders {
	const struct sn_region *region;
	int listening;       /* -1: nobody can ask */
	int peer;            /* -1: none */
	uint64_t silent_ns;  /* when the peer is closed, if it says nothing */
	bool busy;           /* with order, from flows[next] on */
	uint32_t next;
	uint64_t touched;    /* bit per worker: has new commands since sn_orders_touched() */
	uint64_t refused, carried_out; /* connections; flows */
	struct sn_order order;
};

/* listening is a non-blocking listening socket, or -1. */
void sn_orders_init(struct sn_orders *o, const struct sn_region *r, int listening);
void sn_orders_fini(struct sn_orders *o);

/* A descriptor to poll for reading before the next sn_orders_serve(); -1: none. */
int sn_orders_fd(const struct sn_orders *o);

/* Goes on. In how many milliseconds to call again, at most limit_ms. */
uint32_t sn_orders_serve(struct sn_orders *o, uint32_t limit_ms);

/* Workers (bits) that got commands since the last call: to be woken if they sleep. */
uint64_t sn_orders_touched(struct sn_orders *o);

#endif
