/*
 * shardnat.h: the client library of shardnat, a carrier-grade NAT. Link with -lshardnat (pkg-config shardnat).
 *
 *	struct shardnat *node;
 *	struct shardnat_events *events;
 *	struct shardnat_event e;
 *
 *	if (shardnat_open(&node, NULL) == SHARDNAT_OK && shardnat_subscribe(node, SHARDNAT_ALL, &events) == SHARDNAT_OK)
 *		while (shardnat_events_next(events, -1, &e) == SHARDNAT_OK)
 *			...
 *
 * Contracts. Functions return SHARDNAT_OK (0) or an enum shardnat_error; results come through ret_ pointers, which a
 * failure leaves untouched. Handles are opaque and belong to one thread at a time; different handles are independent.
 * What a function says it gives is freed with the function it names; everything else belongs to the library. Closing
 * functions accept NULL. Messages are protobuf-c structures of shardnat.proto: fields are only ever added.
 *
 * Sockets are found in /run/shardnat, or where the environment's SHARDNAT_RUN_DIR says (tests).
 */
#ifndef SHARDNAT_H
#define SHARDNAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shardnat.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

enum shardnat_error {
	SHARDNAT_OK,
	SHARDNAT_E_NO_INSTANCE, /* none is running, or not the one that was named */
	SHARDNAT_E_SEVERAL,     /* several are running and none was named: see shardnat_instances() */
	SHARDNAT_E_PERMISSION,  /* the sockets are not for this user */
	SHARDNAT_E_NO_ANSWER,   /* the instance's API process is not there, or too slow */
	SHARDNAT_E_TIMEOUT,     /* nothing came in time */
	SHARDNAT_E_VERSION,     /* node and client speak different versions of the API */
	SHARDNAT_E_PROTOCOL,    /* the answer cannot be understood */
	SHARDNAT_E_REFUSED,     /* the node said no: see shardnat_refusal() */
	SHARDNAT_E_NO_MEMORY,
	SHARDNAT_E_INVALID,     /* an argument is not possible */
};

/* What an error means, in English. Lives for ever. */
const char *shardnat_strerror(int error);

/* --- the node --- */

struct shardnat;

#define SHARDNAT_NAME_B 32

/*
 * Names of the instances that have sockets, at most max; sorted. The number found (may be more than max), or a negative
 * enum shardnat_error.
 */
int shardnat_instances(char (*ret_names)[SHARDNAT_NAME_B], size_t max);

/* Where the sockets are looked for. Lives as long as the environment is not changed. */
const char *shardnat_run_dir(void);

/*
 * Connects to an instance's API; NULL is the only one there is. Gives a handle for shardnat_close().
 * NO_INSTANCE, SEVERAL, PERMISSION, NO_ANSWER, NO_MEMORY, INVALID (not a name).
 */
int shardnat_open(struct shardnat **ret_node, const char *instance);
void shardnat_close(struct shardnat *node);

/* The instance's name. Lives as long as the handle. */
const char *shardnat_instance(const struct shardnat *node);

/* How long a request may take before NO_ANSWER; 5000 ms by default. It survives a restart of the API in between. */
void shardnat_set_timeout(struct shardnat *node, int timeout_ms);

/* What the node said with the last REFUSED. Lives until the next request. */
const char *shardnat_refusal(const struct shardnat *node);

/* --- requests: each gives a reply for shardnat_reply_free(), in which the field of that name is set --- */
/* NO_ANSWER, VERSION, PROTOCOL, REFUSED, NO_MEMORY. */

/*
 * A page of the flow table: flows that match filter (NULL: all). cursor is 0 for the first page, then next_cursor of
 * the one before, until reply->flows->done. count_only leaves the flows out and counts them in matched. max_flows 0: a
 * good size.
 */
int shardnat_flows(struct shardnat *node, const Shardnat__FlowFilter *filter, uint64_t cursor, uint32_t max_flows,
		   bool count_only, Shardnat__Reply **ret_reply);

/*
 * Ends the flows of a page of the table that match; reply->delete_flows. Call again with next_cursor until done, or
 * until trouble is not empty: then `left` of the page's flows live on, or may. REFUSED: nothing was changed.
 */
int shardnat_delete_flows(struct shardnat *node, const Shardnat__FlowFilter *filter, uint64_t cursor, bool quiet,
			  Shardnat__Reply **ret_reply);
int shardnat_status(struct shardnat *node, Shardnat__Reply **ret_reply);
/* A page, as with flows. address 0: all subscribers. */
int shardnat_subscribers(struct shardnat *node, uint32_t address, uint64_t cursor, Shardnat__Reply **ret_reply);
int shardnat_pools(struct shardnat *node, Shardnat__Reply **ret_reply);
int shardnat_rules(struct shardnat *node, Shardnat__Reply **ret_reply);

void shardnat_reply_free(Shardnat__Reply *reply);

/* --- events --- */

struct shardnat_events;

/* Classes of events, to be or-ed. */
#define SHARDNAT_NEW (1u << SHARDNAT__EVENT_TYPE__EVENT_NEW)
#define SHARDNAT_UPDATE (1u << SHARDNAT__EVENT_TYPE__EVENT_UPDATE)
#define SHARDNAT_DESTROY (1u << SHARDNAT__EVENT_TYPE__EVENT_DESTROY)
#define SHARDNAT_ALL (SHARDNAT_NEW | SHARDNAT_UPDATE | SHARDNAT_DESTROY)

struct shardnat_event {
	const Shardnat__Event *event;      /* NULL: there is only something to tell about missed ones */
	const Shardnat__EventBatch *batch; /* it came in: instance, shard, epoch */
	uint64_t missed;                   /* events lost before this one */
	bool missed_at_most;               /* missed is an upper bound: it is not known which were of the subscribed classes */
};

/*
 * Subscribes to classes of events from now on. Gives a handle for shardnat_events_close(), independent of node from
 * then on. When the API is restarted the subscription is renewed by itself, and what was missed is told.
 * NO_ANSWER, PERMISSION, NO_MEMORY, INVALID (no class).
 */
int shardnat_subscribe(struct shardnat *node, unsigned int classes, struct shardnat_events **ret_events);
void shardnat_events_close(struct shardnat_events *events);

/*
 * The next event, in its shard's order; waits at most timeout_ms (0: not at all, -1: for ever), and 100 ms at most for
 * the rest of what has begun to arrive. What *ret points to lives until the next call. TIMEOUT, PROTOCOL (a message
 * that is none was dropped; going on is all right), NO_MEMORY.
 */
int shardnat_events_next(struct shardnat_events *events, int timeout_ms, struct shardnat_event *ret);

/* The same with a callback, until it returns other than 0 (returned) or next fails (negative enum shardnat_error). */
int shardnat_events_run(struct shardnat_events *events, int (*each)(void *ctx, const struct shardnat_event *event),
			void *ctx);

/* Whether the node is there just now. When it comes back the subscription goes on by itself. */
bool shardnat_events_connected(const struct shardnat_events *events);

/*
 * A descriptor to poll for reading before shardnat_events_next(..., 0, ...), which is then called until it says
 * TIMEOUT. Belongs to the handle. Negative: there is none.
 */
int shardnat_events_fd(struct shardnat_events *events);

/* --- reading messages: no node is needed --- */

/* One tuple of a flow, as conntrack shows it. Addresses and ports are numbers. */
struct shardnat_tuple {
	uint32_t src, dst;
	uint16_t src_port, dst_port; /* TCP, UDP */
	uint16_t icmp_id;
	uint8_t icmp_type, icmp_code;
	uint8_t proto;
};

/* The ORIGINAL or the REPLY tuple of a flow. */
struct shardnat_tuple shardnat_flow_tuple(const Shardnat__Flow *flow, bool reply);

/* Whether a flow is what a filter asks for; the node's own filter. NULL asks for nothing. */
bool shardnat_filter_match(const Shardnat__FlowFilter *filter, const Shardnat__Flow *flow);

/* Names: "SYN_SENT"; "tcp"; "expired". NULL for a number without a name. Live for ever. */
const char *shardnat_state_name(uint32_t state);
const char *shardnat_proto_name(uint32_t proto);
const char *shardnat_reason_name(uint32_t reason);

/* The number of a name, -1 if it is none. Case does not matter. */
int shardnat_state_number(const char *name);
int shardnat_proto_number(const char *name);

#ifdef __cplusplus
}
#endif

#endif
