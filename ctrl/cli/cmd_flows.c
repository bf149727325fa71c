/* cmd_flows.c: shardnat flows: what conntrack -L and -C are for the kernel. */
#include <inttypes.h>

#include "cli.h"
#include "options.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] flows [-C] [FILTERS] [-o FORMAT]\n"
	"Lists the flows of the node, as conntrack -L does.\n"
	"\n"
	"  -C, --count                       only their number\n";

static void show(const struct sn_query *q, const Shardnat__FlowsReply *page)
{
	for (size_t i = 0; i < page->n_flows; i++) {
		if (q->output & SN_OUTPUT_JSON)
			sn_format_flow_json(stdout, page->flows[i]);
		else
			sn_format_flow(stdout, page->flows[i], q->output);
	}
}

static int list(const struct sn_query *q, struct shardnat *node, uint64_t *ret_matched)
{
	uint64_t cursor = 0;
	bool done = false;

	while (!done) {
		Shardnat__Reply *reply;
		int err = shardnat_flows(node, &q->filter, cursor, 0, q->count_only, &reply);

		if (err)
			return err;
		show(q, reply->flows);
		*ret_matched += reply->flows->matched;
		done = reply->flows->done || reply->flows->next_cursor <= cursor;
		cursor = reply->flows->next_cursor;
		shardnat_reply_free(reply);
	}
	return fflush(stdout) ? SHARDNAT_E_INVALID : SHARDNAT_OK;
}

int sn_cmd_flows(const char *instance, int argc, char **argv)
{
	struct sn_query q;
	struct shardnat *node;
	uint64_t matched = 0;
	int err;

	if (!sn_query_parse(argc, argv, false, &q))
		return SN_EXIT_USAGE;
	if (q.help)
		return printf("%s%s", help, sn_query_help) < 0;
	if (!sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	err = list(&q, node, &matched);
	if (!err && q.count_only)
		printf("%" PRIu64 "\n", matched);
	else if (!err)
		fprintf(stderr, "shardnat v" SN_VERSION ": %" PRIu64 " flow entries have been shown.\n", matched);
	err = err ? sn_cli_fail(node, err) : SN_EXIT_OK;
	shardnat_close(node);
	return err;
}
