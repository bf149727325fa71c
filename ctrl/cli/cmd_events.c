/* cmd_events.c: shardnat events: what conntrack -E is for the kernel. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "cli.h"
#include "options.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] events [-e NEW,UPDATES,DESTROY] [--count N] [FILTERS] [-o FORMAT]\n"
	"Prints flow events as they happen, as conntrack -E does, until interrupted. Events that were missed are\n"
	"told on standard error, with their number.\n"
	"\n"
	"  -e, --event-mask ALL|NEW|UPDATES|DESTROY[,...]\n"
	"      --count N                     end after N events\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct totals {
	uint64_t shown, missed;
	bool at_most;
};

static void tell_missed(const struct shardnat_event *e, struct totals *t)
{
	if (!e->missed)
		return;
	t->missed += e->missed;
	t->at_most |= e->missed_at_most;
	fflush(stdout);
	fprintf(stderr, "shardnat: %s%" PRIu64 " events were missed (shard %u)\n", e->missed_at_most ? "up to " : "",
		e->missed, e->batch->shard);
}

static void show(const struct sn_query *q, const struct shardnat_event *e, struct totals *t)
{
	tell_missed(e, t);
	if (!e->event || !shardnat_filter_match(&q->filter, e->event->flow))
		return;
	t->shown++;
	if (q->output & SN_OUTPUT_JSON)
		sn_format_event_json(stdout, e->batch, e->event);
	else if (q->output & SN_OUTPUT_XML && t->shown == 1)
		sn_format_xml_begin(stdout);
	if (!(q->output & SN_OUTPUT_JSON))
		sn_format_event(stdout, e->event, q->output);
}

/* Says when the node goes and when it comes back. */
static void tell_connection(const struct shardnat_events *events, bool *connected)
{
	bool now = shardnat_events_connected(events);

	if (now != *connected)
		fputs(now ? "shardnat: the node's API is back\n" :
			    "shardnat: the node's API is gone; waiting for it to come back\n",
		      stderr);
	*connected = now;
}

/* Everything is written before the program waits again. Signals come only while it waits. */
static int wait_for_events(struct shardnat_events *events, const sigset_t *waiting)
{
	static const struct timespec second = { .tv_sec = 1 };
	struct pollfd p = { .fd = shardnat_events_fd(events), .events = POLLIN };

	if (fflush(stdout))
		return SHARDNAT_E_INVALID;
	return ppoll(&p, 1, &second, waiting) < 0 && errno != EINTR ? SHARDNAT_E_NO_MEMORY : SHARDNAT_OK;
}

static int follow(const struct sn_query *q, struct shardnat_events *events, const sigset_t *waiting, struct totals *t)
{
	struct shardnat_event e;
	bool connected = true;

	while (!interrupted && !(q->events && t->shown == q->events)) {
		int err = shardnat_events_next(events, 0, &e);

		if (err == SHARDNAT_E_TIMEOUT)
			tell_connection(events, &connected);
		if (!err)
			show(q, &e, t);
		else if (err == SHARDNAT_E_TIMEOUT)
			err = wait_for_events(events, waiting);
		else if (err == SHARDNAT_E_PROTOCOL)
			fputs("shardnat: a message that is not an event was dropped\n", stderr);
		if (err && err != SHARDNAT_E_PROTOCOL)
			return err;
	}
	return SHARDNAT_OK;
}

static void catch_signals(sigset_t *ret_waiting)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &block, ret_waiting);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void sum_up(const struct totals *t)
{
	fprintf(stderr, "shardnat v" SN_VERSION ": %" PRIu64 " flow events have been shown", t->shown);
	if (t->missed)
		fprintf(stderr, ", %s%" PRIu64 " were missed", t->at_most ? "up to " : "", t->missed);
	fputs(".\n", stderr);
}

int sn_cmd_events(const char *instance, int argc, char **argv)
{
	struct sn_query q;
	struct shardnat *node;
	struct shardnat_events *events;
	struct totals t = { 0 };
	sigset_t waiting;
	int err;

	if (!sn_query_parse(argc, argv, true, &q))
		return SN_EXIT_USAGE;
	if (q.help)
		return printf("%s%s", help, sn_query_help) < 0;
	if (q.impossible)
		return SN_EXIT_FAILED;
	catch_signals(&waiting);
	if (!sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	err = shardnat_subscribe(node, q.classes, &events);
	if (!err) {
		err = follow(&q, events, &waiting, &t);
		shardnat_events_close(events);
		if ((q.output & SN_OUTPUT_XML) && t.shown)
			sn_format_xml_end(stdout);
		fflush(stdout);
		sum_up(&t);
	}
	err = err ? sn_cli_fail(node, err) : SN_EXIT_OK;
	shardnat_close(node);
	return err;
}
