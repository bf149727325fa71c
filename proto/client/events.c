/* events.c: a subscription: messages from the SUB socket into the stream, events out of it. */
#include "client/node.h"

#include <nng/protocol/pubsub0/sub.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/stream.h"

/* Messages nng keeps for a subscriber that is slow; beyond that they are lost, and counted by the stream. */
#define RECEIVE_MESSAGES 2048

/* The batches of a round follow each other at once: one that is not there after this long was lost. */
#define ROUND_MS 2000

struct shardnat_events {
	nng_socket socket;
	_Atomic int pipes; /* W: nng's callbacks */
	struct sn_stream stream;
};

static void pipe_changed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct shardnat_events *ev = arg;

	(void)pipe;
	ev->pipes += event == NNG_PIPE_EV_ADD_POST ? 1 : -1;
}

static int subscribe_topics(nng_socket socket, unsigned int classes)
{
	for (uint32_t type = 1; type <= SN_TOPICS; type++) {
		const char *topic = sn_topic_name(type);
		int err;

		if (!(classes & (1u << type)))
			continue;
		err = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic) + 1);
		if (err)
			return sn_client_error(err);
	}
	return SHARDNAT_OK;
}

static int connect_events(struct shardnat_events *ev, const char *instance, unsigned int classes)
{
	int err = sn_client_error(nng_sub0_open(&ev->socket));

	if (err)
		return err;
	nng_socket_set_int(ev->socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES);
	nng_socket_set_bool(ev->socket, NNG_OPT_SUB_PREFNEW, false);
	nng_socket_set_size(ev->socket, NNG_OPT_RECVMAXSZ, SN_REPLY_MAX_B);
	nng_pipe_notify(ev->socket, NNG_PIPE_EV_ADD_POST, pipe_changed, ev);
	nng_pipe_notify(ev->socket, NNG_PIPE_EV_REM_POST, pipe_changed, ev);
	err = subscribe_topics(ev->socket, classes);
	if (!err)
		err = sn_client_dial(ev->socket, instance, "events");
	if (err)
		nng_close(ev->socket);
	return err;
}

static int seed(struct shardnat *n, struct sn_stream *s)
{
	Shardnat__Reply *reply;
	int err = shardnat_status(n, &reply);

	if (err)
		return err;
	for (size_t i = 0; i < reply->status->n_shards; i++)
		sn_stream_seed(s, reply->status->shards[i]->number, reply->status->shards[i]->event_head);
	shardnat_reply_free(reply);
	return SHARDNAT_OK;
}

int shardnat_subscribe(struct shardnat *n, unsigned int classes, struct shardnat_events **ret_events)
{
	struct shardnat_events *ev;
	int err;

	if (!classes || (classes & ~SHARDNAT_ALL))
		return SHARDNAT_E_INVALID;
	ev = malloc(sizeof(*ev));
	if (!ev)
		return SHARDNAT_E_NO_MEMORY;
	ev->pipes = 0;
	sn_stream_init(&ev->stream, classes);
	err = connect_events(ev, n->instance, classes);
	if (err)
		goto fail_events;
	err = seed(n, &ev->stream);
	if (err)
		goto fail_socket;
	*ret_events = ev;
	return SHARDNAT_OK;

fail_socket:
	nng_close(ev->socket);
fail_events:
	free(ev);
	return err;
}

void shardnat_events_close(struct shardnat_events *ev)
{
	if (!ev)
		return;
	nng_close(ev->socket);
	sn_stream_fini(&ev->stream);
	free(ev);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One message into the stream. SHARDNAT_E_TIMEOUT: none came. */
static int receive(struct shardnat_events *ev, int timeout_ms)
{
	Shardnat__EventBatch *batch;
	nng_msg *msg;
	int err;

	nng_socket_set_ms(ev->socket, NNG_OPT_RECVTIMEO, timeout_ms < 0 ? NNG_DURATION_INFINITE : timeout_ms);
	err = nng_recvmsg(ev->socket, &msg, timeout_ms ? 0 : NNG_FLAG_NONBLOCK);
	if (err)
		return err == NNG_ETIMEDOUT || err == NNG_EAGAIN ? SHARDNAT_E_TIMEOUT : sn_client_error(err);
	err = sn_batch_unpack(nng_msg_body(msg), nng_msg_len(msg), &batch);
	nng_msg_free(msg);
	if (!err)
		err = sn_stream_put(&ev->stream, batch);
	return err ? SHARDNAT_E_PROTOCOL : SHARDNAT_OK;
}

/* How long to wait for the next message: not long while a round is incomplete. */
static int patience_ms(const struct shardnat_events *ev, int timeout_ms, int64_t deadline_ms)
{
	int64_t left_ms = timeout_ms < 0 ? INT_MAX : deadline_ms - now_ms();

	if (ev->stream.held_count)
		return ROUND_MS;
	if (timeout_ms < 0)
		return -1;
	return left_ms > 0 ? (int)left_ms : 0;
}

int shardnat_events_next(struct shardnat_events *ev, int timeout_ms, struct shardnat_event *ret)
{
	int64_t deadline_ms = timeout_ms > 0 ? now_ms() + timeout_ms : 0;

	while (!sn_stream_pop(&ev->stream, ret)) {
		int err = receive(ev, patience_ms(ev, timeout_ms, deadline_ms));

		if (err == SHARDNAT_E_TIMEOUT && ev->stream.held_count)
			sn_stream_flush(&ev->stream);
		else if (err)
			return err;
	}
	return SHARDNAT_OK;
}

int shardnat_events_run(struct shardnat_events *ev, int (*each)(void *ctx, const struct shardnat_event *event),
			void *ctx)
{
	struct shardnat_event e;
	int err;

	for (;;) {
		err = shardnat_events_next(ev, -1, &e);
		if (err)
			return -err;
		err = each(ctx, &e);
		if (err)
			return err;
	}
}

bool shardnat_events_connected(const struct shardnat_events *ev)
{
	return ev->pipes > 0;
}

int shardnat_events_fd(struct shardnat_events *ev)
{
	int fd;

	return nng_socket_get_int(ev->socket, NNG_OPT_RECVFD, &fd) ? -1 : fd;
}
