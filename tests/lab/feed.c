/*
 * feed.c: a region in a file and one process that is its control and worker, so that the API can be tried without a
 * network.
 *
 *     feed FILE SHARDS EVENTS        makes the region (rings of EVENTS slots), then obeys lines of standard input:
 *     open PROTO N PORT              a flow of subscriber N from PORT to 198.51.100.N:443; says its handle
 *     outside HANDLE                 a flow from outside by the binding of HANDLE's flow; says its handle
 *     update HANDLE STATE STATUS CHANGE    (numbers) an UPDATE
 *     close HANDLE REASON            its end
 *     flood N COUNT                  COUNT UDP flows of subscriber N opened and closed
 *     epoch                          each shard changes hands
 *
 * Each line is answered by one line. Ends with standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shard.h"

#define INSIDE 0x64400000u /* 100.64.0.0 */
#define PUBLIC 0xcb007100u /* 203.0.113.0 */
#define REMOTE 0xc6336400u /* 198.51.100.0 */
#define ADDRESSES 4u
#define HANDLES 4096u

static struct sn_region region;
static struct sn_shard shards[SN_SHARDS_MAX];
static struct {
	struct sn_shard *shard;
	uint32_t flow;
} handles[HANDLES];
static uint32_t handle_count;

static const struct sn_policy *policy(void)
{
	return sn_policy_active(region.policy);
}

static uint64_t now_ns(void)
{
	return sn_clock_ns(&region.hdr->clock);
}

static void *make_file(const char *path, const struct sn_geometry *geo, size_t *ret_size_b)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	void *mem;

	*ret_size_b = sn_region_footprint(geo);
	if (fd < 0 || ftruncate(fd, (off_t)*ret_size_b))
		return NULL;
	mem = mmap(NULL, *ret_size_b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return mem == MAP_FAILED ? NULL : mem;
}

static void make_policy(void)
{
	struct sn_policy *p = &region.policy->copy[0];

	p->generation = 1;
	p->realm_count = p->pool_count = 1;
	p->rule_count = 2;
	strcpy(p->realms[0], "default");
	strcpy(p->pools[0].name, "public");
	p->pools[0].addresses = ADDRESSES;
	p->rules[0] = (struct sn_rule){ htonl(INSIDE), htonl(0xffc00000u), SN_TRANSLATE, SN_ENDPOINT_INDEPENDENT, 0 };
	p->rules[1] = (struct sn_rule){ .action = SN_PASS };
	p->limits.blocks = 4;
	p->limits.outside_flows = 64;
}

static void take_shards(uint32_t epoch)
{
	for (uint32_t i = 0; i < region.geo.shards; i++) {
		atomic_store(&region.owners[i], sn_shard_owner_pack((struct sn_shard_owner){ 0, epoch }));
		sn_shard_join(&shards[i], &region, i);
	}
}

static int make(const char *path, uint32_t shard_count, uint32_t events)
{
	struct sn_geometry geo = { .shards = shard_count, .workers = 1, .flows = 16384, .subscribers = 1024,
				   .addresses = ADDRESSES, .block_size = 512, .events = events, .held_ports = 8192,
				   .commands = 64, .handoff = 64, .audits = 1024 };
	struct sn_ports ports;
	size_t size_b;
	void *mem = make_file(path, &geo, &size_b);

	if (!mem || sn_region_format(mem, size_b, &geo, "fed") || sn_region_join(mem, size_b, true, &region))
		return -EINVAL;
	ports = sn_region_ports(&region, SN_NONE);
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		if (sn_ports_add_address(&ports, i, htonl(PUBLIC + i), 0))
			return -EINVAL;
		ports.addresses[i].state = SN_ADDRESS_ACTIVE;
	}
	make_policy();
	region.processes[SN_PROCESS_WORKER0].pid = (uint32_t)getpid();
	region.processes[SN_PROCESS_WORKER0].started_ns = now_ns();
	region.stats[0].ready = 1;
	take_shards(1);
	return 0;
}

static void drain_audits(const struct sn_shard *s)
{
	while (sn_ring_peek(&s->audits, 0))
		sn_ring_release(&s->audits, 1);
}

static struct sn_open opening(uint8_t proto, uint32_t n, uint16_t port)
{
	struct sn_open o = { .policy = policy(), .binding = SN_NONE, .bytes = 60, .now_ns = now_ns() };

	o.flow.inside_be32 = htonl(INSIDE + n);
	o.flow.inside_port_be16 = htons(port);
	o.flow.remote_be32 = htonl(REMOTE + n);
	o.flow.remote_port_be16 = htons(proto == 1 ? 8 << 8 : 443);
	o.flow.proto = proto;
	o.flow.state = proto == 6 ? SN_TCP_SYN_SENT : SN_TCP_NONE;
	o.flow.status = SN_ST_CONFIRMED | SN_ST_SRC_NAT;
	atomic_init(&o.flow.expires_ds, sn_clock_ds(o.now_ns) + (proto == 6 ? 1205 : 305));
	return o;
}

static void open_flow(struct sn_shard *s, const struct sn_open *o)
{
	uint32_t flow = SN_NONE;
	enum sn_verdict v = sn_shard_open(s, o, &flow);

	drain_audits(s);
	if (v != SN_V_FORWARD || handle_count == HANDLES) {
		printf("refused %s\n", sn_verdict_name(v));
		return;
	}
	handles[handle_count].shard = s;
	handles[handle_count].flow = flow;
	printf("%u\n", handle_count++);
}

static struct sn_shard *shard_of(uint32_t n)
{
	return &shards[sn_hash_shard(&region.hdr->key, 0, htonl(INSIDE + n), region.geo.shards)];
}

static void open_outside(uint32_t handle)
{
	struct sn_shard *s = handles[handle].shard;
	const struct sn_flow *f = &region.flows[handles[handle].flow];
	struct sn_open o = opening(f->proto, ntohl(f->inside_be32) - INSIDE, ntohs(f->inside_port_be16));

	o.flow.remote_be32 = htonl(REMOTE + 200);
	o.flow.remote_port_be16 = htons(9999);
	o.flow.flags = SN_FLOW_FROM_OUTSIDE;
	o.binding = f->binding;
	open_flow(s, &o);
}

static void update(uint32_t handle, unsigned int state, unsigned int status, unsigned int change)
{
	struct sn_flow *f = &region.flows[handles[handle].flow];

	f->state = (uint8_t)state;
	f->status |= (uint16_t)status;
	sn_flow_account(f, SN_DIR_REPLY, 52);
	sn_shard_update(handles[handle].shard, handles[handle].flow, (uint8_t)change, now_ns());
	puts("updated");
}

static void flood(uint32_t n, uint32_t count)
{
	struct sn_shard *s = shard_of(n);

	for (uint32_t i = 0; i < count; i++) {
		struct sn_open o = opening(17, n, (uint16_t)(i % 200 + 2000));
		uint32_t flow;

		if (sn_shard_open(s, &o, &flow) == SN_V_FORWARD)
			sn_shard_close(s, flow, SN_REASON_COMMAND, policy(), o.now_ns);
		drain_audits(s);
	}
	puts("flooded");
}

static void change_hands(void)
{
	take_shards(sn_region_owner(&region, 0).epoch + 1);
	puts("taken");
}

static void obey(const char *line)
{
	unsigned int a, b, c, d;

	if (sscanf(line, "open %u %u %u", &a, &b, &c) == 3) {
		struct sn_open o = opening((uint8_t)a, b, (uint16_t)c);

		open_flow(shard_of(b), &o);
	} else if (sscanf(line, "outside %u", &a) == 1 && a < handle_count) {
		open_outside(a);
	} else if (sscanf(line, "update %u %u %u %u", &a, &b, &c, &d) == 4 && a < handle_count) {
		update(a, b, c, d);
	} else if (sscanf(line, "close %u %u", &a, &b) == 2 && a < handle_count) {
		sn_shard_close(handles[a].shard, handles[a].flow, (enum sn_reason)b, policy(), now_ns());
		puts("closed");
	} else if (sscanf(line, "flood %u %u", &a, &b) == 2) {
		flood(a, b);
	} else if (!strncmp(line, "epoch", 5)) {
		change_hands();
	} else {
		puts("what?");
	}
}

int main(int argc, char **argv)
{
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4 || make(argv[1], (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]))) {
		fprintf(stderr, "usage: feed FILE SHARDS EVENTS\n");
		return 2;
	}
	puts("ready");
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
