/* sockets.h: an nng socket listening on a file in the instance's directory, for its owner alone. */
#ifndef SN_API_SOCKETS_H
#define SN_API_SOCKETS_H

#include <nng/nng.h>

/* Listens on ipc://dir/name, mode 0600; a file that a killed predecessor left is taken over. 0 or an nng error. */
int sn_socket_listen(nng_socket socket, const char *dir, const char *name);

#endif
