/*
 * answer.h: what the API says to a request: a reply built in an arena from a read-only look at the region. No request
 * makes it write, block, or work for more than a bounded time (a page of the flow table looks at SN_ANSWER_RECORDS at
 * most).
 */
#ifndef SN_API_ANSWER_H
#define SN_API_ANSWER_H

#include "arena.h"
#include "shardnat.pb-c.h"
#include "view.h"

/* Flows and subscribers per page, and records looked at for one. */
#define SN_ANSWER_FLOWS 4096u
#define SN_ANSWER_SUBSCRIBERS 1024u
#define SN_ANSWER_BLOCKS 64u
#define SN_ANSWER_RECORDS 65536u

/* What an arena must hold for any reply about this region. */
size_t sn_answer_arena_b(const struct sn_region *r);

/* Answers a request: fills an initialised reply, which then points into the arena, the view and the request. */
void sn_answer(struct sn_view *v, struct sn_arena *a, const Shardnat__Request *rq, Shardnat__Reply *ret);

/* An error for a reply. */
void sn_answer_error(struct sn_arena *a, Shardnat__ErrorCode code, const char *text, Shardnat__Reply *ret);

/* By kind; each sets one member of *ret. */
void sn_answer_flows(struct sn_view *v, struct sn_arena *a, const Shardnat__FlowsRequest *rq, Shardnat__Reply *ret);
void sn_answer_status(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret);
void sn_answer_subscribers(struct sn_view *v, struct sn_arena *a, const Shardnat__SubscribersRequest *rq,
			   Shardnat__Reply *ret);
void sn_answer_pools(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret);
void sn_answer_rules(struct sn_view *v, struct sn_arena *a, Shardnat__Reply *ret);

/* Status in parts. */
void sn_status_processes(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret);
void sn_status_memory(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret);
void sn_status_warnings(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret);

/* Names for messages: protobuf-c has no const. */
static inline char *sn_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* Array element i of a message's repeated field: a fresh pointer list and its initialised elements. */
#define SN_TAKE_LIST(a, list, count, type, init)                                                                       \
	do {                                                                                                           \
		type *elements_ = sn_arena_take((a), (count), sizeof(type));                                           \
		(list) = sn_arena_take((a), (count), sizeof(type *));                                                  \
		for (size_t i_ = 0; i_ < (count); i_++) {                                                              \
			init(&elements_[i_]);                                                                          \
			(list)[i_] = &elements_[i_];                                                                   \
		}                                                                                                      \
	} while (0)

#endif
