/*
 * node.h: what the files of the client library share: the handle of a node, where its sockets are, and nng's errors in
 * our words. Not installed.
 */
#ifndef SN_CLIENT_NODE_H
#define SN_CLIENT_NODE_H

#include <limits.h>
#include <nng/nng.h>

#include "client/shardnat.h"

struct shardnat {
	nng_socket socket;
	int timeout_ms;
	char instance[SHARDNAT_NAME_B];
	char refusal[256];
};

/* An nng error as an enum shardnat_error. */
int sn_client_error(int nng_error);

/* Whether a name can be an instance's. */
bool sn_client_name_ok(const char *name);

/* The only instance, or whether the named one is there. */
int sn_client_find(const char *instance, char ret_name[SHARDNAT_NAME_B]);

/* Connects a socket to "api" or "events" of an instance; reconnects by itself from then on. */
int sn_client_dial(nng_socket socket, const char *instance, const char *which);

#endif
