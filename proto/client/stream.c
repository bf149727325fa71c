/* stream.c: see stream.h. */
#include "stream.h"

#include <errno.h>
#include <string.h>

void sn_stream_init(struct sn_stream *s, unsigned int classes)
{
	memset(s, 0, sizeof(*s));
	s->classes = classes;
}

static void free_done(struct sn_stream *s)
{
	while (s->done_count)
		sn_batch_free(s->done[--s->done_count]);
}

void sn_stream_fini(struct sn_stream *s)
{
	free_done(s);
	while (s->held_count)
		sn_batch_free(s->held[--s->held_count]);
	sn_batch_free(s->following);
	s->following = NULL;
}

void sn_stream_seed(struct sn_stream *s, uint32_t shard, uint64_t seq)
{
	if (shard < SN_STREAM_SHARDS)
		s->shards[shard].last_seq = seq;
}

static void lose(struct sn_stream *s, uint64_t count, bool of_any_class)
{
	s->missed += count;
	s->missed_at_most |= of_any_class && s->classes != SHARDNAT_ALL;
}

/* The first batch of a shard by a publisher. What a predecessor left unpublished is lost to us. */
static void meet_publisher(struct sn_stream *s, struct sn_stream_shard *g, const Shardnat__EventBatch *b)
{
	if (s->publisher != b->publisher) {
		s->restarted = s->publisher != 0;
		s->publisher = b->publisher;
	}
	if (s->restarted && b->start_seq > g->last_seq)
		lose(s, b->start_seq - g->last_seq, true);
	for (uint32_t type = 1; type <= SN_TOPICS; type++) {
		g->known[type] = s->restarted;
		g->expected[type] = 0;
	}
	g->publisher = b->publisher;
}

static void account(struct sn_stream *s, const Shardnat__EventBatch *b)
{
	struct sn_stream_shard *g = &s->shards[b->shard];
	uint32_t type = sn_topic_type(b->topic);

	if (g->publisher != b->publisher)
		meet_publisher(s, g, b);
	if (g->known[type] && b->published > g->expected[type])
		lose(s, b->published - g->expected[type], false);
	g->known[type] = true;
	g->expected[type] = b->published + b->n_events;
	if (b->missed && b->missed_last_seq > g->missed_to) {
		lose(s, b->missed, true);
		g->missed_to = b->missed_last_seq;
	}
	if (b->n_events && b->events[b->n_events - 1]->seq > g->last_seq)
		g->last_seq = b->events[b->n_events - 1]->seq;
}

static bool same_round(const Shardnat__EventBatch *a, const Shardnat__EventBatch *b)
{
	return a->publisher == b->publisher && a->shard == b->shard && a->round_last_seq == b->round_last_seq;
}

/* Whether a batch belongs to the round that is held. */
static bool joins(const struct sn_stream *s, const Shardnat__EventBatch *b)
{
	for (unsigned int i = 0; i < s->held_count; i++)
		if (!same_round(s->held[i], b) || !strcmp(s->held[i]->topic, b->topic))
			return false;
	return true;
}

static bool complete(const struct sn_stream *s)
{
	unsigned int wanted = s->held[0]->round_topics & s->classes;

	for (unsigned int i = 0; i < s->held_count; i++)
		wanted &= ~(1u << sn_topic_type(s->held[i]->topic));
	return !wanted;
}

static void hold(struct sn_stream *s, Shardnat__EventBatch *b)
{
	account(s, b);
	s->next_event[s->held_count] = 0;
	s->held[s->held_count++] = b;
	s->ready = complete(s);
}

int sn_stream_put(struct sn_stream *s, Shardnat__EventBatch *b)
{
	if (b->shard >= SN_STREAM_SHARDS || !(s->classes & (1u << sn_topic_type(b->topic)))) {
		sn_batch_free(b);
		return -EBADMSG;
	}
	if (joins(s, b)) {
		hold(s, b);
		return 0;
	}
	s->following = b;
	s->ready = true;
	return 0;
}

void sn_stream_flush(struct sn_stream *s)
{
	s->ready = s->held_count != 0;
}

/* The held batch with the lowest sequence number to come; -1 when all are through. */
static int lowest(const struct sn_stream *s)
{
	int best = -1;
	uint64_t best_seq = UINT64_MAX;

	for (unsigned int i = 0; i < s->held_count; i++) {
		const Shardnat__EventBatch *b = s->held[i];

		if (s->next_event[i] < b->n_events && b->events[s->next_event[i]]->seq <= best_seq) {
			best = (int)i;
			best_seq = b->events[s->next_event[i]]->seq;
		}
	}
	return best;
}

static void next_round(struct sn_stream *s)
{
	Shardnat__EventBatch *b = s->following;

	free_done(s);
	memcpy(s->done, s->held, sizeof(s->held));
	s->done_count = s->held_count;
	s->held_count = 0;
	s->ready = false;
	s->following = NULL;
	if (b)
		hold(s, b);
}

static void tell_missed(struct sn_stream *s, struct shardnat_event *ret)
{
	ret->missed = s->missed;
	ret->missed_at_most = s->missed_at_most;
	s->missed = 0;
	s->missed_at_most = false;
}

bool sn_stream_pop(struct sn_stream *s, struct shardnat_event *ret)
{
	while (s->ready) {
		int i = lowest(s);

		if (i >= 0) {
			ret->batch = s->held[i];
			ret->event = s->held[i]->events[s->next_event[i]++];
			tell_missed(s, ret);
			return true;
		}
		if (s->missed) {
			ret->batch = s->held[0];
			ret->event = NULL;
			tell_missed(s, ret);
			return true;
		}
		next_round(s);
	}
	return false;
}
