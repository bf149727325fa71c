/*
 * format.h: flows and events as text: conntrack(8)'s lines, or one JSON object per line. Knows no socket. Callers: the
 * commands, tests.
 */
#ifndef SN_CLI_FORMAT_H
#define SN_CLI_FORMAT_H

#include <stdbool.h>
#include <stdio.h>

#include "shardnat.h"

/* What -o asks for, or-ed. */
enum sn_output {
	SN_OUTPUT_JSON = 1,
	SN_OUTPUT_TIMESTAMP = 2, /* events: when it happened, before the line */
	SN_OUTPUT_EXTENDED = 4,  /* "ipv4     2 " before the protocol */
	SN_OUTPUT_ID = 8,        /* id= at the end */
	SN_OUTPUT_XML = 16,
	SN_OUTPUT_SAVE = 32,        /* conntrack's own options */
	SN_OUTPUT_KTIMESTAMP = 64,  /* start, stop, delta-time */
	SN_OUTPUT_PROC = 128,       /* /proc/net/nf_conntrack */
	SN_OUTPUT_SHARD = 256,      /* what only we have: shard, subscriber, block */
	SN_OUTPUT_DELETED = 512,    /* not of -o: the flow is listed by -D */
	SN_OUTPUT_GOT = 1024,       /* likewise, by -G */
};

/* "192.0.2.1" into text (16 bytes); returns text. */
char *sn_format_address(char *text, uint32_t address);

/* One line, newline included, as conntrack -E and -L print it. Counters as with net.netfilter.nf_conntrack_acct=1. */
void sn_format_event(FILE *out, const Shardnat__Event *e, unsigned int output);
void sn_format_flow(FILE *out, const Shardnat__Flow *f, unsigned int output);

/* XML: before the first element, and after the last one. */
void sn_format_xml_begin(FILE *out);
void sn_format_xml_end(FILE *out);

/* One line each, without newline: what sn_format_event() and sn_format_flow() write for -o xml and save. e may be NULL. */
void sn_format_xml(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e, unsigned int output);
void sn_format_save(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e, unsigned int output);

/* Whether a line about a flow, or about an event, has its timeout, and its state. e may be NULL. */
bool sn_format_has_timeout(const Shardnat__Flow *f, const Shardnat__Event *e);
bool sn_format_has_state(const Shardnat__Flow *f, const Shardnat__Event *e);

/* The same as JSON. */
void sn_format_event_json(FILE *out, const Shardnat__EventBatch *b, const Shardnat__Event *e);
void sn_format_flow_json(FILE *out, const Shardnat__Flow *f);

#endif
