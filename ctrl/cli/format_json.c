/* format_json.c: flows and events as one JSON object per line. Keys are only ever added. */
#include "format.h"
#include "json.h"

#define PROTO_ICMP 1
#define PROTO_TCP 6

static void put_tuple(struct sn_json *j, const char *key, const Shardnat__Flow *f, bool reply)
{
	struct shardnat_tuple t = shardnat_flow_tuple(f, reply);

	sn_json_open(j, key, '{');
	sn_json_address(j, "src", t.src);
	sn_json_address(j, "dst", t.dst);
	if (t.proto == PROTO_ICMP) {
		sn_json_number(j, "type", t.icmp_type);
		sn_json_number(j, "code", t.icmp_code);
		sn_json_number(j, "id", t.icmp_id);
	} else {
		sn_json_number(j, "sport", t.src_port);
		sn_json_number(j, "dport", t.dst_port);
	}
	sn_json_number(j, "packets", reply ? f->packets_reply : f->packets_original);
	sn_json_number(j, "bytes", reply ? f->bytes_reply : f->bytes_original);
	sn_json_close(j, '}');
}

static void put_status(struct sn_json *j, uint32_t status)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {
		{ SHARDNAT__STATUS__STATUS_EXPECTED, "EXPECTED" },
		{ SHARDNAT__STATUS__STATUS_SEEN_REPLY, "SEEN_REPLY" },
		{ SHARDNAT__STATUS__STATUS_ASSURED, "ASSURED" },
		{ SHARDNAT__STATUS__STATUS_CONFIRMED, "CONFIRMED" },
		{ SHARDNAT__STATUS__STATUS_SRC_NAT, "SRC_NAT" },
		{ SHARDNAT__STATUS__STATUS_DST_NAT, "DST_NAT" },
		{ SHARDNAT__STATUS__STATUS_DYING, "DYING" },
		{ SHARDNAT__STATUS__STATUS_FIXED_TIMEOUT, "FIXED_TIMEOUT" },
	};

	sn_json_open(j, "status", '[');
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (status & bits[i].bit)
			sn_json_text(j, NULL, bits[i].name);
	sn_json_close(j, ']');
}

static void put_nat(struct sn_json *j, const Shardnat__Flow *f)
{
	sn_json_address(j, "subscriber", f->inside_address);
	sn_json_text(j, "realm", f->realm);
	sn_json_bool(j, "from_outside", f->from_outside);
	sn_json_bool(j, "hairpin", f->hairpin);
	sn_json_bool(j, "pass", f->pass);
	sn_json_number(j, "rule", f->rule);
	if (!f->block_ports)
		return;
	sn_json_open(j, "block", '{');
	sn_json_address(j, "address", f->public_address);
	sn_json_number(j, "first_port", f->block_first_port);
	sn_json_number(j, "ports", f->block_ports);
	sn_json_close(j, '}');
}

static void put_flow(struct sn_json *j, const Shardnat__Flow *f)
{
	const char *proto = shardnat_proto_name(f->proto), *state = shardnat_state_name(f->state);

	sn_json_number(j, "id", f->id);
	sn_json_number(j, "shard", f->shard);
	sn_json_text(j, "proto", proto ? proto : "unknown");
	sn_json_number(j, "protonum", f->proto);
	if (f->proto == PROTO_TCP && state)
		sn_json_text(j, "state", state);
	sn_json_number(j, "timeout", f->timeout_ds / 10);
	put_tuple(j, "original", f, false);
	put_tuple(j, "reply", f, true);
	put_status(j, f->status);
	put_nat(j, f);
	sn_json_time(j, "start", f->start_wall_ns);
}

static void put_changes(struct sn_json *j, uint32_t change)
{
	sn_json_open(j, "change", '[');
	if (change & SHARDNAT__CHANGE__CHANGE_STATE)
		sn_json_text(j, NULL, "STATE");
	if (change & SHARDNAT__CHANGE__CHANGE_REPLY)
		sn_json_text(j, NULL, "REPLY");
	if (change & SHARDNAT__CHANGE__CHANGE_ASSURED)
		sn_json_text(j, NULL, "ASSURED");
	sn_json_close(j, ']');
}

void sn_format_event_json(FILE *out, const Shardnat__EventBatch *b, const Shardnat__Event *e)
{
	static const char *const types[] = { "", "NEW", "UPDATE", "DESTROY" };
	struct sn_json j = { .out = out };
	const char *reason = shardnat_reason_name(e->reason);

	sn_json_open(&j, NULL, '{');
	sn_json_text(&j, "type", (size_t)e->type < sizeof(types) / sizeof(types[0]) ? types[e->type] : "");
	sn_json_time(&j, "time", e->wall_ns);
	sn_json_text(&j, "instance", b->instance);
	sn_json_number(&j, "epoch", b->epoch);
	sn_json_number(&j, "seq", e->seq);
	if (e->type == SHARDNAT__EVENT_TYPE__EVENT_UPDATE)
		put_changes(&j, e->change);
	if (e->type == SHARDNAT__EVENT_TYPE__EVENT_DESTROY && reason)
		sn_json_text(&j, "reason", reason);
	put_flow(&j, e->flow);
	sn_json_close(&j, '}');
	fputc('\n', out);
}

void sn_format_flow_json(FILE *out, const Shardnat__Flow *f)
{
	struct sn_json j = { .out = out };

	sn_json_open(&j, NULL, '{');
	put_flow(&j, f);
	sn_json_close(&j, '}');
	fputc('\n', out);
}
