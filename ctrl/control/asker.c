/* asker.c: the connection to the supervisor. Caller: control's loop, for neighbours.c. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "asker.h"

#define RETRY_NS 100000000u

void sn_asker_init(struct sn_asker *a, const char *path)
{
	*a = (struct sn_asker){ .path = path, .fd = -1 };
}

static void hang_up(struct sn_asker *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

void sn_asker_fini(struct sn_asker *a)
{
	hang_up(a);
}

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int be_connected(struct sn_asker *a, uint64_t now_ns)
{
	int fd;

	if (a->fd >= 0)
		return 0;
	if (now_ns < a->next_try_ns)
		return -ENOTCONN;
	a->next_try_ns = now_ns + RETRY_NS;
	fd = connect_to(a->path);
	if (fd == -ENAMETOOLONG)
		return fd;
	if (fd < 0)
		return -ENOTCONN;
	a->fd = fd;
	a->connections++;
	return 0;
}

int sn_asker_send(struct sn_asker *a, const struct sn_ask *ask, uint64_t now_ns)
{
	int err;

	for (int i = 0; i < 2; i++) {
		err = be_connected(a, now_ns);
		if (err != 0)
			return err;
		if (send(a->fd, ask, sizeof(*ask), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*ask))
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		hang_up(a);
	}
	return -ENOTCONN;
}
