/* publish.c: see publish.h. */
#include "publish.h"

#include <limits.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdio.h>
#include <string.h>

#include "sockets.h"

/* Rounds of one shard before the next shard's turn. */
#define ROUNDS 8

/* Messages nng keeps per subscriber that is slow; what is beyond is lost to it, and it will know. */
#define SEND_MESSAGES 2048

static void listener_came(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct sn_publisher *p = arg;

	(void)pipe;
	atomic_fetch_add_explicit(&p->listeners, event == NNG_PIPE_EV_ADD_POST ? 1 : -1, memory_order_relaxed);
}

static void start_shard(struct sn_publisher *p, const struct sn_region *r, uint32_t shard)
{
	struct sn_publish_shard *s = &p->shards[shard];

	s->ring = sn_region_events(r, shard);
	s->start_seq = s->cursor = sn_event_head(&s->ring);
}

int sn_publisher_open(struct sn_publisher *p, const struct sn_region *r, const char *instance, const char *dir)
{
	int err;

	memset(p, 0, sizeof(*p));
	sn_view_init(&p->view, r);
	p->id = p->view.wall_ns;
	snprintf(p->instance, sizeof(p->instance), "%s", instance);
	for (uint32_t shard = 0; shard < r->geo.shards; shard++)
		start_shard(p, r, shard);
	err = nng_pub0_open(&p->socket);
	if (err)
		return err;
	nng_socket_set_int(p->socket, NNG_OPT_SENDBUF, SEND_MESSAGES);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_ADD_POST, listener_came, p);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_REM_POST, listener_came, p);
	err = sn_socket_listen(p->socket, dir, "events");
	if (err)
		nng_close(p->socket);
	return err;
}

void sn_publisher_close(struct sn_publisher *p)
{
	nng_close(p->socket);
}

static void send_batch(struct sn_publisher *p, const Shardnat__EventBatch *b)
{
	nng_msg *msg;

	if (nng_msg_alloc(&msg, sn_batch_size(b)))
		return;
	sn_batch_pack(b, nng_msg_body(msg));
	if (nng_sendmsg(p->socket, msg, NNG_FLAG_NONBLOCK))
		nng_msg_free(msg);
}

static void fill_event(struct sn_publisher *p, uint32_t i)
{
	const struct sn_event *e = &p->read[i];
	Shardnat__Event *event = &p->events[i];

	shardnat__event__init(event);
	shardnat__flow__init(&p->flows[i]);
	sn_view_event_flow(&p->view, e, &p->flows[i]);
	event->type = (Shardnat__EventType)e->type;
	event->seq = e->seq;
	event->wall_ns = sn_view_wall_of_ns(&p->view, e->time_ns);
	event->change = e->change;
	event->reason = (Shardnat__Reason)e->reason;
	event->flow = &p->flows[i];
}

/* What all batches of a round say alike. */
static void begin_round(struct sn_publisher *p, uint32_t shard, const struct sn_event *last, Shardnat__EventBatch *b)
{
	shardnat__event_batch__init(b);
	b->instance = p->instance;
	b->publisher = p->id;
	b->shard = shard;
	b->epoch = last->epoch;
	b->start_seq = p->shards[shard].start_seq;
	b->round_last_seq = last->seq;
	for (uint32_t type = 1; type <= SN_TOPICS; type++)
		b->round_topics |= p->count[type] ? 1u << type : 0;
}

static void publish_topic(struct sn_publisher *p, struct sn_publish_topic *t, uint32_t type, Shardnat__EventBatch *b)
{
	b->topic = (char *)sn_topic_name(type);
	b->prev_seq = t->last_seq;
	b->published = t->published;
	b->n_events = p->count[type];
	b->events = p->of_topic[type];
	b->first_seq = b->n_events ? b->events[0]->seq : 0;
	send_batch(p, b);
}

/* Sorts events [from, to) of the round by topic, and publishes them: one owner's epoch. */
static void publish_run(struct sn_publisher *p, uint32_t shard, uint32_t from, uint32_t to)
{
	bool heard = atomic_load_explicit(&p->listeners, memory_order_relaxed) > 0;
	Shardnat__EventBatch b;

	memset(p->count, 0, sizeof(p->count));
	for (uint32_t i = from; i < to; i++) {
		uint32_t type = p->read[i].type;

		if (heard)
			fill_event(p, i);
		else
			p->events[i].seq = p->read[i].seq;
		p->of_topic[type][p->count[type]++] = &p->events[i];
	}
	begin_round(p, shard, &p->read[to - 1], &b);
	for (uint32_t type = 1; type <= SN_TOPICS; type++) {
		struct sn_publish_topic *t = &p->shards[shard].topic[type];

		if (!p->count[type])
			continue;
		if (heard)
			publish_topic(p, t, type, &b);
		t->last_seq = p->of_topic[type][p->count[type] - 1]->seq;
		t->published += p->count[type];
	}
}

/* Tells every topic that events of the shard, of whatever class, were lost before they could be read. */
static void publish_missed(struct sn_publisher *p, uint32_t shard, uint64_t missed, uint64_t last_seq)
{
	struct sn_event mark = { .seq = last_seq, .epoch = sn_region_owner(p->view.region, shard).epoch };
	Shardnat__EventBatch b;

	memset(p->count, 0, sizeof(p->count));
	begin_round(p, shard, &mark, &b);
	b.round_topics = (1u << (SN_TOPICS + 1)) - 2;
	b.missed = missed;
	b.missed_last_seq = last_seq;
	for (uint32_t type = 1; type <= SN_TOPICS; type++)
		publish_topic(p, &p->shards[shard].topic[type], type, &b);
}

/* Drops what is no event (a corrupt ring): the number that is left. */
static uint32_t drop_corrupt(struct sn_publisher *p, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (p->read[i].type >= 1 && p->read[i].type <= SN_TOPICS)
			p->read[kept++] = p->read[i];
	return kept;
}

static uint32_t poll_round(struct sn_publisher *p, uint32_t shard)
{
	struct sn_publish_shard *s = &p->shards[shard];
	uint64_t before = s->cursor, missed;
	uint32_t read = sn_event_read(&s->ring, &s->cursor, p->read, SN_PUBLISH_ROUND, &missed);
	uint32_t count = drop_corrupt(p, read);
	uint32_t from = 0;

	missed += read - count;
	if (missed)
		publish_missed(p, shard, missed, before + missed);
	for (uint32_t i = 1; i <= count; i++) {
		if (i < count && p->read[i].epoch == p->read[from].epoch)
			continue;
		publish_run(p, shard, from, i);
		from = i;
	}
	return read;
}

uint32_t sn_publisher_poll(struct sn_publisher *p)
{
	uint32_t total = 0;

	for (uint32_t shard = 0; shard < p->view.region->geo.shards; shard++) {
		struct sn_publish_shard *s = &p->shards[shard];

		if (sn_event_head(&s->ring) == s->cursor)
			continue;
		sn_view_refresh(&p->view);
		for (int i = 0; i < ROUNDS; i++) {
			uint32_t read = poll_round(p, shard);

			total += read;
			if (read < SN_PUBLISH_ROUND)
				break;
		}
	}
	return total;
}
