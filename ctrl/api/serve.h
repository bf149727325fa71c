/*
 * serve.h: the REP socket: one thread that takes a request, answers it from the region, and takes the next. What a
 * client can cost is bounded: message size, records per page, memory of the reply.
 */
#ifndef SN_API_SERVE_H
#define SN_API_SERVE_H

#include <nng/nng.h>
#include <pthread.h>

#include "arena.h"
#include "delete.h"
#include "view.h"

struct sn_server {
	struct sn_view view;
	struct sn_arena arena;
	struct sn_delete delete;
	nng_socket socket;
	pthread_t thread;
};

/*
 * Listens on ipc://dir/api (mode 0600) and starts the thread. control: path of control's socket, or NULL; kept. 0, or an
 * nng error.
 */
int sn_server_open(struct sn_server *s, const struct sn_region *r, const char *dir, const char *control);

/* Ends the thread, closes the socket and removes its file. */
void sn_server_close(struct sn_server *s);

#endif
