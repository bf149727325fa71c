/* cmd_check.c: shardnat check: executes shardnat-check on the instance; its exit code is ours. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: shardnat [--instance NAME] check [-o json]\n"
	"Proves the invariants of the running node's tables. Exit status: 0 clean, 1 violations, 2 not proved.\n";

/* Beside this program, in a build tree, or installed. */
static bool find(char path[PATH_MAX])
{
	static const char *const places[] = { "", "../../shm/" };
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, PATH_MAX, "%s%sshardnat-check", self, places[i]) < PATH_MAX && !access(path, X_OK))
			return true;
	snprintf(path, PATH_MAX, "%s/shardnat-check", SN_LIBEXECDIR);
	return !access(path, X_OK);
}

int sn_cmd_check(const char *instance, int argc, char **argv)
{
	char path[PATH_MAX], name[SHARDNAT_NAME_B];
	struct shardnat *node;
	bool json = false;
	int err;

	if (!sn_cli_simple_options(argc, argv, help, &json, &err))
		return err;
	if (!instance) {
		if (!sn_cli_open(&node, NULL))
			return SN_EXIT_USAGE;
		snprintf(name, sizeof(name), "%s", shardnat_instance(node));
		shardnat_close(node);
		instance = name;
	}
	if (!find(path)) {
		fprintf(stderr, "shardnat: shardnat-check is not beside this program, nor in %s\n", SN_LIBEXECDIR);
		return SN_EXIT_USAGE;
	}
	execl(path, "shardnat-check", "--instance", instance, "--live", json ? "-o" : NULL, "json", NULL);
	fprintf(stderr, "shardnat: %s: %s\n", path, strerror(errno));
	return SN_EXIT_USAGE;
}
