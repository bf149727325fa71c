/*
 * sockets.c: packet memory, eventfds and AF_XDP sockets of the workers. See supervisor.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/xsk.h"
#include "supervisor.h"

/* Sockets of one worker. */
static uint32_t count_of(const struct sn_supervisor *s, uint32_t worker)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->socket_count; i++)
		n += s->sockets[i].worker == worker;
	return n;
}

static int plan_interface(struct sn_supervisor *s, uint16_t interface)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[interface].name);
	uint32_t queues = l ? SN_MAX(l->queues, 1) : 0;

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

	while (size * 2 <= share && size < 4096)
		size *= 2;
	return size;
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
		if (s->sockets[i].worker == worker && s->sockets[i].fd >= 0)
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

	if (e == -EPERM)
		advice = "; CAP_NET_RAW and CAP_NET_ADMIN are needed";
	else if (e == -ENETDOWN)
		advice = "; the interface is down: ip link set it up";
	else if (e == -EBUSY)
		advice = "; another program has an AF_XDP socket on this queue";
	else if (e == -ENOBUFS || e == -ENOMEM)
		advice = "; not enough memory may be locked: CAP_IPC_LOCK is needed, or a higher limit (ulimit -l)";
	return sn_error_set(err, e, "no AF_XDP socket for queue %u of %s: %s%s", k->queue, name, strerror(-e), advice);
}

static int make_socket(struct sn_supervisor *s, struct sn_socket *k, struct sn_error *err)
{
	const struct sn_link *l = sn_links_find(&s->links, s->config.interfaces[k->interface].name);
	uint32_t fill = fill_size(s, k->worker);
	struct sn_xsk_config c = {
		.ifindex = l ? l->ifindex : 0, .queue = k->queue,
		.fill = fill, .completion = fill, .rx = fill, .tx = SN_MAX(fill / 2, SN_XSK_RING_MIN),
		.zero_copy = s->config.zero_copy == SN_AUTO,
	};
	size_t off_b = sn_umem_frames_off_b(s->config.frames);
	int share = registered(s, k->worker), fd;
	bool zero_copy;

	if (share < 0)
		free_frames(s, k->worker);
	fd = sn_xsk_make(&c, (uint8_t *)s->packets[k->worker].mem + off_b, (size_t)s->config.frames * s->memory.frame_b,
			 s->memory.frame_b, share, &zero_copy);
	if (fd < 0)
		return refuse_socket(s, k, fd, err);
	k->fd = fd;
	return 0;
}

static int put_in_map(struct sn_supervisor *s, const struct sn_socket *k, struct sn_error *err)
{
	int e = sn_xdp_set_socket(&s->xdp, k->interface, k->queue, k->fd);

	return e ? sn_error_set(err, e, "the XDP program does not take the socket of %s queue %u: %s",
				s->config.interfaces[k->interface].name, k->queue, strerror(-e)) : 0;
}

int sn_sockets_make(struct sn_supervisor *s, struct sn_error *err)
{
	int e = make_packets(s, err);

	e = e ? e : make_wakes(s, err);
	for (uint32_t i = 0; i < s->socket_count && !e; i++) {
		if (s->sockets[i].fd < 0)
			e = make_socket(s, &s->sockets[i], err);
		e = e ? e : put_in_map(s, &s->sockets[i], err);
	}
	return e;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
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
