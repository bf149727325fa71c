/* requests.c: the handle of a node, and what can be asked of it. */
#include "client/node.h"

#include <errno.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

#define TIMEOUT_MS 5000

const char *shardnat_strerror(int error)
{
	static const char *const texts[] = {
		[SHARDNAT_OK] = "no error",
		[SHARDNAT_E_NO_INSTANCE] = "no such instance is running",
		[SHARDNAT_E_SEVERAL] = "several instances are running, and none was named",
		[SHARDNAT_E_PERMISSION] = "permission denied",
		[SHARDNAT_E_NO_ANSWER] = "the instance's API does not answer",
		[SHARDNAT_E_TIMEOUT] = "timed out",
		[SHARDNAT_E_VERSION] = "the node speaks another version of the API than this program",
		[SHARDNAT_E_PROTOCOL] = "the node's answer cannot be understood",
		[SHARDNAT_E_REFUSED] = "the node refused the request",
		[SHARDNAT_E_NO_MEMORY] = "out of memory",
		[SHARDNAT_E_INVALID] = "not a possible argument",
	};

	return error >= 0 && (size_t)error < sizeof(texts) / sizeof(texts[0]) ? texts[error] : "unknown error";
}

static int connect_api(struct shardnat *n)
{
	int err = sn_client_error(nng_req0_open(&n->socket));

	if (err)
		return err;
	shardnat_set_timeout(n, TIMEOUT_MS);
	nng_socket_set_size(n->socket, NNG_OPT_RECVMAXSZ, SN_REPLY_MAX_B);
	err = sn_client_dial(n->socket, n->instance, "api");
	if (err)
		nng_close(n->socket);
	return err;
}

int shardnat_open(struct shardnat **ret_node, const char *instance)
{
	struct shardnat *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return SHARDNAT_E_NO_MEMORY;
	err = sn_client_find(instance, n->instance);
	if (!err)
		err = connect_api(n);
	if (err) {
		free(n);
		return err;
	}
	*ret_node = n;
	return SHARDNAT_OK;
}

void shardnat_close(struct shardnat *n)
{
	if (!n)
		return;
	nng_close(n->socket);
	free(n);
}

const char *shardnat_instance(const struct shardnat *n)
{
	return n->instance;
}

void shardnat_set_timeout(struct shardnat *n, int timeout_ms)
{
	n->timeout_ms = timeout_ms;
	nng_socket_set_ms(n->socket, NNG_OPT_SENDTIMEO, timeout_ms);
	nng_socket_set_ms(n->socket, NNG_OPT_RECVTIMEO, timeout_ms);
}

const char *shardnat_refusal(const struct shardnat *n)
{
	return n->refusal;
}

static int exchange(struct shardnat *n, const Shardnat__Request *rq, nng_msg **ret_answer)
{
	nng_msg *msg;
	int err = nng_msg_alloc(&msg, shardnat__request__get_packed_size(rq));

	if (err)
		return sn_client_error(err);
	shardnat__request__pack(rq, nng_msg_body(msg));
	err = nng_sendmsg(n->socket, msg, 0);
	if (err) {
		nng_msg_free(msg);
		return sn_client_error(err);
	}
	return sn_client_error(nng_recvmsg(n->socket, ret_answer, 0));
}

static int refused(struct shardnat *n, const Shardnat__Error *e)
{
	snprintf(n->refusal, sizeof(n->refusal), "%s", e->text);
	return e->code == SHARDNAT__ERROR_CODE__ERROR_VERSION ? SHARDNAT_E_VERSION : SHARDNAT_E_REFUSED;
}

/* Asks, and gives the reply if it is of the kind that was asked for. */
static int ask(struct shardnat *n, Shardnat__Request *rq, Shardnat__Reply__KindCase wanted, Shardnat__Reply **ret_reply)
{
	Shardnat__Reply *reply;
	nng_msg *answer;
	int err;

	n->refusal[0] = '\0';
	rq->version = SHARDNAT__API__API_VERSION;
	err = exchange(n, rq, &answer);
	if (err)
		return err;
	err = sn_reply_unpack(nng_msg_body(answer), nng_msg_len(answer), &reply);
	nng_msg_free(answer);
	if (err)
		return err == -EPROTONOSUPPORT ? SHARDNAT_E_VERSION : SHARDNAT_E_PROTOCOL;
	if (reply->kind_case == wanted) {
		*ret_reply = reply;
		return SHARDNAT_OK;
	}
	err = reply->kind_case == SHARDNAT__REPLY__KIND_ERROR ? refused(n, reply->error) : SHARDNAT_E_PROTOCOL;
	sn_reply_free(reply);
	return err;
}

int shardnat_flows(struct shardnat *n, const Shardnat__FlowFilter *filter, uint64_t cursor, uint32_t max_flows,
		   bool count_only, Shardnat__Reply **ret_reply)
{
	Shardnat__FlowsRequest flows = SHARDNAT__FLOWS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;
	Shardnat__FlowFilter copy;

	if (filter) {
		copy = *filter;
		flows.filter = &copy;
	}
	flows.cursor = cursor;
	flows.max_flows = max_flows;
	flows.count_only = count_only;
	rq.kind_case = SHARDNAT__REQUEST__KIND_FLOWS;
	rq.flows = &flows;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_FLOWS, ret_reply);
}

int shardnat_delete_flows(struct shardnat *n, const Shardnat__FlowFilter *filter, uint64_t cursor, bool quiet,
			  Shardnat__Reply **ret_reply)
{
	Shardnat__DeleteRequest delete = SHARDNAT__DELETE_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;
	Shardnat__FlowFilter copy;

	if (filter) {
		copy = *filter;
		delete.filter = &copy;
	}
	delete.cursor = cursor;
	delete.quiet = quiet;
	rq.kind_case = SHARDNAT__REQUEST__KIND_DELETE_FLOWS;
	rq.delete_flows = &delete;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_DELETE_FLOWS, ret_reply);
}

int shardnat_status(struct shardnat *n, Shardnat__Reply **ret_reply)
{
	Shardnat__StatusRequest status = SHARDNAT__STATUS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	rq.kind_case = SHARDNAT__REQUEST__KIND_STATUS;
	rq.status = &status;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_STATUS, ret_reply);
}

int shardnat_subscribers(struct shardnat *n, uint32_t address, uint64_t cursor, Shardnat__Reply **ret_reply)
{
	Shardnat__SubscribersRequest subscribers = SHARDNAT__SUBSCRIBERS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	subscribers.address = address;
	subscribers.cursor = cursor;
	rq.kind_case = SHARDNAT__REQUEST__KIND_SUBSCRIBERS;
	rq.subscribers = &subscribers;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_SUBSCRIBERS, ret_reply);
}

int shardnat_pools(struct shardnat *n, Shardnat__Reply **ret_reply)
{
	Shardnat__PoolsRequest pools = SHARDNAT__POOLS_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	rq.kind_case = SHARDNAT__REQUEST__KIND_POOLS;
	rq.pools = &pools;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_POOLS, ret_reply);
}

int shardnat_rules(struct shardnat *n, Shardnat__Reply **ret_reply)
{
	Shardnat__RulesRequest rules = SHARDNAT__RULES_REQUEST__INIT;
	Shardnat__Request rq = SHARDNAT__REQUEST__INIT;

	rq.kind_case = SHARDNAT__REQUEST__KIND_RULES;
	rq.rules = &rules;
	return ask(n, &rq, SHARDNAT__REPLY__KIND_RULES, ret_reply);
}

void shardnat_reply_free(Shardnat__Reply *reply)
{
	sn_reply_free(reply);
}
