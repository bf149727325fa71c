/*
 * delete.h: flows ended by request: chosen here, from the region; ended by their workers, whom control tells (order.h).
 * Said to be gone are only those that are seen to be gone. Caller: serve, whose thread it keeps for
 * SN_DELETE_NS at most.
 */
#ifndef SN_API_DELETE_H
#define SN_API_DELETE_H

#include "answer.h"
#include "order.h"

#define SN_DELETE_NS 2000000000u

struct sn_delete {
	const char *control; /* path of its socket; NULL: there is none */
	struct sn_order order;
};

/* Answers a DeleteRequest, in the arena. */
void sn_delete_answer(struct sn_delete *d, struct sn_view *v, struct sn_arena *a, const Shardnat__DeleteRequest *rq,
		      Shardnat__Reply *ret);

#endif
