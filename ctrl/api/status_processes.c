/* status_processes.c: who runs, and what each worker counts. */
#include "answer.h"

static const char *role_name(uint32_t slot)
{
	static const char *const names[] = { "supervisor", "control", "api" };

	return slot < SN_PROCESS_WORKER0 ? names[slot] : "worker";
}

static void fill_process(struct sn_view *v, uint32_t slot, Shardnat__Process *ret)
{
	const struct sn_process *p = &v->region->processes[slot];

	ret->role = sn_text(role_name(slot));
	ret->number = slot < SN_PROCESS_WORKER0 ? 0 : slot - SN_PROCESS_WORKER0;
	ret->pid = atomic_load_explicit(&p->pid, memory_order_acquire);
	ret->restarts = atomic_load_explicit(&p->restarts, memory_order_relaxed);
	if (ret->pid && v->now_ns > p->started_ns)
		ret->uptime_ms = (v->now_ns - p->started_ns) / 1000000u;
}

static void count(Shardnat__Counter *c, const char *name, const char *help, const uint64_t *value)
{
	c->name = sn_text(name);
	c->help = sn_text(help);
	c->value = __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void fill_counters(struct sn_arena *a, const struct sn_worker_stats *s, Shardnat__Worker *ret)
{
	const struct {
		const char *name, *help;
		const uint64_t *value;
	} counters[] = {
		{ "hairpins", "packets that went on to another subscriber of this node", &s->hairpins },
		{ "originated", "ICMP errors of the node itself", &s->originated },
		{ "pieces", "packets more than came in, by fragmenting", &s->pieces },
		{ "rounds", "turns of the main loop", &s->rounds },
		{ "sleeps", "turns that slept", &s->sleeps },
		{ "wakeups", "system calls that kicked a ring", &s->wakeups },
		{ "recovered", "changes that a take-over rolled forward or back", &s->recovered },
		{ "rebuilt", "shards whose indexes were rebuilt", &s->rebuilt },
		{ "astray", "frames that were not conserved over a take-over", &s->astray },
		{ "corrupt", "words of the region found out of range and contained", &s->corrupt },
		{ "policy-generation", "of the policy that is in use", &s->policy_generation },
	};

	SN_TAKE_LIST(a, ret->counters, SN_ARRAY_LEN(counters), Shardnat__Counter, shardnat__counter__init);
	ret->n_counters = SN_ARRAY_LEN(counters);
	for (size_t i = 0; i < SN_ARRAY_LEN(counters); i++)
		count(ret->counters[i], counters[i].name, counters[i].help, counters[i].value);
}

static void fill_frames(struct sn_arena *a, const struct sn_worker_stats *s, Shardnat__Worker *ret)
{
	static const char *const names[] = { "fill", "rx", "tx", "free", "other" };

	SN_TAKE_LIST(a, ret->frames, SN_ARRAY_LEN(names), Shardnat__Counter, shardnat__counter__init);
	ret->n_frames = SN_ARRAY_LEN(names);
	for (size_t i = 0; i < SN_ARRAY_LEN(names); i++)
		count(ret->frames[i], names[i], "", &s->frames[i]);
}

static void fill_worker_verdicts(struct sn_arena *a, const struct sn_worker_stats *s, Shardnat__Worker *ret)
{
	SN_TAKE_LIST(a, ret->verdicts, (size_t)SN_V_COUNT, Shardnat__Counter, shardnat__counter__init);
	ret->n_verdicts = SN_V_COUNT;
	for (int i = 0; i < SN_V_COUNT; i++)
		count(ret->verdicts[i], sn_verdict_name((enum sn_verdict)i), "", &s->verdict[i]);
}

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[SN_PORT_NONE] = "", [SN_PORT_XSK_COPY] = "xsk copy", [SN_PORT_XSK_ZERO_COPY] = "xsk zero-copy",
		[SN_PORT_PACKET] = "packet", [SN_PORT_TUN] = "tun",
	};

	return kind < SN_ARRAY_LEN(names) ? names[kind] : "";
}

static void fill_port(struct sn_view *v, struct sn_arena *a, const struct sn_port_stats *s, Shardnat__Port *ret)
{
	const struct sn_policy *p = sn_policy_active(v->region->policy);
	const struct {
		const char *name, *help;
		const uint64_t *value;
	} counters[] = {
		{ "received", "packets taken", &s->received },
		{ "sent", "packets given to the kernel", &s->sent },
		{ "dropped", "by the kernel, for want of a frame or of room", &s->dropped },
		{ "fill-empty", "times that the kernel found no frame to receive into", &s->fill_empty },
		{ "invalid", "packets or descriptors that were found wrong", &s->invalid },
		{ "too-big", "dropped, longer than a frame", &s->too_big },
		{ "tx-failed", "not sent, the queue or buffer was full", &s->tx_failed },
		{ "completed", "partial checksums that were completed", &s->completed },
	};

	ret->interface = sn_text(s->interface < SN_INTERFACES_MAX ? p->interfaces[s->interface].name : "");
	ret->queue = s->queue;
	ret->kind = sn_text(kind_name(s->kind));
	SN_TAKE_LIST(a, ret->counters, SN_ARRAY_LEN(counters), Shardnat__Counter, shardnat__counter__init);
	ret->n_counters = SN_ARRAY_LEN(counters);
	for (size_t i = 0; i < SN_ARRAY_LEN(counters); i++)
		count(ret->counters[i], counters[i].name, counters[i].help, counters[i].value);
}

static void fill_ports(struct sn_view *v, struct sn_arena *a, const struct sn_worker_stats *s, Shardnat__Worker *ret)
{
	while (ret->n_ports < SN_PORTS_MAX && __atomic_load_n(&s->ports[ret->n_ports].kind, __ATOMIC_RELAXED))
		ret->n_ports++;
	SN_TAKE_LIST(a, ret->ports, ret->n_ports, Shardnat__Port, shardnat__port__init);
	for (size_t i = 0; i < ret->n_ports; i++)
		fill_port(v, a, &s->ports[i], ret->ports[i]);
}

void sn_status_processes(struct sn_view *v, struct sn_arena *a, Shardnat__StatusReply *ret)
{
	uint32_t workers = v->region->geo.workers, processes = SN_PROCESS_WORKER0 + workers;

	SN_TAKE_LIST(a, ret->processes, processes, Shardnat__Process, shardnat__process__init);
	ret->n_processes = processes;
	for (uint32_t i = 0; i < processes; i++)
		fill_process(v, i, ret->processes[i]);
	SN_TAKE_LIST(a, ret->workers, workers, Shardnat__Worker, shardnat__worker__init);
	ret->n_workers = workers;
	for (uint32_t i = 0; i < workers; i++) {
		const struct sn_worker_stats *s = &v->region->stats[i];

		ret->workers[i]->number = i;
		ret->workers[i]->ready = __atomic_load_n(&s->ready, __ATOMIC_RELAXED) != 0;
		ret->workers[i]->received = __atomic_load_n(&s->received, __ATOMIC_RELAXED);
		ret->workers[i]->handed_in = __atomic_load_n(&s->handed_in, __ATOMIC_RELAXED);
		fill_counters(a, s, ret->workers[i]);
		fill_frames(a, s, ret->workers[i]);
		fill_worker_verdicts(a, s, ret->workers[i]);
		fill_ports(v, a, s, ret->workers[i]);
	}
}
