/* format.c: conntrack's grammar (NETFILTER.md section 3). */
#include "format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#define PROTO_ICMP 1
#define PROTO_TCP 6

char *sn_format_address(char *text, uint32_t address)
{
	snprintf(text, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
	return text;
}

/* Each word is followed by a blank but the last one of the line. */
struct line {
	size_t len;
	char text[1024];
};

static void put(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What does not fit is cut off (the longest line is half as long). */
static void put(struct line *l, const char *format, ...)
{
	size_t room = sizeof(l->text) - l->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(l->text + l->len, room, format, args);
	va_end(args);
	l->len += (size_t)len < room ? (size_t)len : room - 1;
}

static void write_line(struct line *l, FILE *out)
{
	if (l->len && l->text[l->len - 1] == ' ')
		l->len--;
	fwrite(l->text, 1, l->len, out);
}

static void put_proto(struct line *l, uint32_t proto, unsigned int output)
{
	const char *name = shardnat_proto_name(proto);

	if (output & SN_OUTPUT_EXTENDED)
		put(l, "%-8s %u ", "ipv4", 2);
	put(l, "%-8s %u ", name ? name : "unknown", proto);
}

static void put_state(struct line *l, const Shardnat__Flow *f)
{
	const char *name = shardnat_state_name(f->state);

	if (f->proto == PROTO_TCP && name)
		put(l, "%s ", name);
}

static void put_tuple(struct line *l, const Shardnat__Flow *f, bool reply)
{
	struct shardnat_tuple t = shardnat_flow_tuple(f, reply);
	char src[16], dst[16];

	put(l, "src=%s dst=%s ", sn_format_address(src, t.src), sn_format_address(dst, t.dst));
	if (t.proto == PROTO_ICMP)
		put(l, "type=%u code=%u id=%u ", t.icmp_type, t.icmp_code, t.icmp_id);
	else
		put(l, "sport=%u dport=%u ", t.src_port, t.dst_port);
}

static void put_tuples(struct line *l, const Shardnat__Flow *f, bool counters)
{
	put_tuple(l, f, false);
	if (counters)
		put(l, "packets=%" PRIu64 " bytes=%" PRIu64 " ", f->packets_original, f->bytes_original);
	if (!(f->status & SHARDNAT__STATUS__STATUS_SEEN_REPLY))
		put(l, "[UNREPLIED] ");
	put_tuple(l, f, true);
	if (counters)
		put(l, "packets=%" PRIu64 " bytes=%" PRIu64 " ", f->packets_reply, f->bytes_reply);
	if (f->status & SHARDNAT__STATUS__STATUS_ASSURED)
		put(l, "[ASSURED] ");
}

static void put_type(struct line *l, Shardnat__EventType type)
{
	static const char *const types[] = { "", "    [NEW]", " [UPDATE]", "[DESTROY]" };

	put(l, "%s ", (size_t)type < sizeof(types) / sizeof(types[0]) ? types[type] : "");
}

bool sn_format_has_timeout(const Shardnat__Flow *f, const Shardnat__Event *e)
{
	return !e || e->type != SHARDNAT__EVENT_TYPE__EVENT_DESTROY || f->timeout_ds >= 10;
}

bool sn_format_has_state(const Shardnat__Flow *f, const Shardnat__Event *e)
{
	return f->proto == PROTO_TCP && shardnat_state_name(f->state) &&
	       (!e || e->type != SHARDNAT__EVENT_TYPE__EVENT_UPDATE || (e->change & SHARDNAT__CHANGE__CHANGE_STATE));
}

/* " [start=Sun Nov 22 11:55:02 2026]" */
static void put_moment(struct line *l, const char *name, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000u);
	struct tm t;
	char text[32];

	if (localtime_r(&seconds, &t) && strftime(text, sizeof(text), "%a %b %e %T %Y", &t))
		put(l, "[%s=%s] ", name, text);
}

static void put_times(struct line *l, const Shardnat__Flow *f, uint64_t end_ns)
{
	put(l, "delta-time=%" PRIu64 " ", end_ns > f->start_wall_ns ? (end_ns - f->start_wall_ns) / 1000000000u : 0);
	put_moment(l, "start", f->start_wall_ns);
}

/* What conntrack has no word for. */
static void put_shard(struct line *l, const Shardnat__Flow *f)
{
	char address[16];

	put(l, "shard=%u subscriber=%s ", f->shard, sn_format_address(address, f->inside_address));
	if (f->block_ports)
		put(l, "block=%s:%u-%u ", sn_format_address(address, f->public_address), f->block_first_port,
		    f->block_first_port + f->block_ports - 1);
}

static void put_userspace(FILE *out, const Shardnat__Event *e)
{
	if (e->type == SHARDNAT__EVENT_TYPE__EVENT_DESTROY && e->reason == SHARDNAT__REASON__REASON_COMMAND)
		fputs(" [USERSPACE] portid=0", out);
	fputc('\n', out);
}

static void put_event(struct line *l, const Shardnat__Event *e, unsigned int output)
{
	const Shardnat__Flow *f = e->flow;
	bool destroy = e->type == SHARDNAT__EVENT_TYPE__EVENT_DESTROY;

	put_type(l, e->type);
	put_proto(l, f->proto, output);
	if (sn_format_has_timeout(f, e))
		put(l, "%u ", f->timeout_ds / 10);
	if (sn_format_has_state(f, e))
		put_state(l, f);
	put_tuples(l, f, destroy);
	if (destroy && (output & SN_OUTPUT_KTIMESTAMP)) {
		put_times(l, f, e->wall_ns);
		put_moment(l, "stop", e->wall_ns);
	}
	if (output & SN_OUTPUT_ID)
		put(l, "id=%" PRIu64 " ", f->id);
	if (output & SN_OUTPUT_SHARD)
		put_shard(l, f);
}

void sn_format_event(FILE *out, const Shardnat__Event *e, unsigned int output)
{
	struct line l = { 0 };

	if (output & (SN_OUTPUT_XML | SN_OUTPUT_SAVE)) {
		(output & SN_OUTPUT_XML ? sn_format_xml : sn_format_save)(out, e->flow, e, output);
		put_userspace(out, e);
		return;
	}
	if (output & SN_OUTPUT_TIMESTAMP)
		put(&l, "[%" PRIu64 ".%06" PRIu64 "]\t", e->wall_ns / 1000000000u, e->wall_ns / 1000u % 1000000u);
	put_event(&l, e, output);
	write_line(&l, out);
	put_userspace(out, e);
}

void sn_format_flow(FILE *out, const Shardnat__Flow *f, unsigned int output)
{
	struct line l = { 0 };

	if (output & (SN_OUTPUT_XML | SN_OUTPUT_SAVE)) {
		(output & SN_OUTPUT_XML ? sn_format_xml : sn_format_save)(out, f, NULL, output);
		fputc('\n', out);
		return;
	}
	put_proto(&l, f->proto, output & SN_OUTPUT_PROC ? SN_OUTPUT_EXTENDED : output);
	put(&l, "%u ", f->timeout_ds / 10);
	put_state(&l, f);
	put_tuples(&l, f, true);
	put(&l, "mark=0 ");
	if (output & SN_OUTPUT_KTIMESTAMP)
		put_times(&l, f, (uint64_t)time(NULL) * 1000000000u);
	put(&l, output & SN_OUTPUT_PROC ? "zone=0 use=2 " : output & SN_OUTPUT_GOT ? "use=2 " : "use=1 ");
	if (output & SN_OUTPUT_ID)
		put(&l, "id=%" PRIu64 " ", f->id);
	if (output & SN_OUTPUT_SHARD)
		put_shard(&l, f);
	write_line(&l, out);
	fputc('\n', out);
}
