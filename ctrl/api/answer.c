/* answer.c: see answer.h. The kinds have files of their own. */
#include "answer.h"

size_t sn_answer_arena_b(const struct sn_region *r)
{
	size_t flows_b = SN_ANSWER_FLOWS * (sizeof(Shardnat__Flow) + sizeof(void *));
	size_t subscribers_b = SN_ANSWER_SUBSCRIBERS * (sizeof(Shardnat__Subscriber) + sizeof(void *)) +
			       SN_ANSWER_SUBSCRIBERS * SN_ANSWER_BLOCKS * (sizeof(Shardnat__Block) + sizeof(void *));
	size_t addresses_b = r->geo.addresses * (sizeof(Shardnat__PoolAddress) + sizeof(void *));
	size_t workers_b = (size_t)r->geo.workers * 4096;

	return SN_MAX(SN_MAX(flows_b, subscribers_b), SN_MAX(addresses_b, workers_b)) + (1u << 20);
}

void sn_answer_error(struct sn_arena *a, Shardnat__ErrorCode code, const char *text, Shardnat__Reply *ret)
{
	Shardnat__Error *e = sn_arena_take(a, 1, sizeof(*e));

	shardnat__error__init(e);
	e->code = code;
	e->text = sn_text(text);
	ret->kind_case = SHARDNAT__REPLY__KIND_ERROR;
	ret->error = e;
}

void sn_answer(struct sn_view *v, struct sn_arena *a, const Shardnat__Request *rq, Shardnat__Reply *ret)
{
	sn_view_refresh(v);
	switch (rq->kind_case) {
	case SHARDNAT__REQUEST__KIND_FLOWS:
		sn_answer_flows(v, a, rq->flows, ret);
		break;
	case SHARDNAT__REQUEST__KIND_STATUS:
		sn_answer_status(v, a, ret);
		break;
	case SHARDNAT__REQUEST__KIND_SUBSCRIBERS:
		sn_answer_subscribers(v, a, rq->subscribers, ret);
		break;
	case SHARDNAT__REQUEST__KIND_POOLS:
		sn_answer_pools(v, a, ret);
		break;
	case SHARDNAT__REQUEST__KIND_RULES:
		sn_answer_rules(v, a, ret);
		break;
	default:
		sn_answer_error(a, SHARDNAT__ERROR_CODE__ERROR_UNKNOWN_REQUEST, "this node does not know such a request",
				ret);
	}
}
