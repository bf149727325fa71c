/*
 * command.c: what control asks the owner of a shard to do. Each command is looked at again here: the record may have lived
 * on since control saw it.
 */
#include "worker/worker.h"

#define SN_COMMANDS_PER_ROUND 256
#define SN_COMMANDS_AT_ONCE 32

static void delete_flow(struct sn_worker *w, struct sn_shard *s, uint32_t flow, uint32_t gen)
{
	const struct sn_flow *f = &w->region.flows[flow];

	if (flow < w->region.flow_count && f->shard == s->number && (gen & 1) &&
	    atomic_load_explicit(&f->gen, memory_order_relaxed) == gen)
		sn_shard_close(s, flow, SN_REASON_COMMAND, w->nat.policy, w->nat.now_ns);
}

static void carry_out(struct sn_worker *w, const struct sn_command *c)
{
	struct sn_shard *s;
	uint32_t to;

	if (c->shard >= w->region.geo.shards || !sn_nat_mine(&w->nat, c->shard, &to))
		return;
	s = &w->nat.shards[c->shard];
	switch (c->op) {
	case SN_CMD_EXPIRE:
		sn_shard_expire(s, c->record, c->gen, w->nat.policy, w->nat.now_ns);
		break;
	case SN_CMD_RETURN_BLOCK:
		sn_shard_return_block(s, c->record, (uint16_t)c->gen, w->nat.now_ns);
		break;
	case SN_CMD_LEAVE:
		sn_shard_leave(s, c->record, c->gen);
		break;
	case SN_CMD_DELETE:
		delete_flow(w, s, c->record, c->gen);
		break;
	default:
		w->stats->corrupt++;
	}
}

/* The shard of a command to close a flow, NULL if it is another command. */
static const struct sn_shard *closes(const struct sn_worker *w, const struct sn_command *c)
{
	if (c->op != SN_CMD_EXPIRE || c->shard >= w->region.geo.shards || w->nat.owned[c->shard] == 0)
		return NULL;
	return &w->nat.shards[c->shard];
}

/* Flows to close are brought near together, as packets are (burst.c). */
static void foresee(const struct sn_worker *w, const struct sn_command *commands, uint32_t n)
{
	uint8_t ahead[SN_SHARDS_MAX] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		if (closes(w, &commands[i]))
			sn_shard_foresee_end(closes(w, &commands[i]), commands[i].record);
	for (uint32_t i = 0; i < n; i++)
		if (closes(w, &commands[i]))
			sn_shard_foresee_end_keys(closes(w, &commands[i]), commands[i].record,
						  ahead[commands[i].shard]++);
	for (uint32_t i = 0; i < n; i++)
		if (closes(w, &commands[i]))
			sn_shard_foresee_end_port(closes(w, &commands[i]), commands[i].record);
}

static uint32_t take(const struct sn_ring *ring, struct sn_command *ret_commands)
{
	const struct sn_command *c;
	uint32_t n = 0;

	while (n < SN_COMMANDS_AT_ONCE && (c = sn_ring_peek(ring, n)) != NULL)
		ret_commands[n++] = *c;
	return n;
}

/* A command leaves the ring when it is done: one that is seen again after a kill finds nothing to do. */
uint32_t sn_command_run(struct sn_worker *w)
{
	struct sn_command commands[SN_COMMANDS_AT_ONCE];
	uint32_t done = 0, n;

	while (done < SN_COMMANDS_PER_ROUND && (n = take(&w->commands, commands)) > 0) {
		foresee(w, commands, n);
		for (uint32_t i = 0; i < n; i++)
			carry_out(w, &commands[i]);
		sn_ring_release(&w->commands, n);
		done += n;
	}
	return done;
}
