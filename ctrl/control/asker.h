/*
 * asker.h: control's line to the supervisor, who alone may make the kernel resolve a neighbour.
 *
 * A SOCK_SEQPACKET connection that makes itself anew when the supervisor dies and another one listens at the same path.
 * A message that was under way then is lost: whoever asks, asks again.
 */
#ifndef SN_ASKER_H
#define SN_ASKER_H

#include "base.h"

/* What is sent: have this neighbour resolved. */
struct sn_ask {
	uint32_t ifindex;
	uint32_t addr_be32;
};

struct sn_asker {
	const char *path;      /* the caller's, stays good */
	int fd;                /* -1: not connected */
	uint64_t next_try_ns;  /* when to connect again */
	uint64_t connections;  /* made so far */
};

void sn_asker_init(struct sn_asker *a, const char *path);
void sn_asker_fini(struct sn_asker *a);

/*
 * Sends one message without waiting, connecting first where need be (at most every 100 ms). 0; -EAGAIN: the
 * supervisor has more than enough to do; -ENOTCONN: nobody listens now. -ENAMETOOLONG: the path is no socket's.
 */
int sn_asker_send(struct sn_asker *a, const struct sn_ask *ask, uint64_t now_ns);

#endif
