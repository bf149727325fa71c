/* codec.c: see codec.h. */
#include "codec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define API_VERSION SHARDNAT__API__API_VERSION

static const char *const topics[SN_TOPICS + 1] = {
	[SHARDNAT__EVENT_TYPE__EVENT_NEW] = "flow.new",
	[SHARDNAT__EVENT_TYPE__EVENT_UPDATE] = "flow.update",
	[SHARDNAT__EVENT_TYPE__EVENT_DESTROY] = "flow.destroy",
};

const char *sn_topic_name(uint32_t type)
{
	return type <= SN_TOPICS ? topics[type] : NULL;
}

uint32_t sn_topic_type(const char *topic)
{
	for (uint32_t type = 1; type <= SN_TOPICS; type++)
		if (!strcmp(topic, topics[type]))
			return type;
	return 0;
}

size_t sn_batch_size(const Shardnat__EventBatch *b)
{
	return strlen(b->topic) + 1 + shardnat__event_batch__get_packed_size(b);
}

void sn_batch_pack(const Shardnat__EventBatch *b, uint8_t *ret)
{
	size_t topic_b = strlen(b->topic) + 1;

	memcpy(ret, b->topic, topic_b);
	shardnat__event_batch__pack(b, ret + topic_b);
}

static bool batch_sane(const Shardnat__EventBatch *b, const char *topic)
{
	uint32_t type = sn_topic_type(topic);

	if (!type || strcmp(b->topic, topic) != 0)
		return false;
	for (size_t i = 0; i < b->n_events; i++)
		if (!b->events[i]->flow || (uint32_t)b->events[i]->type != type)
			return false;
	return true;
}

int sn_batch_unpack(const uint8_t *msg, size_t len_b, Shardnat__EventBatch **ret)
{
	const uint8_t *end = memchr(msg, 0, len_b);
	Shardnat__EventBatch *b;

	if (!end)
		return -EBADMSG;
	b = shardnat__event_batch__unpack(NULL, len_b - (size_t)(end + 1 - msg), end + 1);
	if (!b)
		return -EBADMSG;
	if (!batch_sane(b, (const char *)msg)) {
		sn_batch_free(b);
		return -EBADMSG;
	}
	*ret = b;
	return 0;
}

void sn_batch_free(Shardnat__EventBatch *b)
{
	shardnat__event_batch__free_unpacked(b, NULL);
}

int sn_request_unpack(const uint8_t *msg, size_t len_b, Shardnat__Request **ret)
{
	Shardnat__Request *r = len_b <= SN_REQUEST_MAX_B ? shardnat__request__unpack(NULL, len_b, msg) : NULL;

	if (!r)
		return -EBADMSG;
	if (r->version != API_VERSION) {
		sn_request_free(r);
		return -EPROTONOSUPPORT;
	}
	*ret = r;
	return 0;
}

/* Messages within messages may be absent on the wire: here they never are. */
static bool reply_sane(const Shardnat__Reply *r)
{
	return r->kind_case != SHARDNAT__REPLY__KIND_STATUS || r->status->memory;
}

int sn_reply_unpack(const uint8_t *msg, size_t len_b, Shardnat__Reply **ret)
{
	Shardnat__Reply *r = len_b <= SN_REPLY_MAX_B ? shardnat__reply__unpack(NULL, len_b, msg) : NULL;
	int err = 0;

	if (!r)
		return -EBADMSG;
	if (r->version != API_VERSION)
		err = -EPROTONOSUPPORT;
	else if (!reply_sane(r))
		err = -EBADMSG;
	if (err) {
		sn_reply_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void sn_request_free(Shardnat__Request *r)
{
	shardnat__request__free_unpacked(r, NULL);
}

void sn_reply_free(Shardnat__Reply *r)
{
	shardnat__reply__free_unpacked(r, NULL);
}
