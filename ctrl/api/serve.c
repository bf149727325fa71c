/* serve.c: see serve.h. */
#include "serve.h"

#include <errno.h>
#include <nng/protocol/reqrep0/rep.h>
#include <string.h>

#include "answer.h"
#include "codec.h"
#include "sockets.h"

static nng_msg *pack(const Shardnat__Reply *reply)
{
	nng_msg *msg;

	if (nng_msg_alloc(&msg, shardnat__reply__get_packed_size(reply)))
		return NULL;
	shardnat__reply__pack(reply, nng_msg_body(msg));
	return msg;
}

/* The answer to any bytes at all; NULL if there is no memory for it. */
static nng_msg *answer(struct sn_server *s, const uint8_t *bytes, size_t len_b)
{
	Shardnat__Reply reply = SHARDNAT__REPLY__INIT;
	Shardnat__Request *rq = NULL;
	nng_msg *msg;
	int err = sn_request_unpack(bytes, len_b, &rq);

	sn_arena_reset(&s->arena);
	reply.version = SHARDNAT__API__API_VERSION;
	if (!err && rq->kind_case == SHARDNAT__REQUEST__KIND_DELETE_FLOWS)
		sn_delete_answer(&s->delete, &s->view, &s->arena, rq->delete_flows, &reply);
	else if (!err)
		sn_answer(&s->view, &s->arena, rq, &reply);
	else if (err == -EPROTONOSUPPORT)
		sn_answer_error(&s->arena, SHARDNAT__ERROR_CODE__ERROR_VERSION, "this node speaks API version 1",
				&reply);
	else
		sn_answer_error(&s->arena, SHARDNAT__ERROR_CODE__ERROR_MALFORMED, "not a request", &reply);
	msg = pack(&reply);
	sn_request_free(rq);
	return msg;
}

static void *serve(void *arg)
{
	struct sn_server *s = arg;
	nng_msg *rq, *reply;

	for (;;) {
		int err = nng_recvmsg(s->socket, &rq, 0);

		if (err == NNG_ECLOSED)
			return NULL;
		if (err)
			continue;
		reply = answer(s, nng_msg_body(rq), nng_msg_len(rq));
		nng_msg_free(rq);
		if (reply && nng_sendmsg(s->socket, reply, 0))
			nng_msg_free(reply);
	}
}

static int listen_api(struct sn_server *s, const char *dir)
{
	int err = nng_rep0_open(&s->socket);

	if (err)
		return err;
	nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, SN_REQUEST_MAX_B);
	err = sn_socket_listen(s->socket, dir, "api");
	if (!err && pthread_create(&s->thread, NULL, serve, s))
		err = NNG_ENOMEM;
	if (err)
		nng_close(s->socket);
	return err;
}

int sn_server_open(struct sn_server *s, const struct sn_region *r, const char *dir, const char *control)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->delete.control = control;
	sn_view_init(&s->view, r);
	if (sn_arena_init(&s->arena, sn_answer_arena_b(r)))
		return NNG_ENOMEM;
	err = listen_api(s, dir);
	if (err)
		sn_arena_fini(&s->arena);
	return err;
}

void sn_server_close(struct sn_server *s)
{
	nng_close(s->socket);
	pthread_join(s->thread, NULL);
	sn_arena_fini(&s->arena);
}
