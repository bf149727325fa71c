/* cmd_status.c: shardnat status, for people: colours on a terminal only. status_json.c is for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "status_json.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] status [-o json]\n"
	"Shows processes, shards and their owners, what became of the packets, hand-off, memory and warnings.\n";

/* Escape sequences, empty where they would be in the way. */
static const char *bold = "", *red = "", *yellow = "", *plain = "";

static void choose_colours(void)
{
	if (!isatty(STDOUT_FILENO) || getenv("NO_COLOR"))
		return;
	bold = "\033[1m";
	red = "\033[31m";
	yellow = "\033[33m";
	plain = "\033[0m";
}

static void heading(const char *text)
{
	printf("\n%s%s%s\n", bold, text, plain);
}

/* "3d 04:05:06" */
static void put_duration(uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		printf("%" PRIu64 "d ", s / 86400);
	printf("%02u:%02u:%02u", (unsigned int)(s / 3600 % 24), (unsigned int)(s / 60 % 60), (unsigned int)(s % 60));
}

static void put_bytes(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	printf("%.*f %s", unit ? 1 : 0, value, units[unit]);
}

static void put_warnings(const Shardnat__StatusReply *s)
{
	for (size_t i = 0; i < s->n_warnings; i++) {
		printf("%swarning%s: %s", yellow, plain, s->warnings[i]->text);
		if (s->warnings[i]->seconds_left)
			printf(" (%" PRIu64 " s left)", s->warnings[i]->seconds_left);
		printf(" [%s]\n", s->warnings[i]->code);
	}
}

static void put_processes(const Shardnat__StatusReply *s)
{
	heading("Processes");
	for (size_t i = 0; i < s->n_processes; i++) {
		const Shardnat__Process *p = s->processes[i];
		char name[48];

		snprintf(name, sizeof(name), i + s->n_workers < s->n_processes ? "%s" : "%s %u", p->role, p->number);
		if (!p->pid) {
			printf("  %-12s %snot running%s, %u restarts\n", name, red, plain, p->restarts);
			continue;
		}
		printf("  %-12s pid %-8u up ", name, p->pid);
		put_duration(p->uptime_ms);
		printf("  restarts %u\n", p->restarts);
	}
}

static void put_workers(const Shardnat__StatusReply *s)
{
	heading("Workers");
	for (size_t i = 0; i < s->n_workers; i++) {
		const Shardnat__Worker *w = s->workers[i];

		printf("  worker %-3u %s%s%s received %" PRIu64 ", handed in %" PRIu64 "; frames", w->number,
		       w->ready ? "" : red, w->ready ? "ready" : "not ready", w->ready ? "" : plain, w->received,
		       w->handed_in);
		for (size_t k = 0; k < w->n_frames; k++)
			printf(" %s %" PRIu64, w->frames[k]->name, w->frames[k]->value);
		printf("\n            ");
		for (size_t k = 0; k < w->n_counters; k++)
			if (w->counters[k]->value)
				printf(" %s %" PRIu64, w->counters[k]->name, w->counters[k]->value);
		printf("\n");
	}
}

static void put_ports(const Shardnat__StatusReply *s)
{
	heading("Sockets");
	for (size_t i = 0; i < s->n_workers; i++)
		for (size_t k = 0; k < s->workers[i]->n_ports; k++) {
			const Shardnat__Port *p = s->workers[i]->ports[k];

			printf("  worker %-3u %s queue %u, %s;", s->workers[i]->number, p->interface, p->queue, p->kind);
			for (size_t n = 0; n < p->n_counters; n++)
				if (p->counters[n]->value || n < 2)
					printf(" %s %" PRIu64, p->counters[n]->name, p->counters[n]->value);
			printf("\n");
		}
}

static void put_shards(const Shardnat__StatusReply *s)
{
	heading("Shards");
	printf("  SHARD WORKER  EPOCH      FLOWS   BINDINGS SUBSCRIBERS     EVENTS    REFUSED       HELD\n");
	for (size_t i = 0; i < s->n_shards; i++) {
		const Shardnat__Shard *h = s->shards[i];
		char owner[16];

		snprintf(owner, sizeof(owner), "%u", h->worker);
		printf("  %5u %6s %6u %10u %10u %11u %10" PRIu64 " %10" PRIu64 " %10u\n", h->number,
		       h->owned ? owner : "none", h->epoch, h->flows, h->bindings, h->subscribers, h->event_head, h->refused, h->held_ports);
	}
}

static void put_packets(const Shardnat__StatusReply *s)
{
	heading("Packets");
	printf("  received %" PRIu64 ", handed to another worker %" PRIu64 " (%.1f %%)\n", s->received, s->handed_in,
	       s->handoff_share * 100);
	for (size_t i = 0; i < s->n_verdicts; i++)
		if (s->verdicts[i]->value)
			printf("  %-14s %12" PRIu64 "  %s\n", s->verdicts[i]->name, s->verdicts[i]->value,
			       s->verdicts[i]->help);
}

static void put_tables(const Shardnat__StatusReply *s)
{
	heading("Tables and pools");
	for (size_t i = 0; i < s->n_slabs; i++)
		printf("  %-12s %" PRIu64 " of %" PRIu64 ", %u of %u chunks free\n", s->slabs[i]->name,
		       s->slabs[i]->live, s->slabs[i]->records, s->slabs[i]->chunks_free, s->slabs[i]->chunks);
	for (size_t i = 0; i < s->n_pools; i++)
		printf("  pool %-12s %u addresses, %" PRIu64 " of %" PRIu64 " port blocks claimed\n", s->pools[i]->name,
		       s->pools[i]->addresses, s->pools[i]->blocks_claimed, s->pools[i]->blocks);
	printf("  routing      %u routes, %u neighbours\n", s->routes, s->neighbours);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = (*(Shardnat__Section *const *)a)->bytes, y = (*(Shardnat__Section *const *)b)->bytes;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void put_memory(const Shardnat__Memory *m)
{
	heading("Memory");
	printf("  region ");
	put_bytes(m->bytes);
	printf(" in %s", m->backing);
	if (m->hugepages_added)
		printf(", %u hugepages added by the node", m->hugepages_added);
	printf("\n ");
	qsort(m->sections, m->n_sections, sizeof(m->sections[0]), by_size);
	for (size_t i = 0; i < m->n_sections && i < 8; i++) {
		printf("%s %s ", i ? "," : "", m->sections[i]->name);
		put_bytes(m->sections[i]->bytes);
	}
	printf("\n");
}

static void put_status(const Shardnat__StatusReply *s)
{
	choose_colours();
	printf("%sshardnat %s%s, version %s\n", bold, s->instance, plain, s->version);
	put_warnings(s);
	put_processes(s);
	put_packets(s);
	put_workers(s);
	put_ports(s);
	put_shards(s);
	put_tables(s);
	put_memory(s->memory);
}

int sn_cmd_status(const char *instance, int argc, char **argv)
{
	struct shardnat *node;
	Shardnat__Reply *reply;
	bool json = false;
	int err;

	if (!sn_cli_simple_options(argc, argv, help, &json, &err))
		return err;
	if (!sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	err = shardnat_status(node, &reply);
	if (!err) {
		if (json)
			sn_status_json(stdout, reply->status);
		else
			put_status(reply->status);
		shardnat_reply_free(reply);
	}
	err = err ? sn_cli_fail(node, err) : SN_EXIT_OK;
	shardnat_close(node);
	return err;
}
