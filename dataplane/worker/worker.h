/*
 * worker.h: one worker process: its ports, its shards, its packet memory, and the loop that joins them.
 *
 *     rx burst ----+                                          +--> port's batch --> tx
 *     hand-off in -+--> burst: parse, steer, translate, send -+--> hand-off out (another worker's shard)
 *     waiting room +                                          +--> waiting room (next hop not resolved)
 *
 * One thread, one struct sn_worker, no allocation once it runs.
 */
#ifndef SN_WORKER_H
#define SN_WORKER_H

#include "io/uring.h"
#include "nat/nat.h"
#include "packet/fragments.h"
#include "ring.h"

#define SN_WAITING_MAX 256

/* A packet that was taken from somewhere: it is in our UMEM, in SN_FRAME_WORK. */
struct sn_arrival {
	struct sn_desc desc;
	uint16_t interface;
	bool hairpin;
	bool is_told;         /* a fragment, and told says of what */
	struct sn_told told;
};

/* A packet that waits for its next hop's MAC address. */
struct sn_waiting {
	struct sn_desc desc;
	uint16_t interface; /* way out */
	uint32_t hop_be32;
	uint32_t until_ds;
};

/* Packets to send by one port, gathered over a burst. */
struct sn_batch {
	struct sn_desc descs[2 * SN_BURST];
	uint32_t n;
};

struct sn_worker {
	uint32_t number;
	struct sn_region region;
	struct sn_nat nat;
	struct sn_worker_stats *stats;
	struct sn_umem umem[SN_WORKERS_MAX]; /* by worker: ours as owner, the others' to hand packets over */
	struct sn_port ports[SN_SOCKETS_MAX];
	struct sn_batch batches[SN_SOCKETS_MAX];
	uint32_t port_count;
	uint16_t port_of_interface[SN_INTERFACES_MAX]; /* the port that sends for an interface, UINT16_MAX none */
	struct sn_ring handoff_in[SN_WORKERS_MAX], handoff_out[SN_WORKERS_MAX];
	uint32_t handoff_filled[SN_WORKERS_MAX];       /* slots filled in this burst, not published */
	struct sn_ring commands, requests;
	int wake_fds[SN_WORKERS_MAX + 1];              /* the last one in use is control's */
	struct sn_waiting waiting[SN_WAITING_MAX];
	uint32_t waiting_count;
	struct sn_fragments fragments;
	struct sn_arrival held[SN_FRAGMENTS_HELD];     /* by place in fragments */
	uint32_t error_tokens, error_tokens_ds;        /* ICMP errors that may be sent */
	uint16_t ip_id;
	uint32_t tick_ds;                              /* when ticks were last done */
	uint32_t stats_ds;                             /* when sockets were last asked */
	uint32_t idle_rounds;
	struct sn_uring *uring;
};

/* --- burst.c --- */

/* Handles n <= SN_BURST arrivals to their verdicts. What is to be sent is in the ports' batches afterwards. */
void sn_burst_run(struct sn_worker *w, const struct sn_arrival *arrivals, uint32_t n);

/* Queues a frame whose next hop is known for sending; counts FORWARD, or TX_FULL if the batch cannot take it. */
void sn_burst_send(struct sn_worker *w, struct sn_desc desc, uint16_t interface);

/* Gives the batches to the ports; what a port does not take ends as TX_FULL. */
void sn_burst_flush(struct sn_worker *w);

static inline void sn_count(struct sn_worker *w, enum sn_verdict v)
{
	w->stats->verdict[v]++;
}

/* Ends a packet: counts its verdict and frees its frame. */
void sn_burst_drop(struct sn_worker *w, uint32_t frame, enum sn_verdict v);

/* --- handoff.c --- */

/* At start: every slot of the rings to us gets a frame of ours; those that a predecessor left keep theirs. */
void sn_handoff_recover(struct sn_worker *w);
void sn_handoff_stock(struct sn_worker *w);

/* Copies a packet into the next slot to worker `to`. False: no room there. Published by sn_handoff_flush. */
bool sn_handoff_put(struct sn_worker *w, uint32_t to, const struct sn_job *job, const uint8_t *packet, uint32_t len_b);
void sn_handoff_flush(struct sn_worker *w);

/* Takes up to max packets from the rings to us; each slot gets a fresh frame for the one that is taken. */
uint32_t sn_handoff_take(struct sn_worker *w, uint32_t from, struct sn_arrival *arrivals, uint32_t max);

/* --- waiting.c --- */

/* Sends a packet to (interface, hop), now if its MAC address is known, later if not. number: the neighbour's, if it is known. */
void sn_waiting_send(struct sn_worker *w, struct sn_desc desc, uint16_t interface, uint32_t hop_be32, uint16_t number);

/* Tries those that wait again. */
void sn_waiting_retry(struct sn_worker *w);

/* --- fragments.c --- */

/* A job's verdict when its packet has been disposed of before the end of its burst. */
#define SN_JOB_GONE SN_V_COUNT

/*
 * A fragment (sn_parse said SN_V_FRAGMENT): job->verdict becomes SN_V_FORWARD, with the ports in job->packet.ip, or SN_JOB_GONE: it is held
 * until its first one comes, or has gone to the worker that keeps its datagram. Otherwise it stays, and the packet is to be dropped.
 */
void sn_fragment_arrives(struct sn_worker *w, struct sn_job *job, const struct sn_arrival *a);

/* Held ones whose first one has come. */
uint32_t sn_fragments_take(struct sn_worker *w, struct sn_arrival *arrivals, uint32_t max);

/* Drops those whose time is over. */
void sn_fragments_tick(struct sn_worker *w);

/* Sends a translated packet that is bigger than job->cut_b, in fragments, in order. */
void sn_fragment_send(struct sn_worker *w, struct sn_job *job, struct sn_desc desc);

/* --- command.c --- */

/* Carries out what control asked for, at most a bounded number. Returns how many commands were taken. */
uint32_t sn_command_run(struct sn_worker *w);

/* --- sleep.c --- */


/* Sleeps until a port, the eventfd or a signal wants us, at most timeout_ms. */
void sn_sleep(struct sn_worker *w, uint32_t timeout_ms);

/* Wakes a process that may sleep: worker number, or geo.workers for control. */
void sn_wake(struct sn_worker *w, uint32_t who);

/* --- loop.c --- */

/* Finds the worker's parts of w->region, which is joined. Before everything else. 0 or -ENOMEM. */
int sn_worker_init(struct sn_worker *w, uint32_t number);

/* Takes over shards and frames from whoever had them before, and says so in the statistics. */
void sn_worker_take_over(struct sn_worker *w);

/* One turn: commands, a burst from each port and ring, ticks, what is to be sent. How much there was to do. For benchmarks too. */
uint32_t sn_worker_turn(struct sn_worker *w);

/* Turns and sleeps until *stop. */
void sn_worker_run(struct sn_worker *w, const volatile int *stop);

/* --- sandbox.c --- */

/* The system calls a running worker needs, and no others. 0 or -errno. */
int sn_sandbox_enter(void);

#endif
