/*
 * publish.h: from the shards' event rings to the PUB socket, as batches per (shard, topic) that leave no gap unseen
 * (see EventBatch in shardnat.proto). The packing stops while nobody listens; the accounting never does.
 */
#ifndef SN_API_PUBLISH_H
#define SN_API_PUBLISH_H

#include <nng/nng.h>

#include "codec.h"
#include "view.h"

/* Events read from a ring at once. */
#define SN_PUBLISH_ROUND 256u

/* What was published of one (shard, topic). */
struct sn_publish_topic {
	uint64_t last_seq; /* 0: nothing yet */
	uint64_t published;
};

struct sn_publish_shard {
	struct sn_event_ring ring;
	uint64_t cursor, start_seq;
	struct sn_publish_topic topic[SN_TOPICS + 1];
};

struct sn_publisher {
	struct sn_view view;
	nng_socket socket;
	uint64_t id;
	char instance[SN_NAME_B];
	_Atomic int listeners;
	struct sn_publish_shard shards[SN_SHARDS_MAX];
	/* The round at hand. */
	struct sn_event read[SN_PUBLISH_ROUND];
	Shardnat__Event events[SN_PUBLISH_ROUND];
	Shardnat__Flow flows[SN_PUBLISH_ROUND];
	Shardnat__Event *of_topic[SN_TOPICS + 1][SN_PUBLISH_ROUND];
	size_t count[SN_TOPICS + 1];
};

/*
 * Opens the PUB socket, listening on ipc://dir/events (mode 0600), and starts at the heads of the rings: what came
 * before is not published. 0, or an nng error.
 */
int sn_publisher_open(struct sn_publisher *p, const struct sn_region *r, const char *instance, const char *dir);

/* Closes the socket and removes its file. */
void sn_publisher_close(struct sn_publisher *p);

/* Publishes what is new, a bounded number of rounds per shard. How many events there were. */
uint32_t sn_publisher_poll(struct sn_publisher *p);

#endif
