/* json.c: see json.h. */
#include "json.h"

#include <inttypes.h>

#include "format.h"

static void put_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_key(struct sn_json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->out);
	j->comma = true;
	if (!key)
		return;
	put_string(j->out, key);
	fputc(':', j->out);
}

void sn_json_open(struct sn_json *j, const char *key, char bracket)
{
	put_key(j, key);
	fputc(bracket, j->out);
	j->comma = false;
}

void sn_json_close(struct sn_json *j, char bracket)
{
	fputc(bracket, j->out);
	j->comma = true;
}

void sn_json_text(struct sn_json *j, const char *key, const char *value)
{
	put_key(j, key);
	put_string(j->out, value);
}

void sn_json_number(struct sn_json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void sn_json_share(struct sn_json *j, const char *key, double value)
{
	put_key(j, key);
	fprintf(j->out, "%.6f", value);
}

void sn_json_bool(struct sn_json *j, const char *key, bool value)
{
	put_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void sn_json_time(struct sn_json *j, const char *key, uint64_t wall_ns)
{
	put_key(j, key);
	fprintf(j->out, "%" PRIu64 ".%09" PRIu64, wall_ns / 1000000000u, wall_ns % 1000000000u);
}

void sn_json_address(struct sn_json *j, const char *key, uint32_t address)
{
	char text[16];

	sn_json_text(j, key, sn_format_address(text, address));
}
