/*
 * main.c: shardnat, the operator's view of a running node. Speaks only the nng API, through the client library; needs
 * nothing but the right to open the instance's sockets.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct {
	const char *name, *help;
	sn_command_fn *run;
} commands[] = {
	{ "events", "flow events as they happen, as conntrack -E", sn_cmd_events },
	{ "flows", "the flow table, as conntrack -L", sn_cmd_flows },
	{ "subscribers", "subscribers, their public addresses and port blocks", sn_cmd_subscribers },
	{ "pools", "public addresses and how much of them is in use", sn_cmd_pools },
	{ "rules", "rules and how often each has decided", sn_cmd_rules },
	{ "status", "processes, shards, verdicts, memory, warnings", sn_cmd_status },
	{ "check", "proves the invariants of the running node's tables", sn_cmd_check },
};

static void usage(FILE *to)
{
	fputs("Usage: shardnat [--instance NAME] COMMAND [OPTIONS]\n\nCommands (COMMAND --help tells more):\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
	fputs("\n  --instance NAME  of the node to talk to; needed only if several run on this machine\n"
	      "  --version        of this program\n"
	      "\nExit status: 0 done, 1 failed, 2 wrong usage.\n",
	      to);
}

/* conntrack's own command line, without a command word: -L, -E and so on, anywhere in it. */
static int run_as_conntrack(const char *instance, int argc, char **argv)
{
	bool events = false;

	for (int i = 1; i < argc; i++)
		events |= !strncmp(argv[i], "-E", 2) || !strcmp(argv[i], "--event");
	optind = 0;
	return events ? sn_cmd_events(instance, argc, argv) : sn_cmd_flows(instance, argc, argv);
}

/* Options of ours before the command; whatever else begins with '-' is conntrack's. */
static bool is_ours(const char *arg)
{
	static const char *const ours[] = { "--instance", "--instance=", "--version", "--help", "-h", "-i" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!strcmp(arg, ours[i]) || (ours[i][strlen(ours[i]) - 1] == '=' && !strncmp(arg, ours[i], strlen(ours[i]))))
			return true;
	return arg[0] != '-';
}

/* argv from the last of our options on, with a program's name before it; NULL if there is a command, or nothing. */
static char **conntrack_args(int argc, char **argv, const char **ret_instance)
{
	int i = 1;

	if (i + 1 < argc && !strcmp(argv[i], "--instance")) {
		*ret_instance = argv[i + 1];
		i += 2;
	}
	return i < argc && !is_ours(argv[i]) ? argv + i - 1 : NULL;
}

static int run(const char *instance, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		optind = 0;
		return commands[i].run(instance, argc, argv);
	}
	fprintf(stderr, "shardnat: %s: no such command\n", argv[0]);
	usage(stderr);
	return SN_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *instance = NULL;
	char **conntrack = conntrack_args(argc, argv, &instance);
	int c;

	if (conntrack)
		return run_as_conntrack(instance, argc - (int)(conntrack - argv), conntrack);

	while ((c = getopt_long(argc, argv, "+i:h", names, NULL)) != -1) {
		switch (c) {
		case 'i':
			instance = optarg;
			break;
		case 'v':
			puts("shardnat v" SN_VERSION);
			return SN_EXIT_OK;
		case 'h':
			usage(stdout);
			return SN_EXIT_OK;
		default:
			return SN_EXIT_USAGE;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return SN_EXIT_USAGE;
	}
	return run(instance, argc - optind, argv + optind);
}
