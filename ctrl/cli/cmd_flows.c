/* cmd_flows.c: shardnat flows: what conntrack -L, -C, -D and -F are for the kernel. */
#include <inttypes.h>

#include "cli.h"
#include "options.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] flows [-C|-D|-F] [FILTERS] [-o FORMAT]\n"
	"Lists the flows of the node, as conntrack -L does.\n"
	"\n"
	"  -C, --count                       only their number\n"
	"  -D, --delete                      ends them, and lists those that were ended; exit status 1 if there are none\n"
	"  -F, --flush                       ends all\n";

static void show(const struct sn_query *q, Shardnat__Flow *const *flows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (q->output & SN_OUTPUT_JSON)
			sn_format_flow_json(stdout, flows[i]);
		else
			sn_format_flow(stdout, flows[i], q->output);
	}
}

/* Where a walk over the table is. */
struct walk {
	uint64_t cursor, matched;
	bool done;
};

static void step(struct walk *w, uint64_t next_cursor, bool done, uint64_t matched)
{
	w->done = done || next_cursor <= w->cursor;
	w->cursor = next_cursor;
	w->matched += matched;
}

static int list(const struct sn_query *q, struct shardnat *node, struct walk *w)
{
	while (!w->done) {
		Shardnat__Reply *reply;
		int err = shardnat_flows(node, &q->filter, w->cursor, 0, q->command == SN_FLOWS_COUNT, &reply);

		if (err)
			return err;
		show(q, reply->flows->flows, reply->flows->n_flows);
		step(w, reply->flows->next_cursor, reply->flows->done, reply->flows->matched);
		shardnat_reply_free(reply);
	}
	return SHARDNAT_OK;
}

/* Ends at the first trouble, having shown what was deleted until then. */
static int delete(const struct sn_query *q, struct shardnat *node, struct walk *w, bool *ret_trouble)
{
	while (!w->done && !*ret_trouble) {
		Shardnat__DeleteReply *page;
		Shardnat__Reply *reply;
		int err = shardnat_delete_flows(node, &q->filter, w->cursor, q->command == SN_FLOWS_FLUSH, &reply);

		if (err)
			return err;
		page = reply->delete_flows;
		show(q, page->flows, page->n_flows);
		step(w, page->next_cursor, page->done, page->deleted);
		*ret_trouble = page->left > 0;
		if (*ret_trouble) {
			fflush(stdout);
			fprintf(stderr, "shardnat: %s\n", page->trouble);
		}
		shardnat_reply_free(reply);
	}
	return SHARDNAT_OK;
}

static void sum_up(const struct sn_query *q, uint64_t matched, bool trouble)
{
	if (q->command == SN_FLOWS_COUNT) {
		printf("%" PRIu64 "\n", matched);
		return;
	}
	fflush(stdout);
	if (q->command == SN_FLOWS_FLUSH && !trouble)
		fputs("shardnat v" SN_VERSION ": connection tracking table has been emptied.\n", stderr);
	else
		fprintf(stderr, "shardnat v" SN_VERSION ": %" PRIu64 " flow entries have been %s.\n", matched,
			q->command == SN_FLOWS_LIST ? "shown" : "deleted");
}

static int run(const struct sn_query *q, struct shardnat *node)
{
	bool deletes = q->command == SN_FLOWS_DELETE || q->command == SN_FLOWS_FLUSH, trouble = false;
	struct walk w = { 0 };
	int err = deletes ? delete(q, node, &w, &trouble) : list(q, node, &w);

	if (!err || w.matched)
		sum_up(q, w.matched, trouble || err);
	if (err || fflush(stdout))
		return sn_cli_fail(node, err ? err : SHARDNAT_E_INVALID);
	return trouble || (q->command == SN_FLOWS_DELETE && !w.matched) ? SN_EXIT_FAILED : SN_EXIT_OK;
}

int sn_cmd_flows(const char *instance, int argc, char **argv)
{
	struct sn_query q;
	struct shardnat *node;
	int status;

	if (!sn_query_parse(argc, argv, false, &q))
		return SN_EXIT_USAGE;
	if (q.help)
		return printf("%s%s", help, sn_query_help) < 0;
	if (!sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	status = run(&q, node);
	shardnat_close(node);
	return status;
}
