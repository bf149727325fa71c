/*
 * uring_make.c: the supervisor's part of ports over io_uring: packet sockets and queues of TUN devices. The worker's part is
 * uring.c.
 */
#include "io/uring_make.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_B (16 << 20) /* packets that may wait for a worker that is being restarted, and that may be under way */

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* Nothing comes in until the real filter is put in its place. */
static int shut(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

/*
 * All taps of the interface: only those come before tc. Not by way of the queueing discipline, as AF_XDP: it would be
 * another place to wait in.
 */
static int set_up(int fd, uint32_t ifindex)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)ifindex,
	};
	int err = shut(fd);

	err = err ? err : option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	err = err ? err : option(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	err = err ? err : option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_B);
	err = err ? err : option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_B);
	if (!err && bind(fd, (struct sockaddr *)&to, sizeof(to)))
		err = -errno;
	return err;
}

/* Packets are shared out by their receive queue. */
static int join_group(int fd, int group_fd)
{
	int group = (PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
	socklen_t len_b = sizeof(group);

	if (group_fd >= 0) {
		if (getsockopt(group_fd, SOL_PACKET, PACKET_FANOUT, &group, &len_b))
			return -errno;
		group &= ~(PACKET_FANOUT_FLAG_UNIQUEID << 16);
	}
	return option(fd, SOL_PACKET, PACKET_FANOUT, group);
}

int sn_packet_make(uint32_t ifindex, bool alone, int group_fd)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_up(fd, ifindex);
	if (!err && !alone)
		err = join_group(fd, group_fd);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int attach(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int sn_tun_make(const char *name)
{
	int fd = attach(name, IFF_TUN | IFF_NO_PI);

	return fd == -EINVAL ? attach(name, IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE) : fd;
}
