/* cmd_flows.c: shardnat flows: what conntrack -L, -C, -D and -F are for the kernel. */
#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "options.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] flows [-L|-G|-C|-D|-F|-S] [FILTERS] [-o FORMAT]\n"
	"Lists the flows of the node, as conntrack -L does.\n"
	"\n"
	"  -C, --count                       only their number\n"
	"  -D, --delete                      ends them, and lists those that were ended; exit status 1 if there are none\n"
	"  -F, --flush                       ends all\n"
	"  -G, --get                         the one with this ORIGINAL tuple; exit status 1 if there is none\n"
	"  -S, --stats                       what went wrong, a line per worker\n";

static void show(const struct sn_query *q, Shardnat__Flow *const *flows, size_t count)
{
	unsigned int output = q->output | (q->command == SN_FLOWS_DELETE ? SN_OUTPUT_DELETED : 0u) |
			      (q->command == SN_FLOWS_GET ? SN_OUTPUT_GOT : 0u);

	for (size_t i = 0; i < count; i++) {
		if (q->output & SN_OUTPUT_JSON)
			sn_format_flow_json(stdout, flows[i]);
		else
			sn_format_flow(stdout, flows[i], output);
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
		if ((q->output & SN_OUTPUT_XML) && !w->matched && reply->flows->n_flows)
			sn_format_xml_begin(stdout);
		show(q, reply->flows->flows, reply->flows->n_flows);
		step(w, reply->flows->next_cursor, reply->flows->done, reply->flows->matched);
		shardnat_reply_free(reply);
	}
	if ((q->output & SN_OUTPUT_XML) && q->command == SN_FLOWS_LIST && w->matched)
		sn_format_xml_end(stdout);
	return SHARDNAT_OK;
}

static uint64_t sum(const Shardnat__Worker *w, const char *const *names)
{
	uint64_t total = 0;

	for (size_t i = 0; i < w->n_verdicts; i++)
		for (const char *const *n = names; *n; n++)
			total += strcmp(w->verdicts[i]->name, *n) ? 0 : w->verdicts[i]->value;
	return total;
}

/* Netfilter's counters; a worker stands where a CPU does. Those that cannot happen here stay 0. */
static int show_stats(struct shardnat *node)
{
	static const char *const invalid[] = { "malformed", "bad-tcp", "invalid", NULL };
	static const char *const error[] = { "icmp-type", "icmp-no-flow", NULL };
	static const char *const refused[] = { "quota-ports", "quota-flows", "quota-rate", "no-port", "held-cold", "table-full",
					       "audit-full", "binding-flows", NULL };
	static const char *const dropped[] = { "no-owner", "tx-full", "lost-in-crash", "fragment", NULL };
	Shardnat__Reply *reply;
	int err = shardnat_status(node, &reply);

	if (err)
		return sn_cli_fail(node, err);
	for (size_t i = 0; i < reply->status->n_workers; i++) {
		const Shardnat__Worker *w = reply->status->workers[i];

		printf("cpu=%-4u\tfound=0 invalid=%" PRIu64 " insert=0 insert_failed=%" PRIu64 " drop=%" PRIu64
		       " early_drop=0 error=%" PRIu64 " search_restart=0 clash_resolve=0 chaintoolong=0 \n",
		       w->number, sum(w, invalid), sum(w, refused), sum(w, dropped), sum(w, error));
	}
	shardnat_reply_free(reply);
	return fflush(stdout) ? sn_cli_fail(node, SHARDNAT_E_INVALID) : SN_EXIT_OK;
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
	else if (q->command == SN_FLOWS_GET && !matched)
		fputs("shardnat v" SN_VERSION ": Operation failed: such conntrack doesn't exist\n", stderr);
	else
		fprintf(stderr, "shardnat v" SN_VERSION ": %" PRIu64 " %s have been %s.\n", matched,
			q->expectations ? "expectations" : "flow entries",
			q->command == SN_FLOWS_DELETE || q->command == SN_FLOWS_FLUSH ? "deleted" : "shown");
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
	if (!w.matched && (q->command == SN_FLOWS_DELETE || q->command == SN_FLOWS_GET))
		return SN_EXIT_FAILED;
	return trouble ? SN_EXIT_FAILED : SN_EXIT_OK;
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
	if (q.impossible || !sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	status = q.command == SN_FLOWS_STATS ? show_stats(node) : run(&q, node);
	shardnat_close(node);
	return status;
}
