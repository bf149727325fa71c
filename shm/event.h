/*
 * event.h: flow events. One ring per shard, broadcast: the producer never waits, each reader has a cursor of its own and
 * knows exactly how many records it missed. Sequence numbers start at 1 and never restart while the region lives.
 */
#ifndef SN_EVENT_H
#define SN_EVENT_H

#include "base.h"
#include "flow.h"

enum sn_event_type { SN_EVENT_NEW = 1, SN_EVENT_UPDATE, SN_EVENT_DESTROY };

/* What a packet changed (UPDATE); netfilter's IPCT bits that concern us. STATE makes the state word appear in the line. */
enum sn_change { SN_CHANGE_STATE = 1, SN_CHANGE_REPLY = 2, SN_CHANGE_ASSURED = 4 };

/* Why a flow ended (DESTROY). */
enum sn_reason {
	SN_REASON_NONE,
	SN_REASON_EXPIRED,  /* its timeout */
	SN_REASON_RESET,    /* RST before any reply */
	SN_REASON_REOPENED, /* a new SYN took its tuple */
	SN_REASON_COMMAND,  /* an operator */
	SN_REASON_WITHDRAWN /* its pool address or rule is gone */
};

struct sn_event {
	_Atomic uint64_t seq;  /* stored last, release; 0 while the slot is being written */
	uint64_t time_ns;      /* sn_clock_ns() */
	uint32_t flow, gen;    /* the record, and its gen while it was alive */
	uint32_t epoch;        /* of the shard's owner */
	uint8_t type;          /* enum sn_event_type */
	uint8_t change;        /* enum sn_change */
	uint8_t reason;        /* enum sn_reason */
	uint8_t flags;         /* enum sn_flow_flag */
	uint32_t inside_be32, public_be32, remote_be32;
	uint16_t inside_port_be16, public_port_be16, remote_port_be16;
	uint8_t proto, realm, state, shard;
	uint16_t status;
	uint8_t rule, pad;
	uint32_t timeout_ds;   /* left at the time of the event; 0 when it is over */
	uint32_t subscriber;   /* index */
	uint32_t block;        /* index, SN_NONE */
	uint32_t start_ds;
	uint64_t packets[2], bytes[2]; /* by enum sn_dir */
	uint64_t reserved[2];
} SN_ALIGNED(SN_CACHE_LINE);

static_assert(sizeof(struct sn_event) == 128, "two lines per event");

struct sn_event_head {
	_Atomic uint64_t head SN_ALIGNED(SN_CACHE_LINE); /* W: owner  the last sequence number published */
};

/* A process's view of one ring. */
struct sn_event_ring {
	struct sn_event_head *head;
	struct sn_event *slots;
	uint32_t slot_count; /* power of two */
};

/* The last sequence number published; 0 if there is none. */
uint64_t sn_event_head(const struct sn_event_ring *r);

/*
 * Owner: fills the next slot with *e (its seq is set here) and publishes it. The head's store is what makes the change
 * of an open intent true (intent.h), so this is the last thing before sn_intent_clear().
 */
void sn_event_publish(const struct sn_event_ring *r, const struct sn_event *e);

/*
 * Reader: copies at most max events after *cursor (the last sequence number seen; 0: from the start) and moves it.
 * Returns the number copied; *ret_missed is how many were overwritten before they could be read (the cursor is moved past them).
 */
uint32_t sn_event_read(const struct sn_event_ring *r, uint64_t *cursor, struct sn_event *ret_events, uint32_t max,
		       uint64_t *ret_missed);

/* Fills an event from a flow; type, change, reason, epoch and seq are 0 and subscriber and block SN_NONE for the caller to set. */
void sn_event_of_flow(struct sn_event *ret, const struct sn_flow *f, uint32_t flow, uint64_t now_ns);

#endif
