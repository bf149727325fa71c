/*
 * codec.h: bytes of a message <-> protobuf structures, with everything that may be asked of foreign bytes checked
 * here. Knows no socket. Callers: the API process, the client library, tests.
 */
#ifndef SN_CODEC_H
#define SN_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "shardnat.pb-c.h"

/* Longest message taken from a client, and from the node. */
#define SN_REQUEST_MAX_B 65536u
#define SN_REPLY_MAX_B (64u << 20)

/* Topics are the event types: EVENT_NEW .. EVENT_DESTROY. */
#define SN_TOPICS 3

/* "flow.new", ...; NULL for a type that has none. Lives for ever. */
const char *sn_topic_name(uint32_t type);

/* The type of a topic, 0 if it is none. */
uint32_t sn_topic_type(const char *topic);

/* Bytes of a batch as it is published: topic, 0, EventBatch. */
size_t sn_batch_size(const Shardnat__EventBatch *b);

/* Writes exactly sn_batch_size() bytes. */
void sn_batch_pack(const Shardnat__EventBatch *b, uint8_t *ret);

/*
 * Reads a published message. 0 and a batch to be freed with sn_batch_free(), or -EBADMSG: not a batch, a topic that is
 * not the batch's own, an event without a flow or of another class than its topic.
 */
int sn_batch_unpack(const uint8_t *msg, size_t len_b, Shardnat__EventBatch **ret);
void sn_batch_free(Shardnat__EventBatch *b);

/*
 * Reads a request or a reply. 0 and a message to be freed with sn_request_free() or sn_reply_free(); -EBADMSG: not one
 * (or too long); -EPROTONOSUPPORT: of another version.
 */
int sn_request_unpack(const uint8_t *msg, size_t len_b, Shardnat__Request **ret);
int sn_reply_unpack(const uint8_t *msg, size_t len_b, Shardnat__Reply **ret);
void sn_request_free(Shardnat__Request *r);
void sn_reply_free(Shardnat__Reply *r);

#endif
