/*
 * player.c: plays scenarios through two gateways at once and prints what came out of each.
 *
 *     player --first N [--delete-kernel CMD] [--delete-node CMD] < scenarios
 *
 * It runs in a namespace that holds both ends of both gateways: ka and kb are the client's and the server's side of the
 * kernel's, na and nb of the node's. All scenarios run at once, a packet of each in turn. After some packets a marker goes
 * through each gateway, out and back in: once it has arrived, whatever was to come out has come out. So nothing is guessed
 * from time, and a dropped packet is known to be dropped.
 *
 * Output, a line each: "NAME k|n LINE <|> TEXT" (a packet that came out towards the client or the server, after the step
 * of that line of the input) and "NAME k|n map PORT" (a public port that the gateway chose).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "packet.h"
#include "scenario.h"

#define BURST 96
#define MARKER_CLIENT 0x647fff01u /* 100.127.255.1 */
#define MARKER_SERVER 0xc613fffdu /* 198.19.255.253 */
#define MARKER_PORT 9
#define MARKER_AGAIN_MS 300
#define MARKER_TRIES 40
#define SEND_TRIES 1000

struct gateway {
	int fd[2]; /* by enum side */
	uint32_t marker[2]; /* last one seen */
	uint32_t marker_addr;
	uint16_t marker_port;
};

static struct gateway gateways[GATEWAYS];
static struct scenario *scenarios;
static uint32_t scenario_count, first_index, marker;
static const char *delete_with[GATEWAYS];

static void die(const char *what)
{
	fprintf(stderr, "player: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int open_link(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), room = 64 << 20;

	at.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die(name);
	return fd;
}

/* The gateways' links have the same addresses: 02:00:00:00:00:01 inside, :02 outside. */
static void send_frame(int gateway, enum side side, uint8_t *frame, uint32_t len_b)
{
	static const uint8_t macs[2][12] = { { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 11 }, { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 12 } };

	memcpy(frame, macs[side], 12);
	put16(frame + 12, 0x0800);
	for (int try = 0; send(gateways[gateway].fd[side], frame, len_b, 0) < 0; try++)
		if (errno != EINTR && (errno != ENOBUFS || try == SEND_TRIES))
			die("send");
}

/* --- what comes out --- */

static bool take_marker(struct gateway *g, enum side side, const uint8_t *ip, uint32_t len_b)
{
	uint32_t far = side == SERVER ? MARKER_SERVER : MARKER_CLIENT;

	if (len_b < 32 || ip[9] != 17 || get32(ip + 16) != far)
		return false;
	g->marker[side] = get32(ip + 28);
	if (side == SERVER) {
		g->marker_addr = get32(ip + 12);
		g->marker_port = get16(ip + 20);
	}
	return true;
}

static void learn(struct scenario *s, const struct step *st, int gateway, const uint8_t *ip)
{
	struct public *pub = &s->conns[st->conn].pub[gateway][l4_of(ip[9])];
	uint16_t port = get16(ip + (ip[0] & 15) * 4 + (ip[9] == 1 ? 4 : 0));

	if (st->from != CLIENT || st->kind == STEP_ERROR || packet_is_rest(ip))
		return;
	if (!pub->learnt || pub->port != port)
		printf("%s %c map %u\n", s->name, "kn"[gateway], port);
	*pub = (struct public){ true, get32(ip + 12), port };
}

static void remember(struct conn *c, int gateway, enum side side, const uint8_t *ip, uint32_t len_b)
{
	struct seen **seen = &c->seen[gateway][side];

	if (!*seen)
		*seen = calloc(1, sizeof(**seen));
	(*seen)->len_b = (uint16_t)(len_b < SEEN_B ? len_b : SEEN_B);
	memcpy((*seen)->bytes, ip, (*seen)->len_b);
}

static void take_packet(int gateway, enum side side, const uint8_t *ip, uint32_t len_b)
{
	int64_t index = packet_index(ip, len_b) - first_index;
	const struct step *st;
	struct scenario *s;
	struct conn *c;
	char text[2000];

	if (index < 0 || index >= scenario_count || !scenarios[index].at) {
		fprintf(stderr, "player: a stray packet to the %s\n", side == CLIENT ? "client" : "server");
		return;
	}
	s = &scenarios[index];
	st = &s->steps[s->at - 1];
	c = &s->conns[st->conn];
	if (side == SERVER)
		learn(s, st, gateway, ip);
	if (st->kind != STEP_ERROR && !packet_is_rest(ip))
		remember(c, gateway, side, ip, len_b);
	packet_describe(ip, len_b, c, gateway, text, sizeof(text));
	printf("%s %c %u %c %s\n", s->name, "kn"[gateway], st->line, "<>"[side], text);
}

static void take_frames(int gateway, enum side side)
{
	uint8_t frame[FRAME_B];
	struct sockaddr_ll from;
	socklen_t from_b = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(gateways[gateway].fd[side], frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_b)) > 0) {
		uint32_t len_b = (uint32_t)n - ETH_B;

		if (from.sll_pkttype == PACKET_OUTGOING || n < ETH_B + 20 || get16(frame + ETH_B + 2) > len_b)
			continue;
		if (!take_marker(&gateways[gateway], side, frame + ETH_B, len_b))
			take_packet(gateway, side, frame + ETH_B, get16(frame + ETH_B + 2));
	}
}

static void take_for(int timeout_ms)
{
	struct pollfd p[GATEWAYS * 2];

	for (int i = 0; i < GATEWAYS * 2; i++)
		p[i] = (struct pollfd){ .fd = gateways[i / 2].fd[i % 2], .events = POLLIN };
	if (poll(p, GATEWAYS * 2, timeout_ms) <= 0)
		return;
	for (int i = 0; i < GATEWAYS * 2; i++)
		if (p[i].revents)
			take_frames(i / 2, (enum side)(i % 2));
}

/* --- markers --- */

static void send_marker(int gateway, enum side from)
{
	const struct gateway *g = &gateways[gateway];
	uint32_t out[2] = { MARKER_CLIENT, MARKER_SERVER }, in[2] = { MARKER_SERVER, g->marker_addr };
	uint16_t port_out[2] = { MARKER_PORT, MARKER_PORT }, port_in[2] = { MARKER_PORT, g->marker_port };
	uint8_t frame[FRAME_B];
	uint32_t len_b = packet_marker(frame, from == CLIENT ? out : in, from == CLIENT ? port_out : port_in, marker);

	send_frame(gateway, from, frame, len_b);
}

/* Sends a marker from a side through both gateways until both have arrived. */
static void pass_marker(enum side from)
{
	for (int try = 0; try < MARKER_TRIES; try++) {
		uint64_t end_ns = now_ns() + MARKER_AGAIN_MS * 1000000u;

		for (int g = 0; g < GATEWAYS; g++)
			if (gateways[g].marker[!from] != marker)
				send_marker(g, from);
		while (now_ns() < end_ns) {
			if (gateways[0].marker[!from] == marker && gateways[1].marker[!from] == marker)
				return;
			take_for(10);
		}
	}
	fprintf(stderr, "player: a marker did not come through the %s\n",
		gateways[0].marker[!from] == marker ? "node" : "kernel");
	exit(1);
}

static void settle(void)
{
	marker++;
	pass_marker(CLIENT);
	pass_marker(SERVER);
	take_for(0);
}

/* --- playing --- */

static void delete_flows(const struct scenario *s)
{
	char command[1000];
	uint32_t addr = s->conns[0].addr[SERVER];

	for (int g = 0; g < GATEWAYS; g++) {
		if (!delete_with[g])
			continue;
		snprintf(command, sizeof(command), "%s -d %u.%u.%u.%u >/dev/null 2>&1", delete_with[g], addr >> 24,
			 addr >> 16 & 255, addr >> 8 & 255, addr & 255);
		if (system(command) != 0)
			fprintf(stderr, "player: %s: deletion failed\n", s->name);
	}
}

/* Whole, or in fragments, the last one first if that is wanted. */
static void send_packet(const struct step *st, int gateway, uint8_t *frame, uint32_t len_b)
{
	uint8_t part[FRAME_B];
	uint32_t count = 0;

	if (!st->frag_b) {
		send_frame(gateway, st->from, frame, len_b);
		return;
	}
	while (packet_fragment(frame, len_b, st->frag_b, count, part))
		count++;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = st->backwards ? count - 1 - i : i;

		send_frame(gateway, st->from, part, packet_fragment(frame, len_b, st->frag_b, n, part));
	}
}

static void play_packet(struct scenario *s, struct step *st)
{
	struct conn *c = &s->conns[st->conn];
	uint8_t frame[FRAME_B];

	packet_settle(c, st);
	for (int g = 0; g < GATEWAYS; g++) {
		uint32_t len_b = packet_build(c, st, g, frame);

		if (len_b)
			send_packet(st, g, frame, len_b);
		else
			fprintf(stderr, "player: %s: line %u: nothing to quote\n", s->name, st->line);
	}
}

static void play(struct scenario *s)
{
	struct step *st = &s->steps[s->at++];

	if (st->kind == STEP_PAUSE)
		s->due_ns = now_ns() + st->pause_ms * 1000000ull;
	else if (st->kind == STEP_DELETE)
		delete_flows(s);
	else
		play_packet(s, st);
}

/* A step of each scenario whose time has come; false if none has any left. */
static bool play_round(void)
{
	uint32_t burst = 0, left = 0;
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < scenario_count; i++) {
		struct scenario *s = &scenarios[i];

		if (s->at == s->step_count)
			continue;
		left++;
		if (s->due_ns > now)
			continue;
		play(s);
		if (++burst % BURST == 0)
			settle();
	}
	if (burst % BURST)
		settle();
	else if (!burst)
		take_for(5);
	return left != 0;
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--first"))
			first_index = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--delete-kernel"))
			delete_with[0] = argv[i + 1];
		else if (!strcmp(argv[i], "--delete-node"))
			delete_with[1] = argv[i + 1];
	}
}

/* Packets of one processor stay in order on their way through the kernel's gateway. */
static void stay_on_this_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	static const char *const links[GATEWAYS][2] = { { "ka", "kb" }, { "na", "nb" } };

	read_arguments(argc, argv);
	stay_on_this_processor();
	for (int g = 0; g < GATEWAYS; g++)
		for (int side = 0; side < 2; side++)
			gateways[g].fd[side] = open_link(links[g][side]);
	scenario_count = scenarios_read(stdin, first_index, &scenarios);
	settle();
	while (play_round())
		;
	return fflush(stdout) ? 1 : 0;
}
