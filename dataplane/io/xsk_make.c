/*
 * xsk_make.c: the supervisor's part of AF_XDP: a socket with its rings, registered memory and queue. The worker's part
 * is xsk.c.
 */
#include "io/xsk.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIND_TRIES 100
#define BIND_PAUSE_NS (10 * 1000 * 1000)
#define SEND_BUFFER_B (8 << 20) /* copy mode: packets that may be under way */
#define BUSY_POLL_US 20

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static bool ring_size_ok(uint32_t n)
{
	return n >= SN_XSK_RING_MIN && n <= SN_XSK_RING_MAX && !(n & (n - 1));
}

static int rings_set(int fd, const struct sn_xsk_config *c)
{
	const struct { int name; uint32_t size; } rings[] = {
		{ XDP_UMEM_FILL_RING, c->fill }, { XDP_UMEM_COMPLETION_RING, c->completion },
		{ XDP_RX_RING, c->rx }, { XDP_TX_RING, c->tx },
	};

	for (uint32_t i = 0; i < SN_ARRAY_LEN(rings); i++) {
		int err = -EINVAL;

		if (ring_size_ok(rings[i].size))
			err = option(fd, SOL_XDP, rings[i].name, (int)rings[i].size);
		if (err)
			return err;
	}
	return 0;
}

static int umem_register(int fd, void *mem, size_t mem_b, uint32_t frame_b)
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)mem, .len = mem_b, .chunk_size = frame_b, .headroom = SN_UMEM_HEADROOM_B,
	};

	return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ? -errno : 0;
}

static int busy_poll_set(int fd)
{
	int err = option(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);

	if (!err)
		err = option(fd, SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_US);
	return err ? err : option(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, SN_BURST);
}

/* Without XDP_COPY the kernel tries zero-copy first and copies where the driver cannot. */
static int queue_bind(int fd, const struct sn_xsk_config *c, int share_fd)
{
	const struct timespec pause = { .tv_nsec = BIND_PAUSE_NS };
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP, .sxdp_ifindex = c->ifindex, .sxdp_queue_id = c->queue,
		.sxdp_flags = XDP_USE_NEED_WAKEUP | (c->zero_copy ? 0 : XDP_COPY),
	};

	if (share_fd >= 0) {
		addr.sxdp_flags = XDP_SHARED_UMEM; /* the mode is the first socket's */
		addr.sxdp_shared_umem_fd = (uint32_t)share_fd;
	}
	for (int i = 0; bind(fd, (struct sockaddr *)&addr, sizeof(addr)); i++) {
		if (errno != EBUSY || i == BIND_TRIES)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int zero_copy_granted(int fd, bool *ret)
{
	struct xdp_options options = { 0 };
	socklen_t len_b = sizeof(options);

	if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len_b))
		return -errno;
	*ret = options.flags & XDP_OPTIONS_ZEROCOPY;
	return 0;
}

static int set_up(int fd, const struct sn_xsk_config *c, void *mem, size_t mem_b, uint32_t frame_b, int share_fd)
{
	int err = share_fd < 0 ? umem_register(fd, mem, mem_b, frame_b) : 0;

	if (!err)
		err = rings_set(fd, c);
	if (!err && c->busy_poll)
		err = busy_poll_set(fd);
	if (!err)
		err = option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_B);
	return err ? err : queue_bind(fd, c, share_fd);
}

int sn_xsk_make(const struct sn_xsk_config *c, void *umem_mem, size_t frames_b, uint32_t frame_b, int share_fd,
		bool *ret_zero_copy)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_up(fd, c, umem_mem, frames_b, frame_b, share_fd);
	if (!err)
		err = zero_copy_granted(fd, ret_zero_copy);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
