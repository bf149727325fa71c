/*
 * stream.h: published batches in, single events out: in their shard's order, with every gap counted. Knows no socket.
 *
 * A round of a shard comes as one batch per class. Batches of one round are held until all that are subscribed are
 * there, and then merged by sequence number; a batch of another round, or a flush, ends a round in which a batch was
 * lost.
 *
 *     put, put ... -> ready -> pop, pop ... -> not ready
 *
 * Caller: the client library; one thread.
 */
#ifndef SN_STREAM_H
#define SN_STREAM_H

#include "client/shardnat.h"
#include "codec.h"

#define SN_STREAM_SHARDS 256

/* What is known of one shard. */
struct sn_stream_shard {
	uint64_t publisher;               /* that expected[] is about */
	uint64_t expected[SN_TOPICS + 1]; /* events of a class published before its next batch */
	bool known[SN_TOPICS + 1];        /* whether expected[] says anything */
	uint64_t last_seq;                /* highest sequence number seen */
	uint64_t missed_to;               /* EventBatch.missed is counted up to here */
};

struct sn_stream {
	unsigned int classes;
	uint64_t publisher;
	bool restarted;                   /* publisher is not the first one of this subscription */
	bool ready;
	uint64_t missed;                  /* not told yet */
	bool missed_at_most;
	unsigned int held_count;
	Shardnat__EventBatch *held[SN_TOPICS];
	size_t next_event[SN_TOPICS];     /* in held[] */
	Shardnat__EventBatch *following;  /* the first batch of the next round */
	Shardnat__EventBatch *done[SN_TOPICS]; /* the last event popped points into one of them */
	unsigned int done_count;
	struct sn_stream_shard shards[SN_STREAM_SHARDS];
};

void sn_stream_init(struct sn_stream *s, unsigned int classes);
void sn_stream_fini(struct sn_stream *s);

/* The shard's sequence number when the subscription began, so that a loss before its first event is seen too. */
void sn_stream_seed(struct sn_stream *s, uint32_t shard, uint64_t seq);

/* Takes a batch, always; only while the stream is not ready. -EBADMSG: a shard or class that cannot be. */
int sn_stream_put(struct sn_stream *s, Shardnat__EventBatch *give_batch);

/* Ends the round that is held, if there is one: nothing more of it will come. */
void sn_stream_flush(struct sn_stream *s);

/* The next event of a ready stream, *ret lives until the next call; false: there is none, put may be called again. */
bool sn_stream_pop(struct sn_stream *s, struct shardnat_event *ret);

#endif
