/*
 * format.h: flows and events as text: conntrack(8)'s lines, or one JSON object per line. Knows no socket. Callers: the
 * commands, tests.
 */
#ifndef SN_CLI_FORMAT_H
#define SN_CLI_FORMAT_H

#include <stdio.h>

#include "shardnat.h"

/* What -o asks for, or-ed. */
enum sn_output {
	SN_OUTPUT_JSON = 1,
	SN_OUTPUT_TIMESTAMP = 2, /* events: when it happened, before the line */
	SN_OUTPUT_EXTENDED = 4,  /* "ipv4     2 " before the protocol */
	SN_OUTPUT_ID = 8,        /* id= at the end */
};

/* "192.0.2.1" into text (16 bytes); returns text. */
char *sn_format_address(char *text, uint32_t address);

/* One line, newline included, as conntrack -E and -L print it. Counters as with net.netfilter.nf_conntrack_acct=1. */
void sn_format_event(FILE *out, const Shardnat__Event *e, unsigned int output);
void sn_format_flow(FILE *out, const Shardnat__Flow *f, unsigned int output);

/* The same as JSON. */
void sn_format_event_json(FILE *out, const Shardnat__EventBatch *b, const Shardnat__Event *e);
void sn_format_flow_json(FILE *out, const Shardnat__Flow *f);

#endif
