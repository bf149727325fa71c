/*
 * command.c: what control asks the owner of a shard to do. Each command is looked at again here: the record may have lived
 * on since control saw it.
 */
#include "worker/worker.h"

#define SN_COMMANDS_PER_ROUND 256

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
	default:
		w->stats->corrupt++;
	}
}

uint32_t sn_command_run(struct sn_worker *w)
{
	uint32_t n = 0;

	for (const struct sn_command *c; n < SN_COMMANDS_PER_ROUND && (c = sn_ring_peek(&w->commands, 0)); n++) {
		struct sn_command copy = *c;

		carry_out(w, &copy);
		sn_ring_release(&w->commands, 1);
	}
	return n;
}
