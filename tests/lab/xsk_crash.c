/*
 * xsk_crash.c: kills a forwarder on AF_XDP at random instructions, fifty times, and proves after each kill that every
 * frame is in exactly one place. Needs root; makes namespaces of its own.
 *
 *     a1 ----veth---- a0 [inside]   forwarder   [outside] b0 ----veth---- b1
 *
 * This process is supervisor (program, UMEM, sockets), traffic source and sink on a1 and b1. The child forwards a0 <->
 * b0. It is stopped after a random time, given packets, single-stepped a random number of instructions, and killed. The
 * recovery is checked here, and runs again in the next child. Packets carry a number and bytes that follow from it: one
 * that arrives twice or changed means a frame with two owners. In the end what was sent is what arrived and what was in
 * the killed children's hands.
 *
 * usage: xsk_crash [seed]        exit code 0 or 1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/xsk.h"
#include "xdp.h"

#define PINS "/mnt" /* in our own mount namespace */
#define ROUNDS 50
#define PORTS 2
#define FRAMES 2048
#define FRAME_B 2048
#define RING 512
#define PACKET_B 128
#define PACKETS_MAX (1u << 20) /* per direction */
#define IN_FLIGHT_MAX 150
#define LATE_MAX 150 /* packets that come while the child is stopped */
#define STEPS_MAX 6000
#define RUN_MAX_US 8000

struct packet {
	struct ether_header eth;
	struct iphdr ip;
	uint32_t number;
	uint8_t fill[PACKET_B - sizeof(struct ether_header) - sizeof(struct iphdr) - sizeof(uint32_t)];
} __attribute__((packed));

/* What children tell; shared memory. */
struct told {
	_Atomic uint64_t forwarded, dropped;
};

/* One direction: packets sent into `from` come out of the other end. */
struct direction {
	uint32_t src_be32, dst_be32;
	uint32_t sent, arrived;
	uint8_t *seen; /* bit per number */
};

struct lab {
	struct sn_xdp xdp;
	int umem_fd;
	uint8_t *umem_mem;
	int sockets[PORTS];
	int wires[PORTS]; /* packet sockets on a1, b1 */
	struct direction to[PORTS]; /* sent into wire p */
	struct told *told;
	uint64_t lost;
	uint32_t cut[SN_FRAME_STATES]; /* rounds that found frames in such a state */
};

static void die(const char *what)
{
	printf("xsk_crash: FAILED: %s\n", what);
	exit(1);
}

static void expect(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static void expect_0(int err, const char *what)
{
	if (err) {
		printf("xsk_crash: %s: %s\n", what, strerror(err < 0 ? -err : errno));
		die(what);
	}
}

static void set_up_namespaces(void)
{
	expect_0(unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare (needs root)");
	expect_0(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	expect_0(mount("bpf", PINS, "bpf", 0, NULL), "bpffs");
	expect_0(system("set -e; for p in a b; do ip link add ${p}0 type veth peer name ${p}1;"
			"ip link set ${p}0 addrgenmode none up; ip link set ${p}1 addrgenmode none up; done"),
		 "veth pairs");
}

static void set_up_program(struct lab *l)
{
	const char *names[PORTS] = { "a0", "b0" };
	char msg[SN_XDP_MSG_B] = "";
	bool generic;

	if (sn_xdp_load(PINS, 16, 16, &l->xdp, msg, sizeof(msg)))
		die(msg);
	for (uint32_t p = 0; p < PORTS; p++) {
		if (sn_xdp_attach(&l->xdp, if_nametoindex(names[p]), p, p, &generic, msg, sizeof(msg)))
			die(msg);
		expect(!generic, "veth takes the program in native mode");
	}
	expect_0(sn_xdp_add_prefix(&l->xdp, 0, inet_addr("100.64.0.0"), 10), "subscriber prefix");
	expect_0(sn_xdp_add_prefix(&l->xdp, 1, inet_addr("203.0.113.0"), 28), "pool prefix");
}

static void tear_down_program(struct lab *l)
{
	expect_0(sn_xdp_remove(PINS), "removing the program");
	sn_xdp_fini(&l->xdp);
}

static void set_up_sockets(struct lab *l)
{
	const char *names[PORTS] = { "a0", "b0" };
	size_t size_b = sn_umem_footprint(FRAMES, FRAME_B);
	bool zero_copy;

	l->umem_fd = memfd_create("xsk_crash", MFD_CLOEXEC);
	expect_0(ftruncate(l->umem_fd, (off_t)size_b), "memfd");
	l->umem_mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED, l->umem_fd, 0);
	expect(l->umem_mem != MAP_FAILED, "mapping the memfd");
	sn_umem_format(l->umem_mem, FRAMES, FRAME_B);
	for (uint32_t p = 0; p < PORTS; p++) {
		struct sn_xsk_config c = {
			.ifindex = if_nametoindex(names[p]), .fill = RING, .completion = RING, .rx = RING, .tx = RING,
			.zero_copy = true,
		};

		l->sockets[p] = sn_xsk_make(&c, l->umem_mem + sn_umem_frames_off_b(FRAMES), (size_t)FRAMES * FRAME_B,
					    FRAME_B, p ? l->sockets[0] : -1, &zero_copy);
		expect_0(l->sockets[p] < 0 ? l->sockets[p] : 0, "making an AF_XDP socket");
		expect(!zero_copy, "veth falls back to copy mode");
		expect_0(sn_xdp_set_socket(&l->xdp, p, 0, l->sockets[p]), "socket into the map");
	}
}

static void set_up_wires(struct lab *l)
{
	const char *names[PORTS] = { "a1", "b1" };
	int one = 1, room_b = 32 << 20;

	for (uint32_t p = 0; p < PORTS; p++) {
		struct sockaddr_ll at = {
			.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
			.sll_ifindex = (int)if_nametoindex(names[p]),
		};

		l->wires[p] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		expect_0(setsockopt(l->wires[p], SOL_SOCKET, SO_RCVBUFFORCE, &room_b, sizeof(room_b)),
			 "receive buffer");
		expect_0(setsockopt(l->wires[p], SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)),
			 "packet socket");
		expect_0(bind(l->wires[p], (struct sockaddr *)&at, sizeof(at)), "packet socket on a veth");
		l->to[p].seen = calloc(PACKETS_MAX / 8, 1);
	}
	l->to[0].src_be32 = inet_addr("100.64.0.5");
	l->to[0].dst_be32 = inet_addr("198.51.100.9");
	l->to[1].src_be32 = inet_addr("198.51.100.9");
	l->to[1].dst_be32 = inet_addr("203.0.113.3");
}

/* The successor's first steps, as worker does them. Returns the frames that were in the predecessor's hands. */
static uint32_t take_over(const struct lab *l, struct sn_umem *u, struct sn_port ports[PORTS])
{
	expect_0(sn_umem_join(l->umem_fd, true, u), "joining the UMEM");
	for (uint32_t p = 0; p < PORTS; p++)
		expect_0(sn_xsk_join(l->sockets[p], p, u, (uint16_t)p, 0, &ports[p]), "joining a socket");
	for (uint32_t p = 0; p < PORTS; p++)
		sn_xsk_recover(&ports[p]);
	return sn_umem_reclaim(u);
}

static void forward(const struct lab *l, struct sn_umem *u, struct sn_port *from, struct sn_port *to)
{
	struct sn_desc descs[SN_BURST];
	uint32_t n = sn_rx(from, descs, SN_BURST);
	uint32_t sent = n ? sn_tx(to, descs, n) : 0;

	for (uint32_t i = sent; i < n; i++) {
		atomic_fetch_add(&l->told->dropped, 1);
		sn_umem_give(u, descs[i].frame);
	}
	atomic_fetch_add(&l->told->forwarded, sent);
	sn_kick(to);
}

static void run_child(const struct lab *l)
{
	struct pollfd fds[PORTS];
	struct sn_port ports[PORTS];
	struct sn_umem u;

	take_over(l, &u, ports);
	for (uint32_t p = 0; p < PORTS; p++)
		fds[p] = (struct pollfd){ .fd = ports[p].fd, .events = POLLIN };
	for (;;) {
		forward(l, &u, &ports[0], &ports[1]);
		forward(l, &u, &ports[1], &ports[0]);
		if (!sn_pending(&ports[0]) && !sn_pending(&ports[1]))
			poll(fds, PORTS, 10);
	}
}

static void send_one(struct lab *l, uint32_t wire)
{
	struct direction *d = &l->to[wire];
	struct packet k = {
		.eth = { .ether_type = htons(ETHERTYPE_IP), .ether_dhost = { 2, 0, 0, 0, 0, 1 }, .ether_shost = { 2 } },
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = 17, .saddr = d->src_be32, .daddr = d->dst_be32,
			.tot_len = htons(PACKET_B - sizeof(struct ether_header)) },
		.number = d->sent,
	};

	memset(k.fill, (int)(k.number * 2654435761u >> 24), sizeof(k.fill));
	if (send(l->wires[wire], &k, sizeof(k), 0) == sizeof(k))
		d->sent++;
	expect(d->sent < PACKETS_MAX, "room for packet numbers");
}

static void arrived(struct direction *d, const struct packet *k)
{
	uint8_t want = (uint8_t)(k->number * 2654435761u >> 24);

	expect(k->number < d->sent, "a packet's number is one that was sent");
	for (uint32_t i = 0; i < sizeof(k->fill); i++)
		expect(k->fill[i] == want, "a packet arrives unchanged");
	expect(!(d->seen[k->number / 8] & 1 << k->number % 8), "a packet arrives once");
	d->seen[k->number / 8] |= (uint8_t)(1 << k->number % 8);
	d->arrived++;
}

/* Takes in what came out at both ends. */
static void drain(struct lab *l)
{
	struct packet k;

	for (uint32_t wire = 0; wire < PORTS; wire++) {
		struct direction *d = &l->to[!wire];

		while (recv(l->wires[wire], &k, sizeof(k), 0) == sizeof(k))
			if (k.eth.ether_type == htons(ETHERTYPE_IP) && k.ip.saddr == d->src_be32)
				arrived(d, &k);
	}
}

static uint64_t missing(const struct lab *l)
{
	return (uint64_t)l->to[0].sent + l->to[1].sent - l->to[0].arrived - l->to[1].arrived;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void flood(struct lab *l, uint64_t for_us)
{
	uint64_t end_us = now_us() + for_us;

	while (now_us() < end_us) {
		drain(l);
		for (uint32_t i = 0; i < 16 && missing(l) - l->lost < IN_FLIGHT_MAX; i++)
			send_one(l, (uint32_t)random() % PORTS);
	}
}

/* Stops the child, gives it work, lets it go on for some instructions, and kills it there. */
static void step_and_kill(struct lab *l, pid_t child, uint32_t packets, uint32_t steps)
{
	int status;

	expect_0(ptrace(PTRACE_SEIZE, child, NULL, NULL), "ptrace");
	expect_0(ptrace(PTRACE_INTERRUPT, child, NULL, NULL), "stopping the forwarder");
	expect(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the forwarder is alive until it is killed");
	while (packets--)
		send_one(l, (uint32_t)random() % PORTS);
	while (steps--) {
		expect_0(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), "stepping");
		expect(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the forwarder runs while stepped");
	}
	kill(child, SIGKILL);
	expect(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the forwarder dies of the kill");
}

/* Where each frame is, as the rings say. */
struct places {
	const struct sn_umem *u;
	uint8_t owner[FRAMES]; /* ring + 1 */
	uint32_t count[SN_XSK_RINGS];
	uint8_t port;
	enum sn_xsk_ring ring;
};

static void place(void *ctx, uint32_t frame)
{
	struct places *at = ctx;
	bool to_receive = at->ring == SN_XSK_FILL || at->ring == SN_XSK_RX;

	expect(!at->owner[frame], "no frame is in two places");
	expect(at->u->socket[frame] == at->port, "a frame is in its own socket's ring");
	expect(sn_umem_state(at->u, frame) == (to_receive ? SN_FRAME_FILL : SN_FRAME_TX),
	       "a frame in a ring is the kernel's");
	at->owner[frame] = (uint8_t)(at->ring + 1);
	at->count[at->ring]++;
}

static void look_at_rings(const struct sn_umem *u, const struct sn_port ports[PORTS], struct places *ret)
{
	*ret = (struct places){ .u = u };
	for (uint32_t p = 0; p < PORTS; p++)
		for (uint32_t r = 0; r < SN_XSK_RINGS; r++) {
			ret->port = (uint8_t)p;
			ret->ring = r;
			sn_xsk_each(&ports[p], r, place, ret);
		}
}

/*
 * What the kernel has in its hands between two rings: a frame per socket for receiving that it put back, none for
 * sending.
 */
static bool accounted(const struct places *at, const uint32_t counts[SN_FRAME_STATES])
{
	uint32_t receiving = at->count[SN_XSK_FILL] + at->count[SN_XSK_RX];
	uint32_t sending = at->count[SN_XSK_TX] + at->count[SN_XSK_COMPLETION];

	return sending == counts[SN_FRAME_TX] && receiving <= counts[SN_FRAME_FILL] &&
	       counts[SN_FRAME_FILL] - receiving <= PORTS;
}

static void check_recovered(const struct sn_umem *u, const struct sn_port ports[PORTS])
{
	uint32_t counts[SN_FRAME_STATES], total = 0;
	struct places at;

	sn_umem_count(u, counts);
	for (uint32_t s = 0; s < SN_FRAME_STATES; s++)
		total += counts[s];
	expect(total == FRAMES, "the states' counts add up");
	expect(!counts[SN_FRAME_FILLING] && !counts[SN_FRAME_TXING] && !counts[SN_FRAME_WORK] &&
	       !counts[SN_FRAME_HANDOFF],
	       "nothing is in the middle of anything after recovery");
	expect(counts[SN_FRAME_FREE] == u->free_count, "the free stack holds the free frames");
	for (uint32_t tries = 0; tries < 1000; tries++) {
		look_at_rings(u, ports, &at);
		if (accounted(&at, counts))
			return;
		usleep(1000);
	}
	printf("states: free %u fill %u tx %u; rings: fill %u rx %u tx %u completion %u\n", counts[SN_FRAME_FREE],
	       counts[SN_FRAME_FILL], counts[SN_FRAME_TX], at.count[SN_XSK_FILL], at.count[SN_XSK_RX],
	       at.count[SN_XSK_TX], at.count[SN_XSK_COMPLETION]);
	die("each of the kernel's frames stands in a ring");
}

static void note_cut(struct lab *l)
{
	uint32_t counts[SN_FRAME_STATES];
	struct sn_umem u;

	expect_0(sn_umem_join(l->umem_fd, false, &u), "looking at the UMEM");
	sn_umem_count(&u, counts);
	for (uint32_t s = 0; s < SN_FRAME_STATES; s++)
		l->cut[s] += counts[s] > 0;
	sn_umem_leave(&u);
}

static void check_after_kill(struct lab *l)
{
	struct sn_port ports[PORTS];
	struct sn_umem u;

	note_cut(l);
	l->lost += take_over(l, &u, ports);
	check_recovered(&u, ports);
	for (uint32_t p = 0; p < PORTS; p++) {
		expect(!sn_xsk_refused(&ports[p]), "the kernel names only frames that it was given");
		sn_xsk_leave(&ports[p]);
	}
	sn_umem_leave(&u);
}

/* A first worker that fills the receive side and leaves, so that no packet comes too early. */
static void prime(struct lab *l)
{
	struct sn_port ports[PORTS];
	struct sn_desc none[1];
	struct sn_umem u;

	take_over(l, &u, ports);
	for (uint32_t p = 0; p < PORTS; p++) {
		expect(!sn_rx(&ports[p], none, 1), "nothing was received yet");
		sn_xsk_leave(&ports[p]);
	}
	sn_umem_leave(&u);
}

static pid_t start_child(const struct lab *l)
{
	pid_t pid = fork();

	expect_0(pid < 0 ? -errno : 0, "fork");
	if (!pid)
		run_child(l);
	return pid;
}

static void check_all_arrived(struct lab *l)
{
	pid_t child = start_child(l);

	for (uint32_t tries = 0; missing(l) > l->lost + l->told->dropped && tries < 1000; tries++) {
		drain(l);
		usleep(1000);
	}
	step_and_kill(l, child, 0, 0);
	check_after_kill(l);
	drain(l);
	if (missing(l) != l->lost + l->told->dropped)
		printf("xsk_crash: %llu missing, %llu lost in hand, %llu dropped\n", (unsigned long long)missing(l),
		       (unsigned long long)l->lost, (unsigned long long)l->told->dropped);
	expect(missing(l) == l->lost + l->told->dropped, "what did not arrive was in the hands of killed forwarders");
}

static void report(const struct lab *l, unsigned int seed)
{
	struct sn_xdp_counters c;

	expect_0(sn_xdp_counters(&l->xdp, &c), "the program's counters");
	expect(l->to[0].arrived > ROUNDS && l->to[1].arrived > ROUNDS, "traffic flowed in both directions");
	expect(c.redirected == (uint64_t)l->to[0].sent + l->to[1].sent, "the program gave every packet to a socket");
	printf("xsk_crash: ok: seed %u, %u kills, %u + %u packets sent, %llu lost in hand, %llu dropped; "
	       "kills that cut a batch: filling %u, sending %u, in hand %u\n", seed, ROUNDS, l->to[0].sent, l->to[1].sent,
	       (unsigned long long)l->lost, (unsigned long long)l->told->dropped, l->cut[SN_FRAME_FILLING],
	       l->cut[SN_FRAME_TXING], l->cut[SN_FRAME_WORK]);
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : (unsigned int)now_us();
	struct lab l = { .lost = 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("xsk_crash: seed %u\n", seed);
	srandom(seed);
	l.told = mmap(NULL, sizeof(*l.told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(l.told != MAP_FAILED, "shared memory");
	set_up_namespaces();
	set_up_program(&l);
	set_up_sockets(&l);
	set_up_wires(&l);
	prime(&l);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		pid_t child = start_child(&l);

		flood(&l, (uint64_t)random() % RUN_MAX_US);
		step_and_kill(&l, child, (uint32_t)random() % LATE_MAX, (uint32_t)random() % STEPS_MAX);
		check_after_kill(&l);
	}
	check_all_arrived(&l);
	report(&l, seed);
	tear_down_program(&l);
	return 0;
}
