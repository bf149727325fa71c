/* format_xml.c: flows and events as conntrack -o xml and -o save write them. */
#include "format.h"

#include <inttypes.h>
#include <time.h>

#define PROTO_ICMP 1

void sn_format_xml_begin(FILE *out)
{
	fputs("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n", out);
}

void sn_format_xml_end(FILE *out)
{
	fputs("</conntrack>\n", out);
}

static bool is_destroy(const Shardnat__Event *e)
{
	return e && e->type == SHARDNAT__EVENT_TYPE__EVENT_DESTROY;
}

static const char *proto_name(const Shardnat__Flow *f)
{
	const char *name = shardnat_proto_name(f->proto);

	return name ? name : "unknown";
}

static void put_direction(FILE *out, const Shardnat__Flow *f, bool reply, bool counters)
{
	struct shardnat_tuple t = shardnat_flow_tuple(f, reply);
	char src[16], dst[16];

	fprintf(out, "<meta direction=\"%s\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>%s</src><dst>%s</dst></layer3>",
		reply ? "reply" : "original", sn_format_address(src, t.src), sn_format_address(dst, t.dst));
	fprintf(out, "<layer4 protonum=\"%u\" protoname=\"%s\">", f->proto, proto_name(f));
	if (t.proto != PROTO_ICMP)
		fprintf(out, "<sport>%u</sport><dport>%u</dport>", t.src_port, t.dst_port);
	fputs("</layer4>", out);
	if (counters)
		fprintf(out, "<counters><packets>%" PRIu64 "</packets><bytes>%" PRIu64 "</bytes></counters>",
			reply ? f->packets_reply : f->packets_original, reply ? f->bytes_reply : f->bytes_original);
	fputs("</meta>", out);
}

static void put_times(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e)
{
	uint64_t end_ns = e ? e->wall_ns : (uint64_t)time(NULL) * 1000000000u;

	fprintf(out, "<timestamp><start>%" PRIu64 "</start>", f->start_wall_ns);
	if (e)
		fprintf(out, "<stop>%" PRIu64 "</stop>", e->wall_ns);
	fprintf(out, "</timestamp><deltatime>%" PRIu64 "</deltatime>",
		end_ns > f->start_wall_ns ? (end_ns - f->start_wall_ns) / 1000000000u : 0);
}

static void put_independent(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e, unsigned int output)
{
	fputs("<meta direction=\"independent\">", out);
	if (sn_format_has_state(f, e))
		fprintf(out, "<state>%s</state>", shardnat_state_name(f->state));
	if (sn_format_has_timeout(f, e))
		fprintf(out, "<timeout>%u</timeout>", f->timeout_ds / 10);
	if (!e)
		fprintf(out, "<mark>0</mark><use>%u</use>", output & SN_OUTPUT_GOT ? 2 : 1);
	fprintf(out, "<id>%" PRIu64 "</id>", f->id);
	if (f->status & SHARDNAT__STATUS__STATUS_ASSURED)
		fputs("<assured/>", out);
	if (!(f->status & SHARDNAT__STATUS__STATUS_SEEN_REPLY))
		fputs("<unreplied/>", out);
	if ((output & SN_OUTPUT_KTIMESTAMP) && (!e || is_destroy(e)))
		put_times(out, f, e);
	fputs("</meta>", out);
}

static void put_when(FILE *out, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000u);
	struct tm t;

	if (!localtime_r(&seconds, &t))
		return;
	fprintf(out, "<when><hour>%d</hour><min>%02d</min><sec>%02d</sec><wday>%d</wday><day>%d</day><month>%d</month>"
		     "<year>%d</year></when>",
		t.tm_hour, t.tm_min, t.tm_sec, t.tm_wday + 1, t.tm_mday, t.tm_mon + 1, 1900 + t.tm_year);
}

void sn_format_xml(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e, unsigned int output)
{
	static const char *const types[] = { "", " type=\"new\"", " type=\"update\"", " type=\"destroy\"" };
	bool counters = !e || is_destroy(e);

	fprintf(out, "<flow%s>", e && (size_t)e->type < sizeof(types) / sizeof(types[0]) ? types[e->type] : "");
	put_direction(out, f, false, counters);
	put_direction(out, f, true, counters);
	put_independent(out, f, e, output);
	if (e && (output & SN_OUTPUT_TIMESTAMP))
		put_when(out, e->wall_ns);
	fputs("</flow>", out);
}

/* --- save --- */

static char save_command(const Shardnat__Event *e, unsigned int output)
{
	if (is_destroy(e) || (output & SN_OUTPUT_DELETED))
		return 'D';
	return e && e->type == SHARDNAT__EVENT_TYPE__EVENT_UPDATE ? 'U' : 'A';
}

static const char *save_status(uint32_t status)
{
	if (!(status & SHARDNAT__STATUS__STATUS_SEEN_REPLY))
		return status & SHARDNAT__STATUS__STATUS_ASSURED ? "ASSURED" : "UNSET";
	return status & SHARDNAT__STATUS__STATUS_ASSURED ? "SEEN_REPLY,ASSURED" : "SEEN_REPLY";
}

/* What translation put in place of an end is said by its own option. */
static void save_addresses(FILE *out, const Shardnat__Flow *f, const struct shardnat_tuple *o,
			   const struct shardnat_tuple *r)
{
	char a[4][16];

	fprintf(out, "-s %s -d %s %s %s %s %s ", sn_format_address(a[0], o->src), sn_format_address(a[1], o->dst),
		r->src != o->dst ? "-g" : "-r", sn_format_address(a[2], r->src), r->dst != o->src ? "-n" : "-q",
		sn_format_address(a[3], r->dst));
	fprintf(out, "-p %s ", proto_name(f));
}

void sn_format_save(FILE *out, const Shardnat__Flow *f, const Shardnat__Event *e, unsigned int output)
{
	struct shardnat_tuple o = shardnat_flow_tuple(f, false), r = shardnat_flow_tuple(f, true);

	fprintf(out, "-%c ", save_command(e, output));
	if (sn_format_has_timeout(f, e))
		fprintf(out, "-t %u ", f->timeout_ds / 10);
	fprintf(out, "-u %s ", save_status(f->status));
	save_addresses(out, f, &o, &r);
	if (f->proto == PROTO_ICMP)
		fprintf(out, "--icmp-type %u --icmp-code %u --icmp-id %u", o.icmp_type, o.icmp_code, o.icmp_id);
	else
		fprintf(out, "--sport %u --dport %u --reply-port-src %u --reply-port-dst %u", o.src_port, o.dst_port,
			r.src_port, r.dst_port);
	if (sn_format_has_state(f, e))
		fprintf(out, " --state %s", shardnat_state_name(f->state));
}
