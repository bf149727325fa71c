/* scenario.c: from text to steps. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "scenario.h"

#define CLIENTS_EACH 16 /* scenarios that share a client address */
#define FIRST_PORT 40000

static uint32_t line_number;

static void bad(const char *what, const char *word)
{
	fprintf(stderr, "player: line %u: %s: %s\n", line_number, what, word);
	exit(2);
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (*end || end == text)
		bad("not a number", text);
	return (uint32_t)n;
}

static struct number sequence_number(const char *text)
{
	bool off = *text == '+' || *text == '-';
	uint32_t n = number(off ? text + 1 : text);

	return (struct number){ off ? OFF : AT, *text == '-' ? 0 - n : n };
}

static void add_conn(struct scenario *s, char name)
{
	struct conn *c = &s->conns[s->conn_count];

	if (s->conn_count == CONNS_MAX)
		bad("too many connections", "conn");
	*c = (struct conn){ .name = name, .isn = { 1000000, 5000000 } };
	c->addr[CLIENT] = CLIENTS + (s->index / CLIENTS_EACH + 1) * 4;
	c->addr[SERVER] = SERVERS + (s->index + 1) * 4;
	c->port[CLIENT] = (uint16_t)(FIRST_PORT + s->index % CLIENTS_EACH * 64);
	c->port[SERVER] = 443;
	for (int side = 0; side < 2; side++)
		c->next[side] = c->isn[side];
	s->conn_count++;
}

/* conn B c=1 s=1 cp=1 sp=53: client and server host, client port (offset), server port */
static void read_conn(struct scenario *s)
{
	char *word = strtok(NULL, " ");
	struct conn *c;

	if (!word || !isupper((unsigned char)*word) || word[1])
		bad("a connection's name is one capital", word ? word : "");
	add_conn(s, *word);
	c = &s->conns[s->conn_count - 1];
	while ((word = strtok(NULL, " "))) {
		if (!strncmp(word, "cp=", 3))
			c->port[CLIENT] = (uint16_t)(c->port[CLIENT] + number(word + 3));
		else if (!strncmp(word, "sp=", 3))
			c->port[SERVER] = (uint16_t)number(word + 3);
		else if (!strncmp(word, "c=", 2))
			c->addr[CLIENT] += number(word + 2);
		else if (!strncmp(word, "s=", 2))
			c->addr[SERVER] += number(word + 2);
		else
			bad("unknown word", word);
	}
}

static struct step *add_step(struct scenario *s)
{
	if (s->step_count == s->step_room) {
		s->step_room = s->step_room ? s->step_room * 2 : 16;
		s->steps = realloc(s->steps, s->step_room * sizeof(*s->steps));
	}
	s->steps[s->step_count] = (struct step){ .line = line_number - s->line, .ttl = 64, .win = 64000, .df = true };
	return &s->steps[s->step_count++];
}

static const struct {
	const char *name;
	uint8_t type;
} queries[] = {
	{ "echo", 8 },            { "echo-reply", 0 },  { "timestamp", 13 }, { "timestamp-reply", 14 },
	{ "info", 15 },           { "info-reply", 16 }, { "mask", 17 },      { "mask-reply", 18 },
};

/* TCP flags as tcpdump's letters; false if the word is something else. */
static bool read_flags(struct step *st, const char *word)
{
	static const char letters[] = "FSRPAUEW";

	st->flags = 0;
	if (!strcmp(word, "none"))
		return true;
	for (; *word; word++) {
		const char *at = strchr(letters, *word);

		if (!at)
			return false;
		st->flags |= (uint8_t)(1 << (at - letters));
	}
	return true;
}

static void read_type(struct step *st, const char *word)
{
	st->type = (uint8_t)number(word ? word : "");
	word = strtok(NULL, " ");
	st->code = (uint8_t)number(word ? word : "");
}

static void read_kind(struct step *st, const char *word)
{
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		if (!strcmp(word, queries[i].name)) {
			st->kind = STEP_ICMP;
			st->type = queries[i].type;
			return;
		}
	}
	if (!strcmp(word, "udp")) {
		st->kind = STEP_UDP;
	} else if (!strcmp(word, "icmp")) {
		st->kind = STEP_ICMP;
		read_type(st, strtok(NULL, " "));
	} else if (!strcmp(word, "error")) {
		st->kind = STEP_ERROR;
		st->quote_b = 28;
		read_type(st, strtok(NULL, " "));
	} else if (read_flags(st, word)) {
		st->kind = STEP_TCP;
	} else {
		bad("unknown packet", word);
	}
}

static bool read_switch(struct step *st, const char *word)
{
	if (!strcmp(word, "sack"))
		st->sack_ok = true;
	else if (!strcmp(word, "router"))
		st->router = true;
	else if (!strcmp(word, "nodf"))
		st->df = false;
	else if (!strcmp(word, "backwards"))
		st->backwards = true;
	else
		return false;
	return true;
}

static void read_block(struct step *st, char *value)
{
	char *comma = strchr(value, ',');

	if (!comma)
		bad("not two edges", value);
	*comma = '\0';
	st->has_blk = true;
	st->blk[0] = sequence_number(value);
	st->blk[1] = sequence_number(comma + 1);
}

static bool read_tcp_key(struct step *st, const char *key, char *value)
{
	if (!strcmp(key, "seq"))
		st->seq = sequence_number(value);
	else if (!strcmp(key, "ack"))
		st->ack = sequence_number(value);
	else if (!strcmp(key, "blk"))
		read_block(st, value);
	else if (!strcmp(key, "isn"))
		st->has_isn = true, st->isn = number(value);
	else if (!strcmp(key, "wscale"))
		st->has_wscale = true, st->wscale = (uint8_t)number(value);
	else if (!strcmp(key, "mss"))
		st->mss = (uint16_t)number(value);
	else if (!strcmp(key, "win"))
		st->win = (uint16_t)number(value);
	else if (!strcmp(key, "urg"))
		st->urg = (uint16_t)number(value);
	else if (!strcmp(key, "doff"))
		st->doff = (uint8_t)number(value);
	else
		return false;
	return true;
}

static void read_sum(struct step *st, const char *value)
{
	if (strcmp(value, "wrong") && strcmp(value, "zero"))
		bad("neither wrong nor zero", value);
	st->sum = *value == 'w' ? SUM_WRONG : SUM_ZERO;
}

static void read_key(struct step *st, const char *key, char *value)
{
	if (!strcmp(key, "len"))
		st->len_b = (uint16_t)number(value);
	else if (!strcmp(key, "ttl"))
		st->ttl = (uint8_t)number(value);
	else if (!strcmp(key, "tos"))
		st->tos = (uint8_t)number(value);
	else if (!strcmp(key, "frag"))
		st->frag_b = (uint16_t)(number(value) & ~7u), st->df = false;
	else if (!strcmp(key, "sum"))
		read_sum(st, value);
	else if (!strcmp(key, "ulen"))
		st->udp_len_b = (uint16_t)number(value);
	else if (!strcmp(key, "n"))
		st->sequence = (uint16_t)number(value);
	else if (!strcmp(key, "info"))
		st->info = number(value);
	else if (!strcmp(key, "quote"))
		st->quote_b = (uint16_t)number(value);
	else if (!strcmp(key, "qport"))
		st->quote_port_off = (uint16_t)number(value);
	else if (!strcmp(key, "port"))
		st->port_off = (uint16_t)number(value);
	else if (!read_tcp_key(st, key, value))
		bad("unknown key", key);
}

static uint8_t conn_of(struct scenario *s, const char *name)
{
	for (uint32_t i = 0; i < s->conn_count; i++)
		if (s->conns[i].name == *name && !name[1])
			return (uint8_t)i;
	bad("no such connection", name);
	return 0;
}

/* [conn] > packet key=value ... */
static void read_packet(struct scenario *s, char *word)
{
	struct step *st = add_step(s);

	if (*word != '>' && *word != '<') {
		st->conn = conn_of(s, word);
		word = strtok(NULL, " ");
	}
	if (!word || (strcmp(word, ">") && strcmp(word, "<")))
		bad("neither > nor <", word ? word : "");
	st->from = *word == '>' ? CLIENT : SERVER;
	word = strtok(NULL, " ");
	if (!word)
		bad("no packet", "");
	read_kind(st, word);
	while ((word = strtok(NULL, " "))) {
		char *value = strchr(word, '=');

		if (read_switch(st, word))
			continue;
		if (!value)
			bad("unknown word", word);
		*value = '\0';
		read_key(st, word, value + 1);
	}
}

static void read_pause(struct scenario *s)
{
	struct step *st = add_step(s);
	char *word = strtok(NULL, " ");

	st->kind = STEP_PAUSE;
	st->pause_ms = word ? (uint32_t)(strtod(word, NULL) * 1000) : 0;
	if (!st->pause_ms)
		bad("how long?", "pause");
}

static void read_line(struct scenario *s, char *word)
{
	if (!strcmp(word, "conn"))
		read_conn(s);
	else if (!strcmp(word, "pause"))
		read_pause(s);
	else if (!strcmp(word, "delete"))
		add_step(s)->kind = STEP_DELETE;
	else
		read_packet(s, word);
}

static void begin(struct scenario *s, uint32_t index)
{
	char *name = strtok(NULL, " ");

	*s = (struct scenario){ .index = index, .line = line_number };
	snprintf(s->name, sizeof(s->name), "%s", name ? name : "?");
	add_conn(s, 'A');
}

uint32_t scenarios_read(FILE *in, uint32_t first, struct scenario **ret)
{
	struct scenario *all = NULL;
	uint32_t count = 0, room = 0;
	char line[512];

	while (fgets(line, sizeof(line), in)) {
		char *word;

		line_number++;
		line[strcspn(line, "#\n")] = '\0';
		word = strtok(line, " ");
		if (!word)
			continue;
		if (strcmp(word, "scenario")) {
			if (!count)
				bad("not in a scenario", word);
			read_line(&all[count - 1], word);
			continue;
		}
		if (count == room) {
			room = room ? room * 2 : 64;
			all = realloc(all, room * sizeof(*all));
		}
		begin(&all[count], first + count);
		count++;
	}
	*ret = all;
	return count;
}
