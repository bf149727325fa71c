/* status_json.c: see status_json.h. */
#include "status_json.h"

#include "json.h"

static void put_processes(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "processes", '[');
	for (size_t i = 0; i < s->n_processes; i++) {
		const Shardnat__Process *p = s->processes[i];

		sn_json_open(j, NULL, '{');
		sn_json_text(j, "role", p->role);
		sn_json_number(j, "number", p->number);
		sn_json_number(j, "pid", p->pid);
		sn_json_number(j, "uptime_ms", p->uptime_ms);
		sn_json_number(j, "restarts", p->restarts);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

static void put_shards(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "shards", '[');
	for (size_t i = 0; i < s->n_shards; i++) {
		const Shardnat__Shard *h = s->shards[i];

		sn_json_open(j, NULL, '{');
		sn_json_number(j, "number", h->number);
		sn_json_bool(j, "owned", h->owned);
		if (h->owned)
			sn_json_number(j, "worker", h->worker);
		sn_json_number(j, "epoch", h->epoch);
		sn_json_number(j, "flows", h->flows);
		sn_json_number(j, "bindings", h->bindings);
		sn_json_number(j, "subscribers", h->subscribers);
		sn_json_number(j, "event_head", h->event_head);
		sn_json_number(j, "opened", h->opened);
		sn_json_number(j, "closed", h->closed);
		sn_json_number(j, "refused", h->refused);
		sn_json_number(j, "held_ports", h->held_ports);
		sn_json_number(j, "held_forced", h->held_forced);
		sn_json_number(j, "audits", h->audits);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

/* {"name": value, ...} */
static void put_counters(struct sn_json *j, const char *key, Shardnat__Counter *const *counters, size_t count)
{
	sn_json_open(j, key, '{');
	for (size_t i = 0; i < count; i++)
		sn_json_number(j, counters[i]->name, counters[i]->value);
	sn_json_close(j, '}');
}

static void put_ports(struct sn_json *j, const Shardnat__Worker *w)
{
	sn_json_open(j, "sockets", '[');
	for (size_t i = 0; i < w->n_ports; i++) {
		sn_json_open(j, NULL, '{');
		sn_json_text(j, "interface", w->ports[i]->interface);
		sn_json_number(j, "queue", w->ports[i]->queue);
		sn_json_text(j, "kind", w->ports[i]->kind);
		put_counters(j, "counters", w->ports[i]->counters, w->ports[i]->n_counters);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

static void put_workers(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "workers", '[');
	for (size_t i = 0; i < s->n_workers; i++) {
		const Shardnat__Worker *w = s->workers[i];

		sn_json_open(j, NULL, '{');
		sn_json_number(j, "number", w->number);
		sn_json_bool(j, "ready", w->ready);
		sn_json_number(j, "received", w->received);
		sn_json_number(j, "handed_in", w->handed_in);
		put_counters(j, "counters", w->counters, w->n_counters);
		put_counters(j, "frames", w->frames, w->n_frames);
		put_ports(j, w);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

static void put_memory(struct sn_json *j, const Shardnat__Memory *m)
{
	sn_json_open(j, "memory", '{');
	sn_json_number(j, "bytes", m->bytes);
	sn_json_text(j, "backing", m->backing);
	sn_json_number(j, "hugepages_added", m->hugepages_added);
	sn_json_open(j, "sections", '{');
	for (size_t i = 0; i < m->n_sections; i++)
		sn_json_number(j, m->sections[i]->name, m->sections[i]->bytes);
	sn_json_close(j, '}');
	sn_json_close(j, '}');
}

static void put_slabs(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "tables", '[');
	for (size_t i = 0; i < s->n_slabs; i++) {
		sn_json_open(j, NULL, '{');
		sn_json_text(j, "name", s->slabs[i]->name);
		sn_json_number(j, "records", s->slabs[i]->records);
		sn_json_number(j, "live", s->slabs[i]->live);
		sn_json_number(j, "chunks", s->slabs[i]->chunks);
		sn_json_number(j, "chunks_free", s->slabs[i]->chunks_free);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

static void put_pools(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "pools", '[');
	for (size_t i = 0; i < s->n_pools; i++) {
		sn_json_open(j, NULL, '{');
		sn_json_text(j, "name", s->pools[i]->name);
		sn_json_number(j, "addresses", s->pools[i]->addresses);
		sn_json_number(j, "blocks_claimed", s->pools[i]->blocks_claimed);
		sn_json_number(j, "blocks", s->pools[i]->blocks);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

static void put_warnings(struct sn_json *j, const Shardnat__StatusReply *s)
{
	sn_json_open(j, "warnings", '[');
	for (size_t i = 0; i < s->n_warnings; i++) {
		sn_json_open(j, NULL, '{');
		sn_json_text(j, "code", s->warnings[i]->code);
		sn_json_text(j, "text", s->warnings[i]->text);
		if (s->warnings[i]->seconds_left)
			sn_json_number(j, "seconds_left", s->warnings[i]->seconds_left);
		sn_json_close(j, '}');
	}
	sn_json_close(j, ']');
}

void sn_status_json(FILE *out, const Shardnat__StatusReply *s)
{
	struct sn_json j = { .out = out };

	sn_json_open(&j, NULL, '{');
	sn_json_text(&j, "instance", s->instance);
	sn_json_text(&j, "version", s->version);
	sn_json_time(&j, "time", s->wall_ns);
	sn_json_time(&j, "created", s->created_wall_ns);
	sn_json_number(&j, "policy_generation", s->policy_generation);
	put_processes(&j, s);
	put_shards(&j, s);
	put_workers(&j, s);
	put_counters(&j, "verdicts", s->verdicts, s->n_verdicts);
	sn_json_number(&j, "received", s->received);
	sn_json_number(&j, "handed_in", s->handed_in);
	sn_json_share(&j, "handoff_share", s->handoff_share);
	put_memory(&j, s->memory);
	put_slabs(&j, s);
	put_pools(&j, s);
	sn_json_number(&j, "routes", s->routes);
	sn_json_number(&j, "neighbours", s->neighbours);
	put_warnings(&j, s);
	sn_json_close(&j, '}');
	fputc('\n', out);
}
