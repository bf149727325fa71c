/*
 * json.h: writes JSON to a stream, commas and escapes in the right places. A key of NULL is for elements of arrays and
 * for the outermost value.
 */
#ifndef SN_CLI_JSON_H
#define SN_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sn_json {
	FILE *out;
	bool comma; /* before the next value */
};

void sn_json_open(struct sn_json *j, const char *key, char bracket);
void sn_json_close(struct sn_json *j, char bracket);
void sn_json_text(struct sn_json *j, const char *key, const char *value);
void sn_json_number(struct sn_json *j, const char *key, uint64_t value);
void sn_json_share(struct sn_json *j, const char *key, double value);
void sn_json_bool(struct sn_json *j, const char *key, bool value);

/* A time of day as seconds since 1970 with nine decimals. */
void sn_json_time(struct sn_json *j, const char *key, uint64_t wall_ns);

/* An IPv4 address as text. */
void sn_json_address(struct sn_json *j, const char *key, uint32_t address);

#endif
