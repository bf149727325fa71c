/* options.c: see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17

#define M(name) SHARDNAT__MATCH__MATCH_##name

const char sn_query_help[] =
	"Filters (conntrack's; all that are given must hold):\n"
	"  -p, --proto tcp|udp|icmp          needed for those on ports, states and ICMP\n"
	"  -s, --src, --orig-src IP[/LEN]    ORIGINAL source: the subscriber\n"
	"  -d, --dst, --orig-dst IP[/LEN]    ORIGINAL destination\n"
	"  -r, --reply-src IP[/LEN]          REPLY source\n"
	"  -q, --reply-dst IP[/LEN]          REPLY destination: the public address\n"
	"      --sport, --orig-port-src N    --dport, --orig-port-dst N\n"
	"      --reply-port-src N            --reply-port-dst N (the public port)\n"
	"      --state STATE                 SYN_SENT, ESTABLISHED, ... (tcp)\n"
	"      --icmp-type N  --icmp-code N  --icmp-id N\n"
	"  -u, --status ASSURED|SEEN_REPLY|UNREPLIED|FIXED_TIMEOUT|EXPECTED[,...]\n"
	"  -n, --src-nat [IP[:PORT]]         source translated (to that); -g, --dst-nat; -j, --any-nat\n"
	"  -m, --mark, -c, --secmark, -w, --zone, --orig-zone, --reply-zone N\n"
	"                                    here all are 0; -f, --family ipv4\n"
	"      --subscriber IP               inside address, whoever opened the flow\n"
	"Output:\n"
	"  -o json                           one JSON object per line\n"
	"  -o timestamp (events), extended, id, ktimestamp, labels, userspace, proc, shard[,...]\n"
	"  -o xml[,...], -o save             as conntrack writes them; shard: shard, subscriber and port block\n";

enum {
	OPT_SPORT = 256,
	OPT_DPORT,
	OPT_REPLY_SPORT,
	OPT_REPLY_DPORT,
	OPT_STATE,
	OPT_ICMP_TYPE,
	OPT_ICMP_CODE,
	OPT_ICMP_ID,
	OPT_SUBSCRIBER,
	OPT_EVENTS,
	OPT_ORIG_ZONE,
	OPT_REPLY_ZONE,
	OPT_MASK_SRC,
	OPT_MASK_DST,
};

static bool wrong(const char *what, const char *value, const char *right)
{
	fprintf(stderr, "shardnat: %s: %s: %s\n", what, value, right);
	return false;
}

static bool read_number(const char *what, const char *text, unsigned long long most, unsigned long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || *ret > most)
		return wrong(what, text, "not a possible number");
	return true;
}

/* IP[/LEN] */
static bool read_network(const char *what, const char *text, uint32_t *ret_address, uint32_t *ret_mask)
{
	char copy[64];
	char *slash;
	struct in_addr in;
	unsigned long long len = 32;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (inet_pton(AF_INET, copy, &in) != 1)
		return wrong(what, text, "not an IPv4 address or network (192.0.2.1, 192.0.2.0/24)");
	if (slash && !read_number(what, slash, 32, &len))
		return false;
	*ret_address = ntohl(in.s_addr);
	*ret_mask = len ? UINT32_MAX << (32 - len) : 0;
	return true;
}

static bool read_word(uint32_t *to, uint32_t *match, uint32_t bit, const char *what, const char *text,
		      unsigned int most)
{
	unsigned long long value;

	if (!read_number(what, text, most, &value))
		return false;
	*to = (uint32_t)value;
	*match |= bit;
	return true;
}

struct word {
	const char *name;
	unsigned int bits;
};

static bool read_proto(const char *text, Shardnat__FlowFilter *f)
{
	static const struct word others[] = { { "sctp", 132 }, { "udplite", 136 }, { "dccp", 33 },
					      { "gre", 47 },   { "icmpv6", 58 },   { 0 } };
	const struct word *other = others;
	int proto = shardnat_proto_number(text);
	char *end;

	while (other->name && strcasecmp(other->name, text) != 0)
		other++;
	if (proto < 0 && other->name)
		proto = (int)other->bits;
	if (proto < 0 && *text >= '0' && *text <= '9') {
		unsigned long number = strtoul(text, &end, 10);

		proto = *end || number > 255 ? -1 : (int)number;
	}
	if (proto < 0)
		return wrong("-p", text, "unsupported protocol");
	f->proto = (uint32_t)proto;
	f->match |= M(PROTO);
	return true;
}

static bool read_state(const char *text, Shardnat__FlowFilter *f)
{
	int state = shardnat_state_number(text);

	if (state < 0)
		return wrong("--state", text, "not a TCP state");
	f->state = (Shardnat__TcpState)state;
	f->match |= M(STATE);
	return true;
}

/* Words separated by commas; the or of their bits. */
static bool read_words(const char *what, const char *text, const struct word *words, unsigned int *ret)
{
	char copy[128];
	char *save = NULL;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		const struct word *found = words;

		while (found->name && strcasecmp(found->name, w) != 0)
			found++;
		if (!found->name)
			return wrong(what, w, "unknown");
		*ret |= found->bits;
	}
	return true;
}

/* UNSET is for making entries: conntrack, too, fails with it here. */
static bool read_status(const char *text, Shardnat__FlowFilter *f, struct sn_query *q)
{
	enum { UNREPLIED = 1u << 31 };
	static const struct word words[] = {
		{ "ASSURED", SHARDNAT__STATUS__STATUS_ASSURED },
		{ "SEEN_REPLY", SHARDNAT__STATUS__STATUS_SEEN_REPLY },
		{ "FIXED_TIMEOUT", SHARDNAT__STATUS__STATUS_FIXED_TIMEOUT },
		{ "EXPECTED", SHARDNAT__STATUS__STATUS_EXPECTED },
		{ "UNREPLIED", (unsigned int)UNREPLIED },
		{ "OFFLOAD", 1u << 14 },
		{ "UNSET", 0 },
		{ 0 },
	};
	unsigned int bits = 0;

	if (!read_words("--status", text, words, &bits))
		return false;
	if (!bits)
		q->impossible = !wrong("--status", text, "invalid parameters");
	f->status = bits & ~(unsigned int)UNREPLIED;
	f->match |= (f->status ? M(STATUS) : 0u) | ((bits & (unsigned int)UNREPLIED) ? M(UNREPLIED) : 0u);
	return true;
}

static bool read_classes(const char *text, struct sn_query *q)
{
	static const struct word words[] = {
		{ "ALL", SHARDNAT_ALL },	{ "NEW", SHARDNAT_NEW },	 { "UPDATES", SHARDNAT_UPDATE },
		{ "UPDATE", SHARDNAT_UPDATE }, { "DESTROY", SHARDNAT_DESTROY }, { 0 },
	};

	q->classes = 0;
	return read_words("-e", text, words, &q->classes) && (q->classes || wrong("-e", text, "no event type"));
}

static bool read_output(const char *text, bool events, struct sn_query *q)
{
	static const struct word words[] = {
		{ "json", SN_OUTPUT_JSON },
		{ "timestamp", SN_OUTPUT_TIMESTAMP },
		{ "extended", SN_OUTPUT_EXTENDED },
		{ "id", SN_OUTPUT_ID },
		{ "xml", SN_OUTPUT_XML },
		{ "save", SN_OUTPUT_SAVE },
		{ "ktimestamp", SN_OUTPUT_KTIMESTAMP },
		{ "proc", SN_OUTPUT_PROC },
		{ "shard", SN_OUTPUT_SHARD },
		{ "labels", 0 },
		{ "userspace", 0 },
		{ 0 },
	};

	(void)events;
	if (!read_words("-o", text, words, &q->output))
		return false;
	if ((q->output & SN_OUTPUT_SAVE) && q->output != SN_OUTPUT_SAVE)
		q->impossible = !wrong("-o", text, "save cannot be combined with any other output");
	return true;
}

/* A mark or zone: no flow of ours has one but 0. VALUE[/MASK] */
static bool read_nothing(const char *text, Shardnat__FlowFilter *f)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (end == text || (*end && *end != '/'))
		return wrong("mark, secmark or zone", text, "not a number");
	if (value)
		f->match |= M(NOTHING);
	return true;
}

static bool read_family(const char *text, Shardnat__FlowFilter *f)
{
	if (!strcmp(text, "ipv6"))
		f->match |= M(NOTHING);
	else if (strcmp(text, "ipv4"))
		return wrong("--family", text, "unsupported protocol");
	return true;
}

/* [IP][:PORT]; text may be NULL. */
static bool read_nat(const char *what, const char *text, uint32_t *ret_address, uint32_t *ret_port)
{
	unsigned long long port = 0;
	uint32_t mask;
	char copy[64];
	char *colon;

	if (!text)
		return true;
	snprintf(copy, sizeof(copy), "%s", text);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = '\0';
	if (colon && !read_number(what, colon, 65535, &port))
		return false;
	*ret_port = (uint32_t)port;
	if (!*copy && colon)
		return true;
	return read_network(what, copy, ret_address, &mask) &&
	       (!strchr(copy, '/') || wrong(what, text, "CIDR notation unavailable"));
}

/* Their argument may stand apart, as conntrack has it. */
static bool read_nat_option(int c, const char *text, int argc, char **argv, Shardnat__FlowFilter *f)
{
	if (!text && optind < argc && argv[optind][0] != '-')
		text = argv[optind++];
	if (c == 'n') {
		f->match |= M(SRC_NAT);
		return read_nat("--src-nat", text, &f->src_nat, &f->src_nat_port);
	}
	if (c == 'g') {
		f->match |= M(DST_NAT);
		return read_nat("--dst-nat", text, &f->dst_nat, &f->dst_nat_port);
	}
	f->match |= M(ANY_NAT);
	return read_nat("--any-nat", text, &f->src_nat, &f->src_nat_port) &&
	       read_nat("--any-nat", text, &f->dst_nat, &f->dst_nat_port);
}

static bool read_mask(int c, const char *text, Shardnat__FlowFilter *f)
{
	bool src = c == OPT_MASK_SRC;
	uint32_t address, mask;

	if (!read_network(src ? "--mask-src" : "--mask-dst", text, &address, &mask))
		return false;
	if (!(f->match & (src ? M(SRC) : M(DST))))
		return wrong(src ? "--mask-src" : "--mask-dst", text, "needs the address before it");
	*(src ? &f->src_mask : &f->dst_mask) = address;
	*(src ? &f->src : &f->dst) &= address;
	return true;
}

/* conntrack's commands, and the tables they may name. */
static bool read_command(int c, int argc, char **argv, struct sn_query *q)
{
	static const char letters[] = "LCDFGS";
	enum sn_flows_command command = (enum sn_flows_command)(strchr(letters, c) - letters + SN_FLOWS_LIST);
	const char *table = optind < argc && argv[optind][0] != '-' ? argv[optind] : NULL;

	if (q->command != SN_FLOWS_NONE)
		return wrong("commands", argv[0], "one at a time");
	q->command = command;
	if (!table)
		return true;
	q->expectations = !strcmp(table, "expect");
	if (q->expectations || !strcmp(table, "dying") || !strcmp(table, "unconfirmed"))
		q->filter.match |= M(NOTHING);
	else if (strcmp(table, "conntrack") != 0)
		return wrong("table", table, "unknown type");
	optind++;
	return true;
}

static bool read_network_filter(int c, const char *text, Shardnat__FlowFilter *f)
{
	uint32_t mask;

	switch (c) {
	case 's':
		f->match |= M(SRC);
		return read_network("--src", text, &f->src, &f->src_mask);
	case 'd':
		f->match |= M(DST);
		return read_network("--dst", text, &f->dst, &f->dst_mask);
	case 'r':
		f->match |= M(REPLY_SRC);
		return read_network("--reply-src", text, &f->reply_src, &f->reply_src_mask);
	case 'q':
		f->match |= M(REPLY_DST);
		return read_network("--reply-dst", text, &f->reply_dst, &f->reply_dst_mask);
	default:
		f->match |= M(SUBSCRIBER);
		return read_network("--subscriber", text, &f->subscriber, &mask) &&
		       (mask == UINT32_MAX || wrong("--subscriber", text, "one address, please"));
	}
}

static bool read_number_filter(int c, const char *text, Shardnat__FlowFilter *f)
{
	switch (c) {
	case OPT_SPORT:
		return read_word(&f->sport, &f->match, M(SPORT), "--sport", text, 65535);
	case OPT_DPORT:
		return read_word(&f->dport, &f->match, M(DPORT), "--dport", text, 65535);
	case OPT_REPLY_SPORT:
		return read_word(&f->reply_sport, &f->match, M(REPLY_SPORT), "--reply-port-src", text, 65535);
	case OPT_REPLY_DPORT:
		return read_word(&f->reply_dport, &f->match, M(REPLY_DPORT), "--reply-port-dst", text, 65535);
	case OPT_ICMP_TYPE:
		return read_word(&f->icmp_type, &f->match, M(ICMP_TYPE), "--icmp-type", text, 255);
	case OPT_ICMP_CODE:
		return read_word(&f->icmp_code, &f->match, M(ICMP_CODE), "--icmp-code", text, 255);
	default:
		return read_word(&f->icmp_id, &f->match, M(ICMP_ID), "--icmp-id", text, 65535);
	}
}

static bool read_count(const char *text, struct sn_query *q)
{
	unsigned long long value;

	if (!read_number("--count", text, UINT64_MAX, &value))
		return false;
	q->events = value;
	return value || wrong("--count", text, "not a possible number");
}

static bool read_option(int c, const char *text, bool events, struct sn_query *q)
{
	switch (c) {
	case 'm':
	case 'c':
	case 'w':
	case OPT_ORIG_ZONE:
	case OPT_REPLY_ZONE:
		return read_nothing(text, &q->filter);
	case 'l':
		return wrong("--label", text, "unknown label");
	case 'f':
		return read_family(text, &q->filter);
	case OPT_MASK_SRC:
	case OPT_MASK_DST:
		return read_mask(c, text, &q->filter);
	case 'p':
		return read_proto(text, &q->filter);
	case 's':
	case 'd':
	case 'r':
	case 'q':
	case OPT_SUBSCRIBER:
		return read_network_filter(c, text, &q->filter);
	case OPT_STATE:
		return read_state(text, &q->filter);
	case 'u':
		return read_status(text, &q->filter, q);
	case 'o':
		return read_output(text, events, q);
	case 'e':
		return read_classes(text, q);
	case 'h':
		q->help = true;
		return true;
	case 'E': /* what it does anyway */
	case 'b': /* nng has buffers of its own, and conntrack's has no effect */
		return true;
	case OPT_EVENTS:
		return read_count(text, q);
	case '?':
		return false;
	default:
		return read_number_filter(c, text, &q->filter);
	}
}

static bool needs(const Shardnat__FlowFilter *f, uint32_t bits, bool right_proto, const char *say)
{
	if (!(f->match & bits) || ((f->match & M(PROTO)) && right_proto))
		return true;
	fprintf(stderr, "shardnat: %s\n", say);
	return false;
}

static bool consistent(const Shardnat__FlowFilter *f)
{
	return needs(f, M(SPORT) | M(DPORT) | M(REPLY_SPORT) | M(REPLY_DPORT),
		     f->proto == PROTO_TCP || f->proto == PROTO_UDP, "ports need -p tcp or -p udp") &&
	       needs(f, M(STATE), f->proto == PROTO_TCP, "--state needs -p tcp") &&
	       needs(f, M(ICMP_TYPE) | M(ICMP_CODE) | M(ICMP_ID), f->proto == PROTO_ICMP, "--icmp-* need -p icmp");
}

/* The whole of one tuple. */
static bool is_full_tuple(const Shardnat__FlowFilter *f)
{
	uint32_t l4 = f->proto == PROTO_ICMP ? M(ICMP_TYPE) | M(ICMP_CODE) | M(ICMP_ID) : M(SPORT) | M(DPORT);
	uint32_t all = M(PROTO) | M(SRC) | M(DST) | l4;

	return (f->match & all) == all;
}

static bool fits_command(struct sn_query *q)
{
	bool nothing_else = q->command == SN_FLOWS_FLUSH || q->command == SN_FLOWS_STATS;

	if (q->command == SN_FLOWS_NONE)
		q->command = SN_FLOWS_LIST;
	if (q->command == SN_FLOWS_GET && !is_full_tuple(&q->filter))
		return wrong("--get", "tuple", "needs --protonum, --src, --dst, and both ports or type, code and id");
	if (nothing_else && ((q->filter.match & ~(uint32_t)M(NOTHING)) || q->output))
		return wrong("--flush, --stats", "filter or output", "illegal option with this command");
	return true;
}

#define EVENT_LETTERS "p:s:d:r:q:n::g::j::m:c:l:w:f:o:e:b:Eh"
#define FLOW_LETTERS "p:s:d:r:q:n::g::j::m:c:l:w:f:o:u:LCDFGSh"
#define COMMON_OPTIONS                                                                                                 \
	{ "proto", required_argument, NULL, 'p' }, { "protonum", required_argument, NULL, 'p' },                       \
	{ "src", required_argument, NULL, 's' }, { "orig-src", required_argument, NULL, 's' },                         \
	{ "dst", required_argument, NULL, 'd' }, { "orig-dst", required_argument, NULL, 'd' },                         \
	{ "reply-src", required_argument, NULL, 'r' }, { "reply-dst", required_argument, NULL, 'q' },                  \
	{ "sport", required_argument, NULL, OPT_SPORT }, { "orig-port-src", required_argument, NULL, OPT_SPORT },      \
	{ "dport", required_argument, NULL, OPT_DPORT }, { "orig-port-dst", required_argument, NULL, OPT_DPORT },      \
	{ "reply-port-src", required_argument, NULL, OPT_REPLY_SPORT },                                                \
	{ "reply-port-dst", required_argument, NULL, OPT_REPLY_DPORT },                                                \
	{ "state", required_argument, NULL, OPT_STATE }, { "icmp-type", required_argument, NULL, OPT_ICMP_TYPE },      \
	{ "icmp-code", required_argument, NULL, OPT_ICMP_CODE }, { "icmp-id", required_argument, NULL, OPT_ICMP_ID },  \
	{ "subscriber", required_argument, NULL, OPT_SUBSCRIBER }, { "src-nat", optional_argument, NULL, 'n' },        \
	{ "dst-nat", optional_argument, NULL, 'g' }, { "any-nat", optional_argument, NULL, 'j' },                      \
	{ "mark", required_argument, NULL, 'm' }, { "secmark", required_argument, NULL, 'c' },                         \
	{ "label", required_argument, NULL, 'l' }, { "zone", required_argument, NULL, 'w' },                           \
	{ "orig-zone", required_argument, NULL, OPT_ORIG_ZONE },                                                       \
	{ "reply-zone", required_argument, NULL, OPT_REPLY_ZONE }, { "family", required_argument, NULL, 'f' },         \
	{ "mask-src", required_argument, NULL, OPT_MASK_SRC }, { "mask-dst", required_argument, NULL, OPT_MASK_DST },  \
	{ "output", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' }

bool sn_query_parse(int argc, char **argv, bool events, struct sn_query *ret)
{
	static const struct option event_names[] = {
		COMMON_OPTIONS,
		{ "event-mask", required_argument, NULL, 'e' },
		{ "count", required_argument, NULL, OPT_EVENTS },
		{ "event", no_argument, NULL, 'E' },
		{ "buffer-size", required_argument, NULL, 'b' },
		{ 0 },
	};
	static const struct option flow_names[] = {
		COMMON_OPTIONS,
		{ "count", no_argument, NULL, 'C' },
		{ "delete", no_argument, NULL, 'D' },
		{ "flush", no_argument, NULL, 'F' },
		{ "dump", no_argument, NULL, 'L' },
		{ "get", no_argument, NULL, 'G' },
		{ "stats", no_argument, NULL, 'S' },
		{ "status", required_argument, NULL, 'u' },
		{ 0 },
	};
	int c;

	*ret = (struct sn_query){ .classes = SHARDNAT_ALL };
	ret->filter = (Shardnat__FlowFilter)SHARDNAT__FLOW_FILTER__INIT;
	while ((c = getopt_long(argc, argv, events ? EVENT_LETTERS : FLOW_LETTERS, events ? event_names : flow_names, NULL)) !=
	       -1) {
		bool good = c == 'n' || c == 'g' || c == 'j' ? read_nat_option(c, optarg, argc, argv, &ret->filter) :
			    !events && c < 256 && strchr("LCDFGS", c) ? read_command(c, argc, argv, ret) :
							       read_option(c, optarg, events, ret);

		if (!good)
			return false;
	}
	if (events && optind < argc && !strcmp(argv[optind], "conntrack"))
		optind++;
	if (optind < argc)
		return wrong(argv[0], argv[optind], "unexpected argument");
	return consistent(&ret->filter) && fits_command(ret);
}
