/*
 * sockets.c: packet memory, eventfds and sockets (AF_XDP, packet, TUN) of the workers. See supervisor.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/uring_make.h"
#include "io/xsk.h"
#include "offloads.h"
#include "supervisor.h"

/* Sockets of one worker. */
static uint32_t count_of(const struct sn_supervisor *s, uint32_t worker)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->socket_count; i++)
		n += s->sockets[i].worker == worker;
	return n;
}

const char *sn_socket_kind_name(enum sn_socket_kind kind)
{
	static const char *const names[] = {
		[SN_SOCKET_XSK] = "xsk", [SN_SOCKET_PACKET] = "packet", [SN_SOCKET_TUN] = "tun",
	};

	return names[kind];
}

void sn_sockets_without_xdp(struct sn_supervisor *s, uint32_t interface, const char *why)
{
	s->kinds[interface] = SN_SOCKET_PACKET;
	sn_say("%s: AF_XDP cannot be had (%s): packet sockets with io_uring are used, which are slower; io: uring says so "
	       "without this warning", s->config.interfaces[interface].name, why);
}

static void plan_kind(struct sn_supervisor *s, uint16_t interface, const struct sn_link *l)
{
	int fd;

	s->kinds[interface] = l && l->tun ? SN_SOCKET_TUN : s->config.io == SN_IO_URING ? SN_SOCKET_PACKET : SN_SOCKET_XSK;
	if (s->kinds[interface] != SN_SOCKET_XSK || s->config.io != SN_IO_AUTO)
		return;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		sn_sockets_without_xdp(s, interface, strerror(errno));
	else
		close(fd);
}

static int plan_interface(struct sn_supervisor *s, uint16_t interface)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[interface].name);
	uint32_t queues = !l ? 0 : l->tun ? s->config.workers : SN_MAX(l->queues, 1);

	plan_kind(s, interface, l);

	for (uint32_t q = 0; q < queues; q++) {
		if (s->socket_count == SN_SOCKETS_TOTAL)
			return -E2BIG;
		s->sockets[s->socket_count++] = (struct sn_socket){
			.fd = -1,
			.worker = (uint16_t)(q % s->config.workers),
			.interface = interface,
			.queue = (uint16_t)q,
		};
	}
	return 0;
}

/* Half of a worker's frames wait for packets, a quarter may be on their way out. */
static uint32_t fill_size(const struct sn_supervisor *s, uint32_t worker)
{
	uint32_t share = s->config.frames / 2 / SN_MAX(count_of(s, worker), 1), size = SN_XSK_RING_MIN / 2;

	if (s->config.xsk.ring && s->config.xsk.ring <= share)
		return s->config.xsk.ring;
	while (size * 2 <= share && size < 4096)
		size *= 2;
	return size;
}

static int refuse_ring(const struct sn_supervisor *s, struct sn_error *err)
{
	uint32_t frames = 2 * s->config.xsk.ring * count_of(s, 0);
	char use[96];

	snprintf(use, sizeof(use), "%u or less, or frames: %u", fill_size(s, 0), frames);
	return sn_config_refuse(&s->config, err, "xsk.ring", s->config.doc.yaml->xsk->ring,
				"possible: the rings of a worker may take half of its frames", use);
}

int sn_sockets_plan(struct sn_supervisor *s, struct sn_error *err)
{
	char value[16], use[96];
	int e = 0;

	s->socket_count = 0;
	for (uint32_t i = 0; i < s->config.interface_count && !e; i++)
		e = plan_interface(s, (uint16_t)i);
	for (uint32_t w = 0; w < s->config.workers && !e; w++)
		e = count_of(s, w) > SN_SOCKETS_MAX ? -E2BIG : 0;
	if (e)
		return sn_error_set(
			err, e,
			"%s: the interfaces have too many queues: %d per worker and %d in all at most; use more "
			"workers or fewer queues (ethtool -L)",
			s->config.doc.file, SN_SOCKETS_MAX, SN_SOCKETS_TOTAL);
	if (fill_size(s, 0) < s->config.xsk.ring)
		return refuse_ring(s, err);
	if (fill_size(s, 0) >= SN_XSK_RING_MIN)
		return 0;
	snprintf(value, sizeof(value), "%u", s->config.frames);
	snprintf(use, sizeof(use), "at least %u", 2 * SN_XSK_RING_MIN * count_of(s, 0));
	return sn_config_refuse(&s->config, err, "frames", value, "enough for the queues of the interfaces", use);
}

static int make_packets(struct sn_supervisor *s, struct sn_error *err)
{
	bool huge = s->memory.region.hdr->backing == SN_BACKING_HUGETLB;
	int e = 0;

	for (uint32_t w = 0; w < s->config.workers && !e; w++)
		if (s->packets[w].fd < 0)
			e = sn_packet_memory_make(s->config.frames, s->memory.frame_b, huge, &s->packets[w], err);
	return e;
}

static int make_wakes(struct sn_supervisor *s, struct sn_error *err)
{
	for (uint32_t w = 0; w <= s->config.workers; w++) {
		if (s->wakes[w] < 0)
			s->wakes[w] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->wakes[w] < 0)
			return sn_error_set(err, -errno, "an eventfd cannot be made: %s", strerror(errno));
	}
	return 0;
}

/* A socket of this worker that has registered its packet memory; -1. */
static int registered(const struct sn_supervisor *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->socket_count; i++)
		if (s->sockets[i].worker == worker && s->sockets[i].fd >= 0 &&
		    s->kinds[s->sockets[i].interface] == SN_SOCKET_XSK)
			return s->sockets[i].fd;
	return -1;
}

/* The frames that the kernel had through sockets that are gone are nobody's. */
static void free_frames(struct sn_supervisor *s, uint32_t worker)
{
	struct sn_umem u;

	if (sn_umem_join(s->packets[worker].fd, false, &u) != 0)
		return;
	for (uint32_t f = 0; f < u.frame_count; f++) {
		enum sn_frame_state state = sn_umem_state(&u, f);

		if (state != SN_FRAME_HANDOFF && state != SN_FRAME_FREE)
			sn_umem_mark(&u, f, SN_FRAME_FREE);
	}
	sn_umem_leave(&u);
}

static int refuse_socket(const struct sn_supervisor *s, const struct sn_socket *k, int e, struct sn_error *err)
{
	const char *name = s->config.interfaces[k->interface].name, *advice = "";
	enum sn_socket_kind kind = s->kinds[k->interface];

	if (kind == SN_SOCKET_TUN && (e == -EBUSY || e == -EINVAL))
		advice = "; it must be free and have a queue per worker: ip tuntap add dev NAME mode tun multi_queue";
	else if (e == -EPERM)
		advice = "; CAP_NET_RAW and CAP_NET_ADMIN are needed";
	else if (e == -ENETDOWN)
		advice = "; the interface is down: ip link set it up";
	else if (e == -EBUSY)
		advice = "; another program has an AF_XDP socket on this queue";
	else if (e == -ENOBUFS || e == -ENOMEM)
		advice = "; not enough memory may be locked: CAP_IPC_LOCK is needed, or a higher limit (ulimit -l)";
	return sn_error_set(err, e, "no %s socket for queue %u of %s: %s%s",
			    kind == SN_SOCKET_XSK ? "AF_XDP" : sn_socket_kind_name(kind), k->queue, name, strerror(-e), advice);
}

/* A socket of this interface that is in its group; -1. */
static int grouped(const struct sn_supervisor *s, uint32_t interface)
{
	for (uint32_t i = 0; i < s->socket_count; i++)
		if (s->sockets[i].interface == interface && s->sockets[i].fd >= 0)
			return s->sockets[i].fd;
	return -1;
}

static int make_packet(struct sn_supervisor *s, const struct sn_socket *k)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[k->interface].name);
	int fd = l ? sn_packet_make(l->ifindex, l->queues < 2, grouped(s, k->interface)) : -ENODEV;
	int e = fd < 0 ? fd : sn_xdp_tap(&s->xdp, fd);

	if (!e)
		return fd;
	if (fd >= 0)
		close(fd);
	return e;
}

static void say_copies(const struct sn_supervisor *s, const struct sn_socket *k, const struct sn_link *l)
{
	char driver[32];

	if (k->queue || s->config.zero_copy != SN_AUTO)
		return;
	sn_offloads_driver(l->ifindex, driver, sizeof(driver));
	sn_say("%s: the kernel copies packets (driver %s has no zero-copy mode for this interface, queues and frames as "
	       "they are); zero_copy: never says so without this message", l->name, driver);
}

static int make_xsk(struct sn_supervisor *s, const struct sn_socket *k)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[k->interface].name);
	uint32_t fill = fill_size(s, k->worker);
	struct sn_xsk_config c = {
		.ifindex = l ? l->ifindex : 0, .queue = k->queue,
		.fill = fill, .completion = fill, .rx = fill,
		.tx = s->config.xsk.tx_ring ? s->config.xsk.tx_ring : SN_MAX(fill / 2, SN_XSK_RING_MIN),
		.zero_copy = s->config.zero_copy == SN_AUTO, .busy_poll = s->config.xsk.busy_poll,
	};
	size_t off_b = sn_umem_frames_off_b(s->config.frames);
	int share = registered(s, k->worker);
	bool zero_copy = false;
	int fd;

	if (share < 0)
		free_frames(s, k->worker);
	fd = sn_xsk_make(&c, (uint8_t *)s->packets[k->worker].mem + off_b, (size_t)s->config.frames * s->memory.frame_b,
			 s->memory.frame_b, share, &zero_copy);
	if (fd >= 0 && !zero_copy && l)
		say_copies(s, k, l);
	return fd;
}

static int make_socket(struct sn_supervisor *s, struct sn_socket *k, struct sn_error *err)
{
	int fd;

	switch (s->kinds[k->interface]) {
	case SN_SOCKET_PACKET: fd = make_packet(s, k); break;
	case SN_SOCKET_TUN: fd = sn_tun_make(s->config.interfaces[k->interface].name); break;
	default: fd = make_xsk(s, k);
	}
	if (fd < 0)
		return refuse_socket(s, k, fd, err);
	k->fd = fd;
	return 0;
}

static int put_in_map(struct sn_supervisor *s, const struct sn_socket *k, struct sn_error *err)
{
	int e = s->kinds[k->interface] == SN_SOCKET_XSK ? sn_xdp_set_socket(&s->xdp, k->interface, k->queue, k->fd) : 0;

	return e ? sn_error_set(err, e, "the XDP program does not take the socket of %s queue %u: %s",
				s->config.interfaces[k->interface].name, k->queue, strerror(-e)) : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int make_sockets(struct sn_supervisor *s, struct sn_error *err)
{
	int e = 0;

	for (uint32_t i = 0; i < s->socket_count && !e; i++) {
		if (s->sockets[i].fd < 0)
			e = make_socket(s, &s->sockets[i], err);
		e = e ? e : put_in_map(s, &s->sockets[i], err);
	}
	return e;
}

/* Packet memory is in zero-copy mode for all interfaces or for none: one driver that has none decides. */
static int make_sockets_copying(struct sn_supervisor *s, struct sn_error *err)
{
	sn_say("%s: the kernel copies packets on all interfaces, because one of them has no zero-copy mode", err->text);
	s->config.zero_copy = SN_NEVER;
	for (uint32_t i = 0; i < s->socket_count; i++)
		close_fd(&s->sockets[i].fd);
	return make_sockets(s, err);
}

int sn_sockets_make(struct sn_supervisor *s, struct sn_error *err)
{
	int e = make_packets(s, err);

	e = e ? e : make_wakes(s, err);
	e = e ? e : make_sockets(s, err);
	return e == -EOPNOTSUPP && s->config.zero_copy == SN_AUTO ? make_sockets_copying(s, err) : e;
}

void sn_sockets_close(struct sn_supervisor *s)
{
	for (uint32_t i = 0; i < s->socket_count; i++)
		close_fd(&s->sockets[i].fd);
	for (uint32_t w = 0; w < SN_WORKERS_MAX; w++)
		sn_packet_memory_fini(&s->packets[w]);
	for (uint32_t w = 0; w <= SN_WORKERS_MAX; w++)
		close_fd(&s->wakes[w]);
}
