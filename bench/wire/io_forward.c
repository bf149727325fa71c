/*
 * io_forward.c: our packet I/O without NAT: takes each packet that comes in on one interface, swaps its MAC addresses and sends it out of
 * the other one. What the node's AF_XDP rows are compared with: the same XDP program, the same rings and frames, the same turn of the
 * worker (rx burst, tx burst, one kick), no table.
 *
 *     wire-io-forward INSIDE OUTSIDE QUEUES        in the gateway's namespace, as root; a process per queue, until SIGTERM
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/xsk.h"
#include "xdp.h"

#define PINS "/mnt" /* in our own mount namespace: they go with us */
#define FRAMES 8192 /* the sizes of a node's worker */
#define FRAME_B 2048
#define RING 2048
#define RING_TX 1024
#define IDLE_ROUNDS 64
#define SLEEP_MS 1000
#define SIDES 2

static const char *const sides[SIDES] = { "inside", "outside" };

static void check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "wire-io-forward: %s: %s\n", what, strerror(err < 0 ? -err : errno));
	exit(1);
}

static void attach(struct sn_xdp *x, char **names)
{
	char msg[SN_XDP_MSG_B] = "";
	bool generic;

	check(unshare(CLONE_NEWNS), "unshare");
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	check(mount("bpf", PINS, "bpf", 0, NULL), "bpffs");
	check(sn_xdp_load(PINS, 16, 16, x, msg, sizeof(msg)), msg);
	for (uint32_t side = 0; side < SIDES; side++) {
		check(sn_xdp_attach(x, if_nametoindex(names[side]), side, side, &generic, msg, sizeof(msg)), msg);
		check(sn_xdp_add_prefix(x, side, 0, 0), sides[side]);
	}
}

static uint8_t *map_memory(size_t size_b, unsigned int flags, int *ret_fd)
{
	uint8_t *mem;

	*ret_fd = memfd_create("wire-io-forward", MFD_CLOEXEC | flags);
	check(*ret_fd < 0 || ftruncate(*ret_fd, (off_t)size_b) ? -errno : 0, "packet memory");
	mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *ret_fd, 0);
	if (mem != MAP_FAILED)
		return mem;
	close(*ret_fd);
	return NULL;
}

/* In huge pages if there are any. */
static void make_memory(struct sn_umem *ret, uint8_t **ret_mem)
{
	size_t size_b = sn_umem_footprint(FRAMES, FRAME_B);
	int fd;

	*ret_mem = map_memory(size_b, MFD_HUGETLB, &fd);
	if (!*ret_mem)
		*ret_mem = map_memory(size_b, 0, &fd);
	check(*ret_mem ? 0 : -ENOMEM, "mapping packet memory");
	sn_umem_format(*ret_mem, FRAMES, FRAME_B);
	check(sn_umem_join(fd, true, ret), "joining packet memory");
}

static void make_ports(struct sn_xdp *x, char **names, uint32_t queue, struct sn_umem *u, struct sn_port ports[SIDES])
{
	int fds[SIDES];
	uint8_t *mem;
	bool zero_copy;

	make_memory(u, &mem);
	for (uint32_t side = 0; side < SIDES; side++) {
		struct sn_xsk_config c = {
			.ifindex = if_nametoindex(names[side]), .queue = queue,
			.fill = RING, .completion = RING, .rx = RING, .tx = RING_TX, .zero_copy = true,
		};

		fds[side] = sn_xsk_make(&c, mem + sn_umem_frames_off_b(FRAMES), (size_t)FRAMES * FRAME_B, FRAME_B,
					side ? fds[0] : -1, &zero_copy);
		check(fds[side] < 0 ? fds[side] : 0, "AF_XDP socket");
		check(sn_xsk_join(fds[side], side, u, (uint16_t)side, (uint16_t)queue, &ports[side]), "joining a socket");
		check(sn_xdp_set_socket(x, side, queue, fds[side]), "socket into the map");
	}
	sn_umem_reclaim(u);
}

static void swap_addresses(uint8_t *frame)
{
	uint8_t kept[6];

	memcpy(kept, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, kept, 6);
}

static uint32_t forward(struct sn_umem *u, struct sn_port *from, struct sn_port *to)
{
	struct sn_desc descs[SN_BURST];
	uint32_t n = sn_rx(from, descs, SN_BURST), sent;

	for (uint32_t i = 0; i < n; i++)
		swap_addresses(sn_umem_frame(u, descs[i].frame) + descs[i].offset_b);
	sent = n ? sn_tx(to, descs, n) : 0;
	for (uint32_t i = sent; i < n; i++)
		sn_umem_give(u, descs[i].frame);
	return n;
}

static void run(struct sn_umem *u, struct sn_port ports[SIDES])
{
	struct pollfd fds[SIDES];
	uint32_t idle = 0;

	for (uint32_t side = 0; side < SIDES; side++)
		fds[side] = (struct pollfd){ .fd = ports[side].fd, .events = POLLIN };
	for (;;) {
		uint32_t work = forward(u, &ports[0], &ports[1]) + forward(u, &ports[1], &ports[0]);

		sn_kick(&ports[0]);
		sn_kick(&ports[1]);
		idle = work ? 0 : idle + 1;
		if (idle >= IDLE_ROUNDS)
			poll(fds, SIDES, SLEEP_MS);
	}
}

static void start(struct sn_xdp *x, char **names, uint32_t queue)
{
	struct sn_port ports[SIDES];
	struct sn_umem u;
	pid_t pid = fork();

	check(pid < 0 ? -errno : 0, "fork");
	if (pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	make_ports(x, names, queue, &u, ports);
	run(&u, ports);
}

int main(int argc, char **argv)
{
	struct sn_xdp x;
	uint32_t queues = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;

	if (queues == 0) {
		fprintf(stderr, "usage: wire-io-forward INSIDE OUTSIDE QUEUES\n");
		return 2;
	}
	attach(&x, argv + 1);
	for (uint32_t queue = 0; queue < queues; queue++)
		start(&x, argv + 1, queue);
	wait(NULL);
	return 1;
}
