/*
 * config_schema.c: the keys of the configuration file for libcyaml, and its complaints put into our words.
 *
 * Every value is a string here, so that values are judged in one place (config_values.c) with the same kind of message.
 */
#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"

#define TEXT_MAX 256
#define TEXT(key, structure, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure, member, 0, TEXT_MAX)
#define NEED(key, structure, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, structure, member, 0, TEXT_MAX)
#define TIMEOUT(key, t) TEXT(key, struct sn_yaml_timeouts, value[t])

static const cyaml_schema_field_t interface_fields[] = {
	NEED("interface", struct sn_yaml_interface, interface),
	TEXT("realm", struct sn_yaml_interface, realm),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t interface_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct sn_yaml_interface, interface_fields),
};

static const cyaml_schema_value_t address_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, TEXT_MAX),
};

static const cyaml_schema_field_t pool_fields[] = {
	NEED("name", struct sn_yaml_pool, name),
	CYAML_FIELD_SEQUENCE("addresses", CYAML_FLAG_POINTER, struct sn_yaml_pool, addresses, &address_schema, 1,
			     CYAML_UNLIMITED),
	TEXT("block_size", struct sn_yaml_pool, block_size),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t pool_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct sn_yaml_pool, pool_fields),
};

static const cyaml_schema_field_t rule_fields[] = {
	NEED("source", struct sn_yaml_rule, source),
	NEED("translate", struct sn_yaml_rule, translate),
	TEXT("filtering", struct sn_yaml_rule, filtering),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t rule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct sn_yaml_rule, rule_fields),
};

static const cyaml_schema_field_t timeout_fields[] = {
	TEXT("profile", struct sn_yaml_timeouts, profile),
	TIMEOUT("udp", SN_T_UDP),
	TIMEOUT("udp-stream", SN_T_UDP_STREAM),
	TIMEOUT("icmp", SN_T_ICMP),
	TIMEOUT("tcp-syn-sent", SN_T_TCP_SYN_SENT),
	TIMEOUT("tcp-syn-recv", SN_T_TCP_SYN_RECV),
	TIMEOUT("tcp-established", SN_T_TCP_ESTABLISHED),
	TIMEOUT("tcp-fin-wait", SN_T_TCP_FIN_WAIT),
	TIMEOUT("tcp-close-wait", SN_T_TCP_CLOSE_WAIT),
	TIMEOUT("tcp-last-ack", SN_T_TCP_LAST_ACK),
	TIMEOUT("tcp-time-wait", SN_T_TCP_TIME_WAIT),
	TIMEOUT("tcp-close", SN_T_TCP_CLOSE),
	TIMEOUT("tcp-syn-sent2", SN_T_TCP_SYN_SENT2),
	TIMEOUT("tcp-max-retrans", SN_T_TCP_MAX_RETRANS),
	TIMEOUT("tcp-unacknowledged", SN_T_TCP_UNACK),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t limit_fields[] = {
	TEXT("tcp-ports", struct sn_yaml_limits, tcp_ports),
	TEXT("udp-ports", struct sn_yaml_limits, udp_ports),
	TEXT("icmp-ids", struct sn_yaml_limits, icmp_ids),
	TEXT("flows", struct sn_yaml_limits, flows),
	TEXT("flow-rate", struct sn_yaml_limits, flow_rate),
	TEXT("blocks", struct sn_yaml_limits, blocks),
	TEXT("outside-flows-per-binding", struct sn_yaml_limits, outside_flows),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t tcp_fields[] = {
	TEXT("loose", struct sn_yaml_tcp, loose),
	TEXT("liberal", struct sn_yaml_tcp, liberal),
	TEXT("mss", struct sn_yaml_tcp, mss),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t xsk_fields[] = {
	TEXT("ring", struct sn_yaml_xsk, ring),
	TEXT("tx_ring", struct sn_yaml_xsk, tx_ring),
	TEXT("busy_poll", struct sn_yaml_xsk, busy_poll),
	CYAML_FIELD_END
};

#define LIST(key, member, schema) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER, struct sn_yaml, member, schema, 1, CYAML_UNLIMITED)
#define SECTION(key, member, fields) \
	CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct sn_yaml, member, fields)

static const cyaml_schema_field_t top_fields[] = {
	NEED("instance", struct sn_yaml, instance),
	LIST("inside", inside, &interface_schema),
	LIST("outside", outside, &interface_schema),
	LIST("pools", pools, &pool_schema),
	LIST("rules", rules, &rule_schema),
	SECTION("timeouts", timeouts, timeout_fields),
	SECTION("limits", limits, limit_fields),
	SECTION("tcp", tcp, tcp_fields),
	SECTION("xsk", xsk, xsk_fields),
	TEXT("workers", struct sn_yaml, workers),
	TEXT("shards", struct sn_yaml, shards),
	TEXT("flows", struct sn_yaml, flows),
	TEXT("subscribers", struct sn_yaml, subscribers),
	TEXT("event_ring", struct sn_yaml, event_ring),
	TEXT("frames", struct sn_yaml, frames),
	TEXT("hold_down", struct sn_yaml, hold_down),
	TEXT("cold_hold_down", struct sn_yaml, cold_hold_down),
	TEXT("held_ports", struct sn_yaml, held_ports),
	TEXT("icmp_rate", struct sn_yaml, icmp_rate),
	TEXT("hugepages", struct sn_yaml, hugepages),
	TEXT("zero_copy", struct sn_yaml, zero_copy),
	TEXT("io", struct sn_yaml, io),
	TEXT("cpus", struct sn_yaml, cpus),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t top_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct sn_yaml, top_fields),
};

/* What libcyaml said: its first complaint, then the way from the value up to the root. */
struct complaint {
	char what[256];
	char path[SN_PATH_B];
};

static void prepend(char *path, const char *part)
{
	char whole[SN_PATH_B];

	snprintf(whole, sizeof(whole), "%.60s%s%.60s", part, *path && *path != '[' ? "." : "", path);
	memcpy(path, whole, SN_PATH_B);
}

/* libcyaml has counted an entry when it complains about it, so that the first is 1; in an empty list it is 0. */
static void note_step(struct complaint *c, const char *text)
{
	char part[64];
	unsigned entry;

	if (sscanf(text, "  in mapping field '%63[^']'", part) == 1) {
		prepend(c->path, part);
	} else if (sscanf(text, "  in sequence entry '%u'", &entry) == 1 && entry > 0) {
		snprintf(part, sizeof(part), "[%u]", entry - 1);
		prepend(c->path, part);
	}
}

static void on_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	struct complaint *c = ctx;
	char text[256];

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(text, "  in ", 5))
		note_step(c, text);
	else if (!c->what[0])
		memcpy(c->what, text, sizeof(text));
}

/* The keys of the mapping at a path, for "use one of ...". */
static void list_keys(const char *path, char *ret, size_t room)
{
	static const struct {
		const char *prefix;
		const cyaml_schema_field_t *fields;
	} places[] = {
		{ "inside", interface_fields }, { "outside", interface_fields }, { "pools", pool_fields },
		{ "rules", rule_fields }, { "timeouts", timeout_fields }, { "limits", limit_fields },
		{ "tcp", tcp_fields },
		{ "xsk", xsk_fields },
	};
	const cyaml_schema_field_t *fields = top_fields;
	size_t used = 0;

	for (size_t i = 0; i < SN_ARRAY_LEN(places); i++)
		if (!strncmp(path, places[i].prefix, strlen(places[i].prefix)))
			fields = places[i].fields;
	for (const cyaml_schema_field_t *f = fields; f->key && used < room; f++)
		used += (size_t)snprintf(ret + used, room - used, "%s%s", used ? ", " : "", f->key);
}

static const char *say_kind(const char *kind)
{
	if (strncmp(kind, "SEQ", 3) == 0)
		return "a list";
	return strncmp(kind, "MAP", 3) == 0 ? "a set of keys" : "a single value";
}

static const char *say_example(const char *kind)
{
	return strncmp(kind, "SEQ", 3) == 0 ? " [ ... ]" : strncmp(kind, "MAP", 3) == 0 ? " { key: value }" : "";
}

static void say_expected(const struct complaint *c, char *ret, size_t room)
{
	char want[32], got[32];

	if (sscanf(c->what, "Load: Expecting %31[^,], got event: %31s", want, got) == 2)
		snprintf(ret, room, "%s is not right here; use %s%s", say_kind(got), say_kind(want), say_example(want));
	else
		snprintf(ret, room, "%s", c->what);
}

static void explain_unknown(const struct sn_document *d, const char *parent, const char *key, struct sn_error *err)
{
	char keys[512], path[2 * SN_PATH_B];

	list_keys(parent, keys, sizeof(keys));
	snprintf(path, sizeof(path), "%s%s%s", parent, parent[0] ? "." : "", key);
	snprintf(err->text, sizeof(err->text), "%s:%u: %s: there is no such key; use one of %s", d->file,
		 sn_document_line(d, path), path, keys);
}

/* A missing key is told of in the key that was read last: its mapping is meant. */
static void cut_last_key(char *path)
{
	char *dot = strrchr(path, '.');

	*(dot ? dot : path) = '\0';
}

static void explain(const struct sn_document *d, struct complaint *c, struct sn_error *err)
{
	char say[512], key[64];

	if (sscanf(c->what, "Load: Unexpected key: %63s", key) == 1) {
		explain_unknown(d, c->path, key, err);
		return;
	}
	if (sscanf(c->what, "Load: Missing required mapping field: %63s", key) == 1) {
		cut_last_key(c->path);
		snprintf(say, sizeof(say), "the key '%s' is missing; it has no default", key);
	} else if (strstr(c->what, "Insufficient entries")) {
		snprintf(say, sizeof(say), "the list is empty; use at least one entry");
	} else {
		say_expected(c, say, sizeof(say));
	}
	snprintf(err->text, sizeof(err->text), "%s:%u: %s%s%s", d->file, sn_document_line(d, c->path), c->path,
		 c->path[0] ? ": " : "", say);
}

static int load_schema(struct sn_document *d, struct sn_error *err)
{
	struct complaint c = { 0 };
	const cyaml_config_t config = {
		.log_fn = on_log, .log_ctx = &c, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR
	};
	cyaml_err_t e = cyaml_load_file(d->file, &config, &top_schema, (cyaml_data_t **)&d->yaml, NULL);

	if (e == CYAML_OK && d->yaml)
		return 0;
	if (c.what[0])
		explain(d, &c, err);
	else
		snprintf(err->text, sizeof(err->text), "%s:1: the file is empty; at least %s are needed", d->file,
			 "instance, inside, outside, pools and rules");
	return -EINVAL;
}

int sn_document_load(const char *file, struct sn_document *ret, struct sn_error *err)
{
	struct sn_document d = { .file = strdup(file) };
	int e = d.file ? sn_document_mark(&d, err) : -ENOMEM;

	if (!e)
		e = load_schema(&d, err);
	if (e) {
		sn_document_free(&d);
		return e;
	}
	*ret = d;
	return 0;
}

void sn_document_free(struct sn_document *d)
{
	const cyaml_config_t config = { .mem_fn = cyaml_mem };

	if (d->yaml)
		cyaml_free(&config, &top_schema, d->yaml, 0);
	free(d->marks);
	free(d->file);
	*d = (struct sn_document){ 0 };
}
