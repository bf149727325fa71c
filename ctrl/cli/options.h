/* options.h: conntrack's filters and output options, for events and flows. */
#ifndef SN_CLI_OPTIONS_H
#define SN_CLI_OPTIONS_H

#include "format.h"

/* conntrack's commands on the table. */
enum sn_flows_command {
	SN_FLOWS_NONE, /* none was named: list */
	SN_FLOWS_LIST,
	SN_FLOWS_COUNT,
	SN_FLOWS_DELETE,
	SN_FLOWS_FLUSH,
	SN_FLOWS_GET,
	SN_FLOWS_STATS,
};

struct sn_query {
	Shardnat__FlowFilter filter;
	unsigned int output;  /* enum sn_output */
	unsigned int classes; /* events: SHARDNAT_NEW ... */
	uint64_t events;      /* events: end after so many; 0: never */
	enum sn_flows_command command;
	bool expectations;    /* flows: of the table of expectations, which is empty */
	bool impossible;      /* not a usage error, but it cannot be done: said already */
	bool help;
};

/*
 * Reads the options of events or flows. False after saying what is wrong on standard error: a usage error. The rules
 * are conntrack's: ports and states need -p first.
 */
bool sn_query_parse(int argc, char **argv, bool events, struct sn_query *ret);

/* The part of --help that both share. */
extern const char sn_query_help[];

#endif
