/* cli.c: see cli.h. */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define INSTANCES_MAX 64

static void list_instances(void)
{
	char names[INSTANCES_MAX][SHARDNAT_NAME_B];
	int count = shardnat_instances(names, INSTANCES_MAX);

	for (int i = 0; i < count && i < INSTANCES_MAX; i++)
		fprintf(stderr, "%s%s", i ? ", " : " ", names[i]);
	fputs("\n", stderr);
}

static void say_no_instance(const char *instance)
{
	if (!instance) {
		fprintf(stderr, "shardnat: no instance is running (nothing in %s); start one with: shardnatd -c FILE\n",
			shardnat_run_dir());
		return;
	}
	fprintf(stderr, "shardnat: instance \"%s\" is not running (no socket %s/%s/api)", instance, shardnat_run_dir(),
		instance);
	fputs(shardnat_instances(NULL, 0) > 0 ? "; running:" : "; start it with: shardnatd -c FILE", stderr);
	list_instances();
}

bool sn_cli_open(struct shardnat **ret_node, const char *instance)
{
	int err = shardnat_open(ret_node, instance);

	switch (err) {
	case SHARDNAT_OK:
		return true;
	case SHARDNAT_E_NO_INSTANCE:
		say_no_instance(instance);
		break;
	case SHARDNAT_E_SEVERAL:
		fputs("shardnat: several instances are running; name one with --instance:", stderr);
		list_instances();
		break;
	case SHARDNAT_E_PERMISSION:
		fprintf(stderr, "shardnat: permission denied for the sockets in %s: run as root\n", shardnat_run_dir());
		break;
	case SHARDNAT_E_NO_ANSWER:
		fputs("shardnat: the instance's API does not answer: is shardnatd still running? It restarts the API "
		      "within a second\n",
		      stderr);
		break;
	default:
		fprintf(stderr, "shardnat: %s\n", shardnat_strerror(err));
	}
	return false;
}

int sn_cli_fail(const struct shardnat *node, int error)
{
	const char *refusal = shardnat_refusal(node);

	fprintf(stderr, "shardnat: %s%s%s\n", shardnat_strerror(error), *refusal ? ": " : "", refusal);
	if (error == SHARDNAT_E_VERSION)
		fputs("shardnat: use the shardnat program that was installed together with the running node\n", stderr);
	return SN_EXIT_FAILED;
}

bool sn_cli_simple_options(int argc, char **argv, const char *help, bool *ret_json, int *ret_exit)
{
	static const struct option names[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*ret_exit = SN_EXIT_USAGE;
	while ((c = getopt_long(argc, argv, "o:h", names, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			*ret_exit = SN_EXIT_OK;
			return false;
		}
		if (c != 'o')
			return false;
		if (strcmp(optarg, "json") != 0) {
			fprintf(stderr, "shardnat: -o %s: it can only be json\n", optarg);
			return false;
		}
		*ret_json = true;
	}
	if (optind < argc)
		fprintf(stderr, "shardnat: %s: unexpected argument\n", argv[optind]);
	return optind == argc;
}
