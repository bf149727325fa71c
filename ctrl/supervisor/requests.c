/*
 * requests.c: control asks for neighbours to be resolved. Only an interface of ours and an IPv4 address are taken;
 * who asks is told by the kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "neighbour.h"
#include "supervisor.h"

struct request {
	uint32_t ifindex, addr_be32;
};

int sn_requests_listen(const char *path, uid_t uid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(path, 0600) ||
	    chown(path, uid, uid) || listen(fd, SN_PEERS_MAX)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

void sn_requests_accept(struct sn_supervisor *s)
{
	int fd = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who;
	socklen_t len = sizeof(who);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == SN_UID_CONTROL) {
		for (uint32_t i = 0; i < SN_PEERS_MAX; i++) {
			if (s->peers[i] < 0) {
				s->peers[i] = fd;
				return;
			}
		}
	}
	close(fd);
}

static bool ours(const struct sn_supervisor *s, uint32_t ifindex)
{
	for (uint32_t i = 0; i < s->config.interface_count; i++) {
		const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[i].name);

		if (l && l->ifindex == ifindex)
			return true;
	}
	return false;
}

/* A bounded number per turn, so that children that die are seen to. */
void sn_requests_serve(struct sn_supervisor *s, uint32_t peer)
{
	struct request r;

	for (int i = 0; i < 64; i++) {
		ssize_t len = recv(s->peers[peer], &r, sizeof(r), MSG_TRUNC);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len != sizeof(r)) {
			close(s->peers[peer]);
			s->peers[peer] = -1;
			return;
		}
		if (ours(s, r.ifindex))
			sn_neighbour_resolve(r.ifindex, r.addr_be32);
	}
}
