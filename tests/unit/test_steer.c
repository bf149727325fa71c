/*
 * test_steer.c: which packets the XDP program takes, and its loader, in namespaces of the test's own. Needs root (bpf,
 * unshare, mount) and fails with the reason without it.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/xsk.h"
#include "seed.h"
#include "xdp.h"

#define PINS "/mnt"
#define LO 1 /* its ifindex in any namespace; the program's test run takes place on it */
#define INTERFACE 5
#define FRAMES 64

enum { PASS = XDP_PASS, TAKE = XDP_REDIRECT, DROP = XDP_DROP };

struct packet {
	const char *what;
	const char *from, *to;
	int vlans;
	int icmp_type; /* -1: UDP */
	int inside, outside; /* what becomes of it */
	uint16_t frag; /* offset and flags */
	uint16_t ethertype; /* 0: IPv4 */
	uint8_t version_ihl; /* 0: 0x45 */
	uint8_t cut_b; /* bytes missing at the end */
};

static struct sn_xdp xdp;
static char msg[SN_XDP_MSG_B];

static void need(bool ok, const char *what)
{
	cr_assert(ok, "%s: %s (this test needs root)", what, strerror(errno));
}

static void lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	need(!ioctl(fd, SIOCSIFFLAGS, &ifr), "lo up");
	close(fd);
}

static void start(void)
{
	bool generic = false;

	need(!unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare");
	need(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	need(!mount("bpf", PINS, "bpf", 0, NULL), "bpffs");
	lo_up();
	cr_assert_eq(sn_xdp_load(PINS, 8, 8, &xdp, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(sn_xdp_attach(&xdp, LO, 0, INTERFACE, &generic, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert(generic, "the loopback has no native mode, and that is told");
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 0, inet_addr("100.64.0.0"), 10), 0);
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 0, inet_addr("10.1.2.3"), 32), 0);
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 1, inet_addr("203.0.113.0"), 28), 0);
	cr_assert_eq(sn_xdp_add_local(&xdp, inet_addr("100.64.0.1")), 0);
	cr_assert_eq(sn_xdp_add_local(&xdp, inet_addr("203.0.113.1")), 0);
}

static void stop(void)
{
	sn_xdp_remove(PINS);
	sn_xdp_fini(&xdp);
}

/* The process ends with the test, and the socket and its memory with it. */
static int make_socket(void)
{
	struct sn_xsk_config c = { .ifindex = LO, .fill = 256, .completion = 256, .rx = 256, .tx = 256 };
	size_t frames_b = FRAMES * 4096;
	void *mem = mmap(NULL, frames_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool zero_copy;
	int fd = sn_xsk_make(&c, mem, frames_b, 4096, -1, &zero_copy);

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_assert(!zero_copy);
	return fd;
}

static uint32_t put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
	return 2;
}

static uint32_t build(const struct packet *k, uint8_t frame[128])
{
	uint32_t at = 12, from = inet_addr(k->from), to = inet_addr(k->to);
	uint8_t *ip;

	memset(frame, 0, 128);
	for (int v = 0; v < k->vlans; v++) {
		at += put16(frame + at, v ? 0x8100 : 0x88a8);
		at += put16(frame + at, (uint16_t)(100 + v));
	}
	at += put16(frame + at, k->ethertype ? k->ethertype : 0x0800);
	ip = frame + at;
	ip[0] = k->version_ihl ? k->version_ihl : 0x45;
	put16(ip + 2, 48);
	put16(ip + 6, k->frag);
	ip[8] = 64;
	ip[9] = k->icmp_type < 0 ? 17 : 1;
	memcpy(ip + 12, &from, 4);
	memcpy(ip + 16, &to, 4);
	ip[20] = (uint8_t)(k->icmp_type < 0 ? 1 : k->icmp_type);
	return at + 48 - k->cut_b;
}

static int action_of(const uint8_t *frame, uint32_t len_b)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len_b);

	need(!bpf_prog_test_run_opts(xdp.programs[SN_XDP_STEER], &run), "BPF_PROG_TEST_RUN");
	return (int)run.retval;
}

static int ask(const struct packet *k)
{
	uint8_t frame[128];

	return action_of(frame, build(k, frame));
}

static void set_side(uint32_t side)
{
	bool generic;

	cr_assert_eq(sn_xdp_attach(&xdp, LO, side, INTERFACE, &generic, msg, sizeof(msg)), 0, "%s", msg);
}

static const struct packet packets[] = {
	{ "subscriber to the Internet", "100.64.9.9", "198.51.100.1", 0, -1, TAKE, PASS },
	{ "subscriber of a /32", "10.1.2.3", "198.51.100.1", 0, -1, TAKE, PASS },
	{ "neighbour of the /32", "10.1.2.4", "198.51.100.1", 0, -1, PASS, PASS },
	{ "first address after the prefix", "100.128.0.0", "198.51.100.1", 0, -1, PASS, PASS },
	{ "last address of the prefix", "100.127.255.255", "198.51.100.1", 0, -1, TAKE, PASS },
	{ "subscriber to the node", "100.64.9.9", "100.64.0.1", 0, -1, PASS, PASS },
	{ "subscriber to a multicast group", "100.64.9.9", "239.1.1.1", 0, -1, PASS, PASS },
	{ "subscriber broadcasts", "100.64.9.9", "255.255.255.255", 0, -1, PASS, PASS },
	{ "hairpin", "100.64.9.9", "203.0.113.5", 0, -1, TAKE, TAKE },
	{ "Internet to the pool", "198.51.100.1", "203.0.113.5", 0, -1, PASS, TAKE },
	{ "Internet to the node's address in the pool", "198.51.100.1", "203.0.113.1", 0, -1, PASS, PASS },
	{ "Internet to behind the pool", "198.51.100.1", "203.0.113.16", 0, -1, PASS, PASS },
	{ "one tag", "100.64.9.9", "203.0.113.5", 1, -1, TAKE, TAKE },
	{ "two tags", "100.64.9.9", "203.0.113.5", 2, -1, TAKE, TAKE },
	{ "three tags", "100.64.9.9", "203.0.113.5", 3, -1, PASS, PASS },
	{ "echo request of a stranger", "192.0.2.1", "198.51.100.1", 0, 8, PASS, PASS },
	{ "echo reply to the pool", "192.0.2.1", "203.0.113.5", 0, 0, PASS, TAKE },
	{ "unreachable, from an access router", "192.0.2.1", "198.51.100.1", 0, 3, TAKE, PASS },
	{ "source quench", "192.0.2.1", "198.51.100.1", 0, 4, TAKE, PASS },
	{ "redirect", "192.0.2.1", "198.51.100.1", 0, 5, TAKE, PASS },
	{ "time exceeded", "192.0.2.1", "198.51.100.1", 1, 11, TAKE, PASS },
	{ "parameter problem", "192.0.2.1", "198.51.100.1", 0, 12, TAKE, PASS },
	{ "error to the node", "192.0.2.1", "100.64.0.1", 0, 3, PASS, PASS },
	{ "error as a later fragment", "192.0.2.1", "198.51.100.1", 0, 3, PASS, PASS, .frag = 0x2001 },
	{ "error as a first fragment", "192.0.2.1", "198.51.100.1", 0, 3, TAKE, PASS, .frag = 0x2000 },
	{ "error cut off in its header", "192.0.2.1", "198.51.100.1", 0, 3, PASS, PASS, .cut_b = 21 },
	{ "later fragment of a subscriber", "100.64.9.9", "198.51.100.1", 0, -1, TAKE, PASS, .frag = 0x00b9 },
	{ "ARP", "100.64.9.9", "203.0.113.5", 0, -1, PASS, PASS, .ethertype = 0x0806 },
	{ "IPv6", "100.64.9.9", "203.0.113.5", 0, -1, PASS, PASS, .ethertype = 0x86dd },
	{ "version 6 in an IPv4 frame", "100.64.9.9", "203.0.113.5", 0, -1, PASS, PASS, .version_ihl = 0x65 },
	{ "header length below 20", "100.64.9.9", "203.0.113.5", 0, -1, PASS, PASS, .version_ihl = 0x44 },
	{ "error with options that reach beyond the end", "192.0.2.1", "198.51.100.1", 0, 3, PASS, PASS,
	  .version_ihl = 0x4f },
	{ "IP header cut off", "100.64.9.9", "203.0.113.5", 0, -1, PASS, PASS, .cut_b = 29 },
	{ "IP header just there", "100.64.9.9", "203.0.113.5", 0, -1, TAKE, TAKE, .cut_b = 28 },
};

Test(steer, takes_what_is_for_nat, .init = start, .fini = stop)
{
	cr_assert_eq(sn_xdp_set_socket(&xdp, INTERFACE, 0, make_socket()), 0);
	for (uint32_t i = 0; i < SN_ARRAY_LEN(packets); i++)
		cr_expect_eq(ask(&packets[i]), packets[i].inside, "inside: %s", packets[i].what);
	set_side(1);
	for (uint32_t i = 0; i < SN_ARRAY_LEN(packets); i++)
		cr_expect_eq(ask(&packets[i]), packets[i].outside, "outside: %s", packets[i].what);
}

Test(steer, drops_nat_traffic_without_a_live_socket, .init = start, .fini = stop)
{
	int fd = make_socket();

	cr_assert_eq(ask(&packets[0]), DROP, "no socket yet");
	cr_assert_eq(sn_xdp_set_socket(&xdp, INTERFACE, 1, fd), 0);
	cr_assert_eq(ask(&packets[0]), DROP, "a socket of another queue");
	cr_assert_eq(sn_xdp_set_socket(&xdp, INTERFACE, 0, fd), 0);
	cr_assert_eq(ask(&packets[0]), TAKE);
	close(fd);
	for (uint32_t tries = 0; tries < 1000000 && ask(&packets[0]) != DROP; tries++)
		;
	cr_assert_eq(ask(&packets[0]), DROP, "the socket is closed");
	cr_assert_eq(ask(&packets[2]), PASS, "other traffic does not mind");
}

Test(steer, counts_each_packet_once, .init = start, .fini = stop)
{
	struct sn_xdp_counters before, after;

	cr_assert_eq(sn_xdp_counters(&xdp, &before), 0);
	ask(&packets[0]);
	ask(&packets[2]);
	ask(&packets[2]);
	cr_assert_eq(sn_xdp_set_socket(&xdp, INTERFACE, 0, make_socket()), 0);
	for (int i = 0; i < 3; i++)
		ask(&packets[0]);
	cr_assert_eq(sn_xdp_counters(&xdp, &after), 0);
	cr_assert_eq(after.dropped - before.dropped, 1);
	cr_assert_eq(after.passed - before.passed, 2);
	cr_assert_eq(after.redirected - before.redirected, 3);
}

Test(steer, prefixes_and_addresses_come_and_go, .init = start, .fini = stop)
{
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 0, inet_addr("100.64.0.0"), 10), 0, "twice is once");
	cr_assert_eq(sn_xdp_del_prefix(&xdp, 0, inet_addr("100.64.0.0"), 10), 0);
	cr_assert_eq(sn_xdp_del_prefix(&xdp, 0, inet_addr("100.64.0.0"), 10), 0);
	cr_assert_eq(ask(&packets[0]), PASS);
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 0, 0, 0), 0);
	cr_assert_eq(ask(&packets[0]), DROP, "everybody is a subscriber");
	cr_assert_eq(sn_xdp_del_local(&xdp, inet_addr("100.64.0.1")), 0);
	cr_assert_eq(sn_xdp_del_local(&xdp, inet_addr("100.64.0.1")), 0);
	cr_assert_eq(ask(&packets[5]), DROP, "no longer the node's address");
	cr_assert_eq(sn_xdp_add_prefix(&xdp, 0, 0, 33), -EINVAL);
}

Test(steer, a_successor_adopts_the_pins, .init = start, .fini = stop)
{
	struct sn_xdp again;
	bool generic;

	cr_assert_eq(sn_xdp_load(PINS, 8, 8, &again, msg, sizeof(msg)), -EEXIST);
	sn_xdp_fini(&xdp);
	cr_assert_eq(sn_xdp_adopt(PINS, &xdp, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(ask(&packets[0]), DROP, "prefixes are still there");
	cr_assert_eq(sn_xdp_attach(&xdp, LO, 0, INTERFACE, &generic, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(sn_xdp_detach(&xdp, LO), 0);
	cr_assert_eq(sn_xdp_detach(&xdp, LO), 0);
	cr_assert_eq(ask(&packets[0]), PASS, "the interface is not the node's any more");
	cr_assert_eq(sn_xdp_remove(PINS), 0);
	cr_assert_eq(sn_xdp_adopt(PINS, &again, msg, sizeof(msg)), -ENOENT);
	cr_assert_gt(strlen(msg), 0);
}

Test(steer, refuses_what_it_cannot_do, .init = start, .fini = stop)
{
	struct sn_xdp other;
	bool generic;

	cr_assert_eq(sn_xdp_attach(&xdp, LO, 0, SN_STEER_INTERFACES_MAX, &generic, msg, sizeof(msg)), -EINVAL);
	cr_assert_eq(sn_xdp_attach(&xdp, 4711, 0, 1, &generic, msg, sizeof(msg)), -ENODEV);
	cr_assert_eq(sn_xdp_set_socket(&xdp, INTERFACE, SN_STEER_QUEUES_MAX, 0), -EINVAL);
	need(!mkdir(PINS "/other", 0700), "second directory");
	cr_assert_eq(sn_xdp_load(PINS "/other", 1, 1, &other, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(sn_xdp_attach(&other, LO, 0, 1, &generic, msg, sizeof(msg)), -EBUSY, "another program is there");
	cr_assert_not_null(strstr(msg, "another XDP program"));
	cr_assert_eq(sn_xdp_remove(PINS "/other"), 0);
	sn_xdp_fini(&other);
	cr_assert_eq(sn_xdp_load("/tmp", 1, 1, &other, msg, sizeof(msg)), -EPERM, "not a bpffs");
}

Test(steer, random_bytes_never_break_it, .init = start, .fini = stop)
{
	uint64_t seed = seed_start(31);
	uint8_t frame[128];

	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t len_b = build(&packets[seed_below(&seed, SN_ARRAY_LEN(packets))], frame);
		int action;

		for (uint32_t n = seed_below(&seed, 4); n; n--)
			frame[seed_below(&seed, len_b)] = (uint8_t)seed_next(&seed);
		action = action_of(frame, 14 + seed_below(&seed, len_b - 13));
		cr_assert(action == PASS || action == DROP, "action %d", action);
	}
}

static bool is_held(const struct packet *k)
{
	uint8_t frame[128];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = build(k, frame));

	if (!bpf_prog_test_run_opts(xdp.programs[SN_XDP_HOLD], &run))
		return run.retval == TC_ACT_SHOT;
	need(errno == EINVAL && k->cut_b == 29, "BPF_PROG_TEST_RUN"); /* which wants a whole IP header */
	return false;
}

static bool has_qdisc(void)
{
	return !system("tc qdisc show dev lo 2>/dev/null | grep -q clsact");
}

/* The kernel takes tags off itself, so that tagged packets are not for a packet socket of the untagged interface. */
Test(steer, the_tc_program_decides_as_the_xdp_program, .init = start, .fini = stop)
{
	cr_assert_eq(sn_xdp_hold(&xdp, LO, 0, INTERFACE, msg, sizeof(msg)), 0, "%s", msg);
	for (uint32_t i = 0; i < SN_ARRAY_LEN(packets); i++)
		cr_expect_eq(is_held(&packets[i]), packets[i].inside == TAKE && !packets[i].vlans, "inside: %s", packets[i].what);
	cr_assert_eq(sn_xdp_hold(&xdp, LO, 1, INTERFACE, msg, sizeof(msg)), 0, "%s", msg);
	for (uint32_t i = 0; i < SN_ARRAY_LEN(packets); i++)
		cr_expect_eq(is_held(&packets[i]), packets[i].outside == TAKE && !packets[i].vlans, "outside: %s", packets[i].what);
}

Test(steer, an_interface_has_one_program_or_the_other, .init = start, .fini = stop)
{
	bool generic;

	cr_assert_eq(sn_xdp_hold(&xdp, 4711, 0, 1, msg, sizeof(msg)), -ENODEV);
	cr_assert_eq(sn_xdp_hold(&xdp, LO, 0, SN_STEER_INTERFACES_MAX, msg, sizeof(msg)), -EINVAL);
	cr_assert_eq(sn_xdp_hold(&xdp, LO, 0, INTERFACE, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(access(PINS "/link-1", F_OK), -1, "the XDP program is gone");
	cr_assert(has_qdisc());
	cr_assert_eq(sn_xdp_attach(&xdp, LO, 0, INTERFACE, &generic, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert(!has_qdisc());
	cr_assert_eq(sn_xdp_hold(&xdp, LO, 0, INTERFACE, msg, sizeof(msg)), 0, "%s", msg);
	cr_assert_eq(sn_xdp_remove(PINS), 0);
	cr_assert(!has_qdisc(), "nothing is left behind");
}
