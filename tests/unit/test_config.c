/*
 * test_config.c: configurations that are right and what becomes of them, and a table of wrong ones with the exact
 * line that refuses each.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define SMALLEST \
	"instance: demo\n" \
	"inside:  [ { interface: gi } ]\n" \
	"outside: [ { interface: go } ]\n" \
	"pools:\n" \
	"  - { name: public, addresses: [203.0.113.0/28, 203.0.113.40] }\n" \
	"rules:\n" \
	"  - { source: 100.64.0.0/10, translate: public }\n"

static char path[64];

/* Loads a text as a file; "FILE" in expectations stands for its name. */
static int load(const char *text, struct sn_config *c, struct sn_error *err)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/sn-config-XXXXXX");
	fd = mkstemp(path);
	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	int e = sn_config_load(path, c, err);
	unlink(path);
	return e;
}

/* An interface of the host that the tests pretend to be on. */
static void add_link(struct sn_links *l, const char *name, uint16_t queues)
{
	struct sn_link *link = &l->links[l->count++];

	*link = (struct sn_link){
		.ifindex = 10 + l->count, .mtu_b = 1500, .ethernet = true, .up = true, .queues = queues
	};
	snprintf(link->name, sizeof(link->name), "%s", name);
}

static struct sn_links *host(void)
{
	static struct sn_links l;

	l.count = l.addr_count = 0;
	add_link(&l, "gi", 2);
	add_link(&l, "go", 4);
	l.addrs[l.addr_count++] = (struct sn_link_addr){ 11, inet_addr("100.64.0.1") };
	l.addrs[l.addr_count++] = (struct sn_link_addr){ 12, inet_addr("198.51.100.1") };
	return &l;
}

static void expect_refusal(int e, const struct sn_error *err, const char *want, const char *text)
{
	char whole[1100];

	snprintf(whole, sizeof(whole), "%s:%s", path, want);
	cr_assert_neq(e, 0, "accepted:\n%s", text);
	cr_expect_str_eq(err->text, whole, "\n got: %s\nwant: %s\nfor:\n%s", err->text, whole, text);
}

static void refuses(const char *text, const char *want)
{
	struct sn_config c;
	struct sn_error err = { "" };

	expect_refusal(load(text, &c, &err), &err, want, text);
}

static void refuses_on_host(const char *text, const char *want)
{
	struct sn_config c;
	struct sn_error err = { "" };

	cr_assert_eq(load(text, &c, &err), 0, "%s", err.text);
	expect_refusal(sn_config_settle(&c, host(), &err), &err, want, text);
	sn_config_fini(&c);
}

Test(config, smallest_has_the_defaults)
{
	struct sn_config c;
	struct sn_error err = { "" };
	struct sn_geometry geo;

	cr_assert_eq(load(SMALLEST, &c, &err), 0, "%s", err.text);
	cr_assert_eq(sn_config_settle(&c, host(), &err), 0, "%s", err.text);
	sn_config_geometry(&c, &geo);
	cr_expect_eq(geo.workers, 2, "as many as the interface with the fewest queues has");
	cr_expect_eq(geo.shards, 16);
	cr_expect_eq(geo.flows, 1000000);
	cr_expect_eq(geo.subscribers, 65536);
	cr_expect_eq(geo.addresses, 17);
	cr_expect_eq(geo.block_size, 512);
	cr_expect_gt(sn_region_footprint(&geo), 0);
	cr_expect_eq(c.timeouts.limits.hold_down_ds, 1200);
	cr_expect_eq(c.cold_hold_down_ds, 1200);
	cr_expect_eq(c.timeouts.limits.blocks, 8);
	cr_expect_eq(c.timeouts.limits.outside_flows, 64);
	cr_expect_eq(c.timeouts.limits.flows, 0);
	cr_expect_eq(c.timeouts.limits.icmp_rate, 100);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_UDP], 3000);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_TCP_ESTABLISHED], 74400);
	cr_expect_eq(c.frames, 8192);
	sn_config_fini(&c);
}

Test(config, one_time_for_udp_in_the_rfc_profile)
{
	struct sn_config c;
	struct sn_error err = { "" };

	cr_assert_eq(load(SMALLEST "timeouts: { udp: 130 }\n", &c, &err), 0, "%s", err.text);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_UDP_STREAM], 1300);
	sn_config_fini(&c);
	cr_assert_eq(load(SMALLEST "timeouts: { udp: 130, udp-stream: 200 }\n", &c, &err), 0, "%s", err.text);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_UDP_STREAM], 2000);
	sn_config_fini(&c);
	cr_assert_eq(load(SMALLEST "timeouts: { profile: netfilter, udp: 130 }\n", &c, &err), 0, "%s", err.text);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_UDP_STREAM], 1200);
	sn_config_fini(&c);
}

Test(config, every_key)
{
	struct sn_config c;
	struct sn_error err = { "" };
	const char *text =
		SMALLEST "  - { source: 10.0.0.0/8, translate: none }\n"
		"  - { source: 10.9.9.9, translate: public, filtering: address-dependent }\n"
		"timeouts: { profile: netfilter, udp: 7, tcp-established: 100 }\n"
		"limits: { tcp-ports: 100, udp-ports: none, icmp-ids: 5, flows: 1000, flow-rate: 50, blocks: 2,\n"
		"          outside-flows-per-binding: 3 }\n"
		"tcp: { loose: false, liberal: true, mss: 1360 }\n"
		"workers: 1\nshards: 2\nflows: 4096\nsubscribers: 128\nevent_ring: 256\nframes: 1024\n"
		"hold_down: 5\ncold_hold_down: 0\nheld_ports: 64\nicmp_rate: 7\nhugepages: never\nzero_copy: never\nio: uring\n"
		"xsk: { ring: 512, tx_ring: 1024, busy_poll: true }\ncpus: \"1,4-6\"\n";

	cr_assert_eq(load(text, &c, &err), 0, "%s", err.text);
	cr_expect_eq(c.rules[1].action, SN_PASS);
	cr_expect_eq(c.rules[2].filtering, SN_ADDRESS_DEPENDENT);
	cr_expect_eq(c.rules[2].source_mask_be32, UINT32_MAX);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_UDP], 70);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_TCP_ESTABLISHED], 1000);
	cr_expect_eq(c.timeouts.timeout_ds[SN_T_ICMP], 300, "the profile's");
	cr_expect_eq(c.timeouts.limits.ports[SN_L4_TCP], 100);
	cr_expect_eq(c.timeouts.limits.ports[SN_L4_UDP], 0);
	cr_expect_eq(c.timeouts.limits.flow_rate, 50);
	cr_expect_eq(c.timeouts.tcp_loose, 0);
	cr_expect_eq(c.timeouts.tcp_liberal, 1);
	cr_expect_eq(c.cold_hold_down_ds, 0);
	cr_expect_eq(c.timeouts.limits.hold_down_ds, 50);
	cr_expect_eq(c.hugepages, SN_NEVER);
	cr_expect_eq(c.zero_copy, SN_NEVER);
	cr_expect_eq(c.io, SN_IO_URING);
	cr_expect(c.xsk.ring == 512 && c.xsk.tx_ring == 1024 && c.xsk.busy_poll);
	cr_expect(c.cpu_count == 4 && c.cpus[0] == 1 && c.cpus[1] == 4 && c.cpus[3] == 6);
	sn_config_fini(&c);
}

Test(config, keys_of_timeouts_are_the_policys)
{
	for (int t = 0; t < SN_T_COUNT; t++) {
		struct sn_config c;
		struct sn_error err = { "" };
		char text[1024];

		snprintf(text, sizeof(text), SMALLEST "timeouts: { %s: 77 }\n", sn_timeout_name((enum sn_timeout)t));
		cr_assert_eq(load(text, &c, &err), 0, "%s", err.text);
		cr_expect_eq(c.timeouts.timeout_ds[t], 770);
		sn_config_fini(&c);
	}
}

Test(config, policy_has_the_interfaces_as_they_are)
{
	static struct sn_policy p;
	struct sn_config c;
	struct sn_error err = { "" };

	cr_assert_eq(load(SMALLEST, &c, &err), 0, "%s", err.text);
	cr_assert_eq(sn_config_settle(&c, host(), &err), 0, "%s", err.text);
	cr_expect_eq(sn_config_policy(&c, host(), &p), 0);
	cr_expect_eq(p.interface_count, 2);
	cr_expect_eq(p.interfaces[1].ifindex, 12);
	cr_expect_eq(p.interfaces[1].side, SN_OUTSIDE);
	cr_expect_eq(p.interfaces[1].addr_be32, inet_addr("198.51.100.1"));
	cr_expect_neq(p.interfaces[0].realm, p.interfaces[1].realm);
	cr_expect_eq(p.local_count, 2);
	cr_expect_eq(p.pools[0].addresses, 17);
	sn_config_fini(&c);
}

Test(config, shape_hash_tells_pools_and_frames_apart_and_nothing_else)
{
	struct sn_config a, b, d, e;
	struct sn_error err = { "" };

	cr_assert_eq(load(SMALLEST, &a, &err), 0);
	cr_assert_eq(load(SMALLEST "hold_down: 3\nlimits: { flows: 9 }\n", &b, &err), 0);
	cr_assert_eq(load(SMALLEST "frames: 4096\n", &d, &err), 0);
	cr_assert_eq(load("instance: demo\ninside: [ { interface: gi } ]\noutside: [ { interface: go } ]\n"
			  "pools: [ { name: public, addresses: [203.0.113.0/28, 203.0.113.41] } ]\n"
			  "rules: [ { source: 100.64.0.0/10, translate: public } ]\n", &e, &err), 0);
	cr_expect_eq(sn_config_hash(&a), sn_config_hash(&b));
	cr_expect_neq(sn_config_hash(&a), sn_config_hash(&d));
	cr_expect_neq(sn_config_hash(&a), sn_config_hash(&e));
	sn_config_fini(&a);
	sn_config_fini(&b);
	sn_config_fini(&d);
	sn_config_fini(&e);
}

static const struct {
	const char *text, *want;
} wrong[] = {
	/* what is no configuration at all */
	{ "", "1: the file is empty; at least instance, inside, outside, pools and rules are needed" },
	{ "a: [\n", "2: not YAML: did not find expected node content" },
	{ "[]\n", "1: a list is not right here; use a set of keys { key: value }" },
	/* keys */
	{ "instance: demo\n", "1: the key 'inside' is missing; it has no default" },
	{ SMALLEST "worker: 2\n", "8: worker: there is no such key; use one of instance, inside, outside, pools, "
				  "rules, timeouts, limits, tcp, xsk, workers, "
				  "shards, flows, subscribers, event_ring, frames, hold_down, cold_hold_down, "
				  "held_ports, icmp_rate, hugepages, zero_copy, io, cpus" },
	{ SMALLEST "tcp: { lose: true }\n", "8: tcp.lose: there is no such key; use one of loose, liberal, mss" },
	{ SMALLEST "  - { source: 10.0.0.0/8, to: public }\n",
	  "8: rules[1].to: there is no such key; use one of source, translate, filtering" },
	{ SMALLEST "  - { source: 10.0.0.0/8 }\n", "8: rules[1]: the key 'translate' is missing; it has no default" },
	{ SMALLEST "flows: 2000\nflows: 3000\n", "9: flows: the key is there twice; use it once" },
	{ SMALLEST "tcp: { loose: true, loose: true }\n", "8: tcp.loose: the key is there twice; use it once" },
	/* types */
	{ SMALLEST "workers: [2]\n", "8: workers: a list is not right here; use a single value" },
	{ SMALLEST "workers: { n: 2 }\n", "8: workers: a set of keys is not right here; use a single value" },
	{ SMALLEST "limits: 5\n", "8: limits: a single value is not right here; use a set of keys { key: value }" },
	{ "instance: x\ninside: gi\n", "2: inside: a single value is not right here; use a list [ ... ]" },
	{ "instance: x\ninside: [ gi ]\n",
	  "2: inside[0]: a single value is not right here; use a set of keys { key: value }" },
	{ "instance: x\ninside: []\n", "2: inside: the list is empty; use at least one entry" },
	/* numbers */
	{ SMALLEST "workers: two\n", "8: workers: value 'two' is not a whole number from 1 to 64; use 1 ... 64" },
	{ SMALLEST "workers: 2x\n", "8: workers: value '2x' is not a whole number from 1 to 64; use 1 ... 64" },
	{ SMALLEST "workers: -1\n", "8: workers: value '-1' is not a whole number from 1 to 64; use 1 ... 64" },
	{ SMALLEST "workers: 0x2\n", "8: workers: value '0x2' is not a whole number from 1 to 64; use 1 ... 64" },
	{ SMALLEST "workers: ''\n", "8: workers: value '' is not a whole number from 1 to 64; use 1 ... 64" },
	{ SMALLEST "flows: 1023\n",
	  "8: flows: value '1023' is not a whole number from 1024 to 60000000; use 1024 ... 60000000" },
	{ SMALLEST "flows: 99999999999999999999\n",
	  "8: flows: value '99999999999999999999' is not a whole number from 1024 to 60000000; use 1024 ... 60000000" },
	{ SMALLEST "shards: 12\n", "8: shards: value '12' is not a power of two from 2 to 256; use 2, 4, 8 ... 256" },
	{ SMALLEST "workers: 2\nshards: 2\n",
	  "9: shards: value '2' is not enough: each worker needs two; use a power of two that is at least 4" },
	{ SMALLEST "limits: { flows: 0 }\n",
	  "8: limits.flows: value '0' is not a whole number from 1 to 60000000; use 1 ... 60000000 or none" },
	{ SMALLEST "timeouts: { udp: 0 }\n",
	  "8: timeouts.udp: value '0' is not a whole number from 1 to 31536000; use 1 ... 31536000" },
	/* choices and names */
	{ SMALLEST "timeouts: { profile: linux }\n",
	  "8: timeouts.profile: value 'linux' is not a profile of timeouts; use rfc or netfilter" },
	{ SMALLEST "hugepages: maybe\n",
	  "8: hugepages: value 'maybe' is not a choice here; use auto, never or required" },
	{ SMALLEST "io: dpdk\n", "8: io: value 'dpdk' is not a kind of packet input and output; use auto, xsk or uring" },
	{ SMALLEST "xsk: { ring: 300 }\n", "8: xsk.ring: value '300' is not a power of two from 256 to 32768; use 256, 512, 1024 ... 32768" },
	{ SMALLEST "cpus: 2-0\n", "8: cpus: value '2-0' is not a list of CPUs; use numbers and ranges, as \"0,2-5\"" },
	{ SMALLEST "cpus: 0,\n", "8: cpus: value '0,' is not a list of CPUs; use numbers and ranges, as \"0,2-5\"" },
	{ SMALLEST "cpus: 0,x\n", "8: cpus: value '0,x' is not a list of CPUs; use numbers and ranges, as \"0,2-5\"" },
	{ SMALLEST "cpus: 0-64\n", "8: cpus: value '0-64' is not a list of CPUs; use numbers and ranges, as \"0,2-5\"" },
	{ SMALLEST "zero_copy: required\n", "8: zero_copy: value 'required' is not a choice here; use auto or never" },
	{ SMALLEST "tcp: { loose: maybe }\n", "8: tcp.loose: value 'maybe' is not yes or no; use true or false" },
	{ SMALLEST "  - { source: 10.0.0.0/8, translate: publik }\n",
	  "8: rules[1].translate: value 'publik' is not the name of a pool; use public, or none (pass untranslated)" },
	{ SMALLEST "  - { source: 10.0.0.1/8, translate: public }\n",
	  "8: rules[1].source: value '10.0.0.1/8' is not a prefix: it has bits set past its length; use 10.0.0.0/8" },
	{ SMALLEST "  - { source: 10.0.0.0/33, translate: public }\n",
	  "8: rules[1].source: value '10.0.0.0/33' is not an IPv4 address or prefix; use for example 100.64.0.0/10" },
	{ SMALLEST "  - { source: 10.0.0.0/8, translate: public, filtering: none }\n",
	  "8: rules[1].filtering: value 'none' is not a kind of filtering; use endpoint-independent, address-dependent "
	  "or "
	  "address-and-port-dependent" },
};

Test(config, refuses_with_file_line_key_value_and_what_is_right)
{
	for (size_t i = 0; i < SN_ARRAY_LEN(wrong); i++)
		refuses(wrong[i].text, wrong[i].want);
}

#define WITH(instance, inside, outside, pools) \
	"instance: " instance "\ninside: [ { interface: " inside " } ]\noutside: [ { interface: " outside " } ]\n" \
	"pools:\n" pools "rules: [ { source: 100.64.0.0/10, translate: a } ]\n"

static const struct {
	const char *text, *want;
} wrong_together[] = {
	{ WITH("../x", "gi", "go", "- { name: a, addresses: [192.0.2.1] }\n"),
	  "1: instance: value '../x' is not a name; use letters, digits, '-' and '_', at most 31, the first a letter "
	  "or digit" },
	{ WITH("x", "gi", "gi", "- { name: a, addresses: [192.0.2.1] }\n"),
	  "3: outside[0].interface: value 'gi' is not free: the interface is in use already; use each interface once, "
	  "on one side" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.1-192.0.2.9, 192.0.2.9] }\n"),
	  "5: pools[0].addresses[1]: value '192.0.2.9' is not free: it overlaps '192.0.2.1-192.0.2.9' of pool 'a'; use "
	  "each public "
	  "address once" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.1] }\n- { name: b, addresses: [192.0.2.0/24] }\n"),
	  "6: pools[1].addresses[0]: value '192.0.2.0/24' is not free: it overlaps '192.0.2.1' of pool 'a'; use each "
	  "public "
	  "address once" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.1] }\n- { name: a, addresses: [192.0.2.2] }\n"),
	  "6: pools[1].name: value 'a' is not free: another pool has it; use a name for each pool" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [100.64.0.0/30] }\n"),
	  "5: pools[0].addresses[0]: value '100.64.0.0/30' is not public: it overlaps the subscribers' '100.64.0.0/10' "
	  "of rules[0]; "
	  "use addresses that no subscriber has" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.9-192.0.2.1] }\n"),
	  "5: pools[0].addresses[0]: value '192.0.2.9-192.0.2.1' is not an IPv4 address, prefix or range; use for "
	  "example "
	  "203.0.113.1, 203.0.113.0/28 or 203.0.113.1-203.0.113.9" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [224.0.0.1] }\n"),
	  "5: pools[0].addresses[0]: value '224.0.0.1' is not usable as public addresses; use unicast addresses, not "
	  "0.0.0.0/8, "
	  "127.0.0.0/8 or 224.0.0.0/3" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [20.0.0.0/8] }\n"),
	  "5: pools[0].addresses[0]: value '20.0.0.0/8' is not possible: it is too large; use 65536 addresses at most, "
	  "in all pools "
	  "together" },
	{ WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.1], block_size: 100 }\n"),
	  "5: pools[0].block_size: value '100' is not a power of two from 64 to 4096; use 64, 128, 256 ... 4096" },
	{ WITH("x", "gi", "go",
	       "- { name: a, addresses: [192.0.2.1], block_size: 64 }\n- { name: b, addresses: [192.0.2.2] }\n"),
	  "6: pools[1].block_size: value '512 (the default)' is not that of the first pool; use the same block size "
	  "for all pools" },
};

Test(config, refuses_what_does_not_go_together)
{
	for (size_t i = 0; i < SN_ARRAY_LEN(wrong_together); i++)
		refuses(wrong_together[i].text, wrong_together[i].want);
}

Test(config, refuses_what_the_host_does_not_have)
{
	refuses_on_host(
		WITH("x", "gx", "go", "- { name: a, addresses: [192.0.2.1] }\n"),
		"2: inside[0].interface: value 'gx' is not an Ethernet interface or TUN device of this host; use one of gi go");
	refuses_on_host(WITH("x", "gi", "go", "- { name: a, addresses: [198.51.100.0/28] }\n"),
			"5: pools[0].addresses[0]: value '198.51.100.0/28' is not free: it contains the node's own "
			"address 198.51.100.1; "
			"use addresses that are routed to the node and not set on an interface");
	refuses_on_host(WITH("x", "gi", "go", "- { name: a, addresses: [192.0.2.1] }\n") "workers: 3\n",
			"7: workers: value '3' is not possible: each worker needs a queue of every interface, and "
			"there is one with 2; "
			"use 2 or fewer, or give the interface more queues (ethtool -L)");
}

/* Whatever stands in a file is refused or taken, with a line of text: seeded rubbish made from a good file. */
Test(config, survives_damaged_files)
{
	unsigned seed = 20;
	char text[1024];

	cr_log_info("seed %u", seed);
	for (int round = 0; round < 3000; round++) {
		struct sn_config c;
		struct sn_error err = { "" };
		size_t len = strlen(SMALLEST);

		memcpy(text, SMALLEST, len + 1);
		for (int i = 0; i < 1 + round % 4; i++)
			text[(size_t)rand_r(&seed) % len] = (char)("{}[]:,-/ \n0aZ&*'\"%#\t"[rand_r(&seed) % 20]);
		if (load(text, &c, &err) == 0)
			sn_config_fini(&c);
		else
			cr_assert(!strncmp(err.text, path, strlen(path)), "%s", err.text);
	}
}
