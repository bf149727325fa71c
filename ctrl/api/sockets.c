/* sockets.c: see sockets.h. The process's umask keeps others out between bind and chmod. */
#include "sockets.h"

#include <limits.h>
#include <stdio.h>

int sn_socket_listen(nng_socket socket, const char *dir, const char *name)
{
	char url[PATH_MAX];
	nng_listener listener;
	int err;

	snprintf(url, sizeof(url), "ipc://%s/%s", dir, name);
	err = nng_listener_create(&listener, socket, url);
	if (err)
		return err;
	err = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (!err)
		err = nng_listener_start(listener, 0);
	if (err)
		nng_listener_close(listener);
	return err;
}
