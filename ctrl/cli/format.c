/* format.c: conntrack's grammar (NETFILTER.md section 3). */
#include "format.h"

#include <inttypes.h>
#include <stdarg.h>

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

static void end_line(struct line *l, FILE *out)
{
	if (l->len && l->text[l->len - 1] == ' ')
		l->len--;
	l->text[l->len++] = '\n';
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

/* A state stands in an UPDATE only if this packet changed it; a timeout of 0 not in a DESTROY. */
static void put_event(struct line *l, const Shardnat__Event *e, unsigned int output)
{
	const Shardnat__Flow *f = e->flow;
	bool destroy = e->type == SHARDNAT__EVENT_TYPE__EVENT_DESTROY;

	put_type(l, e->type);
	put_proto(l, f->proto, output);
	if (!destroy || f->timeout_ds >= 10)
		put(l, "%u ", f->timeout_ds / 10);
	if (e->type != SHARDNAT__EVENT_TYPE__EVENT_UPDATE || (e->change & SHARDNAT__CHANGE__CHANGE_STATE))
		put_state(l, f);
	put_tuples(l, f, destroy);
	if (output & SN_OUTPUT_ID)
		put(l, "id=%" PRIu64 " ", f->id);
	if (destroy && e->reason == SHARDNAT__REASON__REASON_COMMAND)
		put(l, "[USERSPACE] portid=0 ");
}

void sn_format_event(FILE *out, const Shardnat__Event *e, unsigned int output)
{
	struct line l = { 0 };

	if (output & SN_OUTPUT_TIMESTAMP)
		put(&l, "[%" PRIu64 ".%06" PRIu64 "]\t", e->wall_ns / 1000000000u, e->wall_ns / 1000u % 1000000u);
	put_event(&l, e, output);
	end_line(&l, out);
}

void sn_format_flow(FILE *out, const Shardnat__Flow *f, unsigned int output)
{
	struct line l = { 0 };

	put_proto(&l, f->proto, output);
	put(&l, "%u ", f->timeout_ds / 10);
	put_state(&l, f);
	put_tuples(&l, f, true);
	put(&l, "mark=0 use=1 ");
	if (output & SN_OUTPUT_ID)
		put(&l, "id=%" PRIu64 " ", f->id);
	end_line(&l, out);
}
