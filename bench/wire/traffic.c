/*
 * traffic.c: the benchmark's traffic: loads the programs of traffic.bpf.c, attaches the sink, and generates at a set
 * rate. bench/wire's Python starts one and gives it commands, a line each; each is answered by one line.
 *
 *     sink NAMESPACE INTERFACE     attach the sink; it goes with the interface
 *     pass NAMESPACE INTERFACE     attach the program that does nothing
 *     prepare NAMESPACE INTERFACE  attach the generator to an interface without traffic (lo). While it is attached anywhere, a run of
 *                                  it changes no kernel text (the XDP dispatcher), which would take 3 ms each time
 *     send NAMESPACE PACE KIND FLOWS BATCH PACKETS_PER_S MS STAMP_MASK {CPU INTERFACE DESTINATION_MAC}...
 *         -> ok sent N ns N ran NS seen N bytes N p50 NS p99 NS
 *
 * An answer is `ok ...` or `error ...`. PACE is `spin` (the generator keeps its CPU and sends small batches, evenly) or `sleep`
 * (it sleeps between batches of a millisecond: what it does not use of the core is the gateway's). How fast it was really is the
 * answer's `sent` over `ns`.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "traffic.h"

#define CPUS_MAX 64
#define GENERATORS_MAX 8
#define SETTLE_MS 10    /* nothing came for so long: all has come */
#define ORDER_SPINNING_MS 20
#define ORDER_SLEEPING_MS 1 /* no more packets than an AF_XDP ring of 2048 takes in */
#define SETTLE_TIMES 20 /* but no longer than that many times */

struct traffic {
	struct bpf_object *object;
	int generate, sink, pass, order, sent, seen;
	int cpus;
};

struct generator {
	struct traffic *t;
	int namespace;
	uint32_t cpu;
	bool spin;
	uint64_t packets_per_s, ns;
	struct wire_order order;
	pthread_t thread;
	pthread_barrier_t *start;
	uint64_t took_ns, ran_ns; /* ran: with the softirqs that ran on top of it */
	int err;
};

struct result {
	uint64_t sent, ns, ran_ns;
	struct wire_seen seen;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec t = { .tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int open_namespace(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int program_fd(const struct traffic *t, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(t->object, name));
}

static int map_fd(const struct traffic *t, const char *name)
{
	return bpf_object__find_map_fd_by_name(t->object, name);
}

static int load(struct traffic *t)
{
	int err;

	t->cpus = libbpf_num_possible_cpus();
	if (t->cpus < 1 || t->cpus > CPUS_MAX)
		return -ERANGE;
	t->object = bpf_object__open_mem(wire_object, (size_t)(wire_object_end - wire_object), NULL);
	if (!t->object)
		return -errno;
	err = bpf_object__load(t->object);
	if (err)
		return err;
	t->generate = program_fd(t, "generate");
	t->sink = program_fd(t, "sink");
	t->pass = program_fd(t, "pass");
	t->order = map_fd(t, "order");
	t->sent = map_fd(t, "sent");
	t->seen = map_fd(t, "seen");
	return 0;
}

/* Attaches in another namespace, and comes back. */
static int attach(int program, uint32_t mode, const char *namespace, const char *interface)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open_namespace(namespace);
	int err = there < 0 ? there : 0;
	unsigned int ifindex;

	if (!err && setns(there, CLONE_NEWNET))
		err = -errno;
	if (!err) {
		ifindex = if_nametoindex(interface);
		err = ifindex ? bpf_xdp_attach((int)ifindex, program, mode, NULL) : -ENODEV;
		if (setns(home, CLONE_NEWNET))
			err = -errno;
	}
	if (there >= 0)
		close(there);
	close(home);
	return err;
}

/* One order to the kernel: n live frames. */
static int generate(const struct generator *g, uint64_t n)
{
	static const uint8_t frame[WIRE_LARGE_B];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame, .data_size_in = g->order.kind == WIRE_IMIX ? WIRE_LARGE_B : WIRE_SMALL_B,
		.repeat = (int)n, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = g->order.batch);

	return bpf_prog_test_run_opts(g->t->generate, &opts);
}

static uint64_t round_up(uint64_t n, uint64_t multiple)
{
	return (n / multiple + 1) * multiple;
}

/* The program keeps the time; orders are for so long that their own cost is small, and a slow gateway ends in time. */
static int run_spinning(struct generator *g, uint64_t end_ns)
{
	uint64_t n = round_up(g->packets_per_s * ORDER_SPINNING_MS / 1000, g->order.batch);
	int err = 0;

	while (!err && now_ns() < end_ns)
		err = generate(g, n);
	return err;
}

/* What is due, once in ORDER_SLEEPING_MS; being later than another such time is not made up for. */
static int run_sleeping(struct generator *g, uint64_t end_ns)
{
	uint64_t n = round_up(g->packets_per_s * ORDER_SLEEPING_MS / 1000, g->order.batch);
	uint64_t gap_ns = n * 1000000000u / g->packets_per_s, at_ns = now_ns(), now;
	int err = 0;

	while (!err && (now = now_ns()) < end_ns) {
		if (now > at_ns + gap_ns)
			at_ns = now;
		sleep_until(at_ns);
		err = generate(g, n);
		at_ns += gap_ns;
	}
	return err;
}

static int run(struct generator *g)
{
	uint64_t start_ns = now_ns();
	int err = (g->order.gap_ns ? run_spinning : run_sleeping)(g, start_ns + g->ns);

	g->took_ns = now_ns() - start_ns;
	return err;
}

static void *generator_main(void *arg)
{
	struct generator *g = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(g->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || setns(g->namespace, CLONE_NEWNET) ||
	    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0))
		g->err = -errno;
	pthread_barrier_wait(g->start);
	if (!g->err)
		g->err = run(g);
	g->ran_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static int reset_pace(const struct traffic *t)
{
	struct wire_sent per_cpu[CPUS_MAX];
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(t->sent, &zero, per_cpu))
		return -errno;
	for (int i = 0; i < t->cpus; i++) {
		per_cpu[i].due_ns = 0;
		per_cpu[i].in_batch = 0;
	}
	return bpf_map_update_elem(t->sent, &zero, per_cpu, BPF_ANY) ? -errno : 0;
}

static int sum_sent(const struct traffic *t, uint64_t *ret)
{
	struct wire_sent per_cpu[CPUS_MAX];
	uint32_t zero = 0;

	*ret = 0;
	if (bpf_map_lookup_elem(t->sent, &zero, per_cpu))
		return -errno;
	for (int i = 0; i < t->cpus; i++)
		*ret += per_cpu[i].packets;
	return 0;
}

static int sum_seen(const struct traffic *t, struct wire_seen *ret)
{
	static struct wire_seen per_cpu[CPUS_MAX];
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	if (bpf_map_lookup_elem(t->seen, &zero, per_cpu))
		return -errno;
	for (int i = 0; i < t->cpus; i++) {
		ret->packets += per_cpu[i].packets;
		ret->bytes += per_cpu[i].bytes;
		for (int b = 0; b < WIRE_BUCKETS; b++)
			ret->delays[b] += per_cpu[i].delays[b];
	}
	return 0;
}

/* The sink's count once nothing comes any more. */
static int settle(const struct traffic *t, struct wire_seen *ret)
{
	uint64_t before;
	int err = sum_seen(t, ret);

	for (int i = 0; !err && i < SETTLE_TIMES; i++) {
		before = ret->packets;
		usleep(SETTLE_MS * 1000);
		err = sum_seen(t, ret);
		if (ret->packets == before)
			break;
	}
	return err;
}

static int run_all(struct generator *list, uint32_t count)
{
	pthread_barrier_t start;
	int err = 0;

	pthread_barrier_init(&start, NULL, count);
	for (uint32_t i = 0; i < count; i++) {
		list[i].start = &start;
		if (pthread_create(&list[i].thread, NULL, generator_main, &list[i]))
			abort();
	}
	for (uint32_t i = 0; i < count; i++) {
		pthread_join(list[i].thread, NULL);
		err = err ? err : list[i].err;
	}
	pthread_barrier_destroy(&start);
	return err;
}

static int measure(struct traffic *t, struct generator *list, uint32_t count, struct result *ret)
{
	struct wire_seen before;
	uint64_t sent_before;
	int err = reset_pace(t);

	err = err ? err : sum_sent(t, &sent_before);
	err = err ? err : sum_seen(t, &before);
	for (uint32_t i = 0; !err && i < count; i++)
		if (bpf_map_update_elem(t->order, &list[i].cpu, &list[i].order, BPF_ANY))
			err = -errno;
	err = err ? err : run_all(list, count);
	err = err ? err : settle(t, &ret->seen);
	err = err ? err : sum_sent(t, &ret->sent);
	if (err)
		return err;
	ret->sent -= sent_before;
	ret->seen.packets -= before.packets;
	ret->seen.bytes -= before.bytes;
	for (int b = 0; b < WIRE_BUCKETS; b++)
		ret->seen.delays[b] -= before.delays[b];
	ret->ns = ret->ran_ns = 0;
	for (uint32_t i = 0; i < count; i++) {
		ret->ran_ns += list[i].ran_ns;
		ret->ns = list[i].took_ns > ret->ns ? list[i].took_ns : ret->ns;
	}
	return 0;
}

/* The upper edge of the bucket where the share of the delays is reached; 0 if there are none. */
static uint64_t percentile_ns(const struct wire_seen *s, uint32_t percent)
{
	uint64_t total = 0, sum = 0, bucket = 0;

	for (int b = 0; b < WIRE_BUCKETS; b++)
		total += s->delays[b];
	if (total == 0)
		return 0;
	while (bucket < WIRE_BUCKETS - 1 && (sum += s->delays[bucket]) * 100 < total * percent)
		bucket++;
	return bucket < 16 ? bucket + 1 : (bucket % 8 + 9) << (bucket / 8 - 1);
}

static int parse_kind(const char *name, uint32_t *ret)
{
	static const char *const names[] = { [WIRE_UDP] = "udp", [WIRE_IMIX] = "imix", [WIRE_SYN] = "syn" };

	for (uint32_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

static int read_hardware_address(const char *interface, uint8_t ret[6])
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	err = ioctl(fd, SIOCGIFHWADDR, &request) ? -errno : 0;
	memcpy(ret, request.ifr_hwaddr.sa_data, 6);
	close(fd);
	return err;
}

/* In the interface's namespace: a thread of its own looks it up there. */
struct lookup {
	int namespace, err;
	const char *interface;
	struct wire_order *order;
};

static void *look_up(void *arg)
{
	struct lookup *l = arg;

	if (setns(l->namespace, CLONE_NEWNET)) {
		l->err = -errno;
		return NULL;
	}
	l->order->ifindex = if_nametoindex(l->interface);
	l->err = l->order->ifindex ? read_hardware_address(l->interface, l->order->source) : -ENODEV;
	return NULL;
}

static int find_interface(struct generator *g, const char *interface, const char *destination)
{
	struct lookup l = { .namespace = g->namespace, .interface = interface, .order = &g->order };
	struct ether_addr mac;
	pthread_t thread;

	if (!interface || !destination || !ether_aton_r(destination, &mac))
		return -EINVAL;
	memcpy(g->order.destination, &mac, 6);
	if (pthread_create(&thread, NULL, look_up, &l))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return l.err;
}

/* The words of a send command into generators. Their number, or -errno. The namespace is the caller's to close. */
static int parse_send(struct traffic *t, char **words, int namespace, struct generator *list)
{
	const char *pace = strtok_r(NULL, " \n", words), *kind = strtok_r(NULL, " \n", words), *numbers[5];
	struct generator model = { .t = t, .namespace = namespace };
	const char *cpu, *interface;
	int count = 0, err;

	for (int i = 0; i < 5; i++) {
		numbers[i] = strtok_r(NULL, " \n", words);
		if (!numbers[i])
			return -EINVAL;
	}
	err = parse_kind(kind, &model.order.kind);
	model.spin = strcmp(pace, "spin") == 0;
	model.order.flow_mask = (uint32_t)strtoul(numbers[0], NULL, 10);
	model.order.batch = (uint32_t)strtoul(numbers[1], NULL, 10);
	model.packets_per_s = strtoull(numbers[2], NULL, 10);
	model.ns = strtoull(numbers[3], NULL, 10) * 1000000u;
	model.order.stamp_mask = (uint32_t)strtoul(numbers[4], NULL, 10);
	while (!err && count < GENERATORS_MAX && (cpu = strtok_r(NULL, " \n", words))) {
		list[count] = model;
		list[count].cpu = (uint32_t)strtoul(cpu, NULL, 10);
		interface = strtok_r(NULL, " \n", words);
		err = find_interface(&list[count], interface, strtok_r(NULL, " \n", words));
		count++;
	}
	return err ? err : count;
}

/* The flows and the rate are for all generators together. */
static int share_out(struct generator *list, uint32_t count)
{
	uint32_t flows = list[0].order.flow_mask / count;

	if (flows == 0 || flows & (flows - 1) || list[0].packets_per_s < count || list[0].order.batch == 0 ||
	    list[0].packets_per_s / count < list[0].order.batch)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		list[i].order.flow_mask = flows - 1;
		list[i].order.flow_base = i * flows;
		list[i].packets_per_s /= count;
		if (list[i].spin)
			list[i].order.gap_ns = (uint32_t)(list[i].order.batch * 1000000000ull / list[i].packets_per_s);
	}
	return 0;
}

static int do_send(struct traffic *t, char **words)
{
	struct generator list[GENERATORS_MAX];
	const char *name = strtok_r(NULL, " \n", words);
	int namespace = name ? open_namespace(name) : -EINVAL;
	struct result r;
	int count, err;

	if (namespace < 0)
		return namespace;
	count = parse_send(t, words, namespace, list);
	err = count < 0 ? count : count == 0 ? -EINVAL : share_out(list, (uint32_t)count);
	err = err ? err : measure(t, list, (uint32_t)count, &r);
	close(namespace);
	if (!err)
		printf("ok sent %" PRIu64 " ns %" PRIu64 " ran %" PRIu64 " seen %" PRIu64 " bytes %" PRIu64 " p50 %" PRIu64 " p99 %" PRIu64 "\n",
		       r.sent, r.ns, r.ran_ns, (uint64_t)r.seen.packets, (uint64_t)r.seen.bytes, percentile_ns(&r.seen, 50),
		       percentile_ns(&r.seen, 99));
	return err;
}

static int do_attach(int program, uint32_t mode, char **words)
{
	const char *namespace = strtok_r(NULL, " \n", words), *interface = strtok_r(NULL, " \n", words);
	int err = namespace && interface ? attach(program, mode, namespace, interface) : -EINVAL;

	if (!err)
		puts("ok");
	return err;
}

static int obey(struct traffic *t, char *line)
{
	char *words;
	const char *verb = strtok_r(line, " \n", &words);

	if (verb && strcmp(verb, "sink") == 0)
		return do_attach(t->sink, XDP_FLAGS_DRV_MODE, &words);
	if (verb && strcmp(verb, "pass") == 0)
		return do_attach(t->pass, XDP_FLAGS_DRV_MODE, &words);
	if (verb && strcmp(verb, "prepare") == 0)
		return do_attach(t->generate, XDP_FLAGS_SKB_MODE, &words);
	if (verb && strcmp(verb, "send") == 0)
		return do_send(t, &words);
	return -EINVAL;
}

int main(void)
{
	struct traffic t;
	char line[1024];
	int err = load(&t);

	if (err) {
		fprintf(stderr, "wire-traffic: loading the programs: %s\n", strerror(-err));
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		err = obey(&t, line);
		if (err)
			printf("error %s\n", strerror(-err));
	}
	bpf_object__close(t.object);
	return 0;
}
