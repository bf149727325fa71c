/* cli.h: what the commands of shardnat share. */
#ifndef SN_CLI_H
#define SN_CLI_H

#include <stdbool.h>

#include "shardnat.h"

/* conntrack's exit codes. */
enum { SN_EXIT_OK, SN_EXIT_FAILED, SN_EXIT_USAGE };

/* A command: argv[0] is its name. Returns an exit code. */
typedef int sn_command_fn(const char *instance, int argc, char **argv);

sn_command_fn sn_cmd_events, sn_cmd_flows, sn_cmd_subscribers, sn_cmd_pools, sn_cmd_rules, sn_cmd_status, sn_cmd_check;

/* Connects, or says on standard error why not and what to do about it, and returns false. */
bool sn_cli_open(struct shardnat **ret_node, const char *instance);

/* Says on standard error what went wrong; SN_EXIT_FAILED. */
int sn_cli_fail(const struct shardnat *node, int error);

/*
 * Options of a command that takes nothing but -o json and --help. False, and *ret_exit set, if it shall end now.
 * help is the whole text.
 */
bool sn_cli_simple_options(int argc, char **argv, const char *help, bool *ret_json, int *ret_exit);

#endif
