/*
 * wakeup.c: what it costs to wake AF_XDP sockets: a sendto each, or entries of an io_uring, alone and several to an enter, on idle rings
 * and with a burst to send. Started by bench/wire/wakeup; root; in a network namespace of its own, which goes with it.
 *
 *     wire-wakeup ROUNDS TURNS     prints a line per round and way: "NAME NS", per socket woken, or per packet of a burst
 */
#include <errno.h>
#include <liburing.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/xsk.h"

#define SOCKETS 8
#define FRAMES 4096
#define FRAME_B 2048
#define RING 256
#define BURST 32
#define PACKET_B 60

struct wakeup {
	struct sn_umem umem;
	struct sn_port ports[SOCKETS];
	struct io_uring uring;
	int event;
	uint32_t turns;
};

/* A way to wake: n sockets, once. */
struct way {
	const char *name;
	uint32_t sockets;
	uint32_t burst; /* packets put into the ring of the first socket before */
	void (*wake)(struct wakeup *w, uint32_t n);
};

static void check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "wire-wakeup: %s: %s\n", what, strerror(err < 0 ? -err : errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void set_up_link(void)
{
	char command[256];

	check(unshare(CLONE_NEWNET), "a network namespace (needs root)");
	snprintf(command, sizeof(command),
		 "ip link add w0 numtxqueues %d numrxqueues %d type veth peer name w1 && "
		 "ip link set w0 addrgenmode none up && ip link set w1 addrgenmode none up", SOCKETS, SOCKETS);
	check(system(command), "a veth pair");
}

static void set_up_sockets(struct wakeup *w)
{
	size_t size_b = sn_umem_footprint(FRAMES, FRAME_B);
	int fd = memfd_create("wire-wakeup", MFD_CLOEXEC), first = -1;
	uint8_t *mem;
	bool zero_copy;

	check(ftruncate(fd, (off_t)size_b), "packet memory");
	mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	check(mem == MAP_FAILED, "mapping packet memory");
	sn_umem_format(mem, FRAMES, FRAME_B);
	check(sn_umem_join(fd, true, &w->umem), "joining packet memory");
	for (uint32_t i = 0; i < SOCKETS; i++) {
		struct sn_xsk_config c = {
			.ifindex = if_nametoindex("w0"), .queue = i, .fill = RING, .completion = RING, .rx = RING, .tx = RING,
		};
		int made = sn_xsk_make(&c, mem + sn_umem_frames_off_b(FRAMES), (size_t)FRAMES * FRAME_B, FRAME_B, first,
				       &zero_copy);

		check(made < 0 ? made : 0, "AF_XDP socket");
		first = first < 0 ? made : first;
		check(sn_xsk_join(made, i, &w->umem, 0, (uint16_t)i, &w->ports[i]), "joining a socket");
	}
	sn_umem_reclaim(&w->umem);
}

static void set_up_uring(struct wakeup *w)
{
	int files[SOCKETS];

	for (uint32_t i = 0; i < SOCKETS; i++)
		files[i] = w->ports[i].fd;
	check(io_uring_queue_init(4 * SOCKETS, &w->uring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), "io_uring");
	check(io_uring_register_files(&w->uring, files, SOCKETS), "registering sockets");
	w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(w->event < 0, "eventfd");
}

static void wake_sendto(struct wakeup *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sendto(w->ports[i].fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void enter(struct wakeup *w, uint32_t n)
{
	int done = io_uring_submit_and_wait(&w->uring, n);

	check(done < 0 ? done : 0, "io_uring_enter");
	io_uring_cq_advance(&w->uring, n);
}

static void add_sends(struct wakeup *w, uint32_t n, bool registered)
{
	for (uint32_t i = 0; i < n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&w->uring);

		io_uring_prep_send(sqe, registered ? (int)i : w->ports[i].fd, NULL, 0, MSG_DONTWAIT);
		if (registered)
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	}
}

static void wake_uring(struct wakeup *w, uint32_t n)
{
	add_sends(w, n, false);
	enter(w, n);
}

static void wake_uring_registered(struct wakeup *w, uint32_t n)
{
	add_sends(w, n, true);
	enter(w, n);
}

/* A worker's turn with everything due: two sockets, an eventfd read and one written. */
static void turn_calls(struct wakeup *w, uint32_t n)
{
	uint64_t one = 1;

	wake_sendto(w, n);
	if (write(w->event, &one, sizeof(one)) < 0 || read(w->event, &one, sizeof(one)) < 0)
		check(-1, "eventfd");
}

static void turn_uring(struct wakeup *w, uint32_t n)
{
	uint64_t one = 1;

	add_sends(w, n, true);
	io_uring_prep_write(io_uring_get_sqe(&w->uring), w->event, &one, sizeof(one), 0);
	io_uring_prep_read(io_uring_get_sqe(&w->uring), w->event, &one, sizeof(one), 0);
	enter(w, n + 2);
}

static const struct way ways[] = {
	{ "sendto/1", 1, 0, wake_sendto },
	{ "uring/1", 1, 0, wake_uring },
	{ "uring-registered/1", 1, 0, wake_uring_registered },
	{ "sendto/2", 2, 0, wake_sendto },
	{ "uring-registered/2", 2, 0, wake_uring_registered },
	{ "sendto/8", SOCKETS, 0, wake_sendto },
	{ "uring-registered/8", SOCKETS, 0, wake_uring_registered },
	{ "sendto/turn", 2, 0, turn_calls },
	{ "uring-registered/turn", 2, 0, turn_uring },
	{ "sendto/burst-32", 1, BURST, wake_sendto },
	{ "uring-registered/burst-32", 1, BURST, wake_uring_registered },
};

static void put_burst(struct wakeup *w, uint32_t n)
{
	struct sn_desc descs[BURST];

	for (uint32_t i = 0; i < n; i++) {
		descs[i] = (struct sn_desc){ .frame = sn_umem_take(&w->umem), .len_b = PACKET_B };
		SN_ASSERT(descs[i].frame != SN_NONE);
		memset(sn_umem_frame(&w->umem, descs[i].frame), 2, PACKET_B);
	}
	SN_ASSERT(sn_tx(&w->ports[0], descs, n) == n);
}

/* Both ways of a comparison make the same packets; only their waking differs. */
static double sample(struct wakeup *w, const struct way *way)
{
	double start_ns = now_ns();

	for (uint32_t i = 0; i < w->turns; i++) {
		if (way->burst)
			put_burst(w, way->burst);
		way->wake(w, way->sockets);
	}
	return (now_ns() - start_ns) / w->turns / (way->burst ? way->burst : way->sockets);
}

int main(int argc, char **argv)
{
	struct wakeup w = { .turns = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0 };
	uint32_t rounds = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;

	if (rounds == 0 || w.turns == 0) {
		fprintf(stderr, "usage: wire-wakeup ROUNDS TURNS\n");
		return 2;
	}
	set_up_link();
	set_up_sockets(&w);
	set_up_uring(&w);
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < SN_ARRAY_LEN(ways); i++)
			printf("%s %.1f\n", ways[i].name, sample(&w, &ways[i]));
	return 0;
}
