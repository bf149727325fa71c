/* packet.c: frames from steps. */
#include <string.h>

#include "packet.h"

#define IP_B 20
#define ROUTER_INSIDE 0x0a090002u   /* 10.9.0.2 */
#define ROUTER_OUTSIDE 0xc6336402u  /* 198.51.100.2 */

uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static uint32_t sum_of(const uint8_t *at, uint32_t len_b, uint32_t sum)
{
	for (uint32_t i = 0; i < len_b; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t pseudo(const uint8_t *ip, uint32_t l4_b)
{
	return sum_of(ip + 12, 8, ip[9] + l4_b);
}

/* --- text --- */

static size_t name_address(uint32_t addr, char *text, size_t room)
{
	if (addr == POOL)
		return (size_t)snprintf(text, room, "pool");
	if (addr >> 22 == CLIENTS >> 22)
		return (size_t)snprintf(text, room, "c%u", addr & 3);
	if (addr >> 17 == SERVERS >> 17)
		return (size_t)snprintf(text, room, "s%u", addr & 3);
	return (size_t)snprintf(text, room, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
}

/* A public port by what it is to the connection; others as they are. */
static size_t name_port(uint32_t addr, uint16_t port, const struct public *pub, const struct conn *c, char *text,
			size_t room)
{
	if (addr == POOL && pub->learnt && port == pub->port)
		return (size_t)snprintf(text, room, "P");
	if (addr >> 22 == CLIENTS >> 22)
		return (size_t)snprintf(text, room, "%d", (int16_t)(port - c->port[CLIENT]));
	return (size_t)snprintf(text, room, "%u", port);
}

/* Payload by its sum: the player's own is all one byte, but for quotes, which are described. */
static const char *checksum_word(uint32_t sum, bool zero)
{
	return zero ? "zero" : fold(sum) == 0xffff ? "right" : "WRONG";
}

struct out {
	char *at, *end;
};

static size_t room_of(const struct out *o)
{
	return (size_t)(o->end - o->at);
}

static void skip(struct out *o, size_t n)
{
	o->at += n < room_of(o) ? n : room_of(o) - 1;
}

#define SAY(o, ...) skip(o, (size_t)snprintf((o)->at, room_of(o), __VA_ARGS__))

static void say_hex(struct out *o, const uint8_t *at, uint32_t len_b)
{
	for (uint32_t i = 0; i < len_b; i++)
		SAY(o, "%02x", at[i]);
}

static void say_ends(struct out *o, const uint8_t *ip, const uint8_t *l4, const struct conn *c, int gateway)
{
	uint32_t src = get32(ip + 12), dst = get32(ip + 16);
	const struct public *pub = &c->pub[gateway][l4_of(ip[9])];

	skip(o, name_address(src, o->at, room_of(o)));
	if (l4) {
		SAY(o, ":");
		skip(o, name_port(src, get16(l4), pub, c, o->at, room_of(o)));
	}
	SAY(o, " > ");
	skip(o, name_address(dst, o->at, room_of(o)));
	if (l4) {
		SAY(o, ":");
		skip(o, name_port(dst, get16(l4 + 2), pub, c, o->at, room_of(o)));
	}
}

static void say_tcp(struct out *o, const uint8_t *ip, const uint8_t *l4, uint32_t l4_b, bool whole)
{
	uint32_t header_b = (l4[12] >> 4) * 4u;

	SAY(o, " flags=%02x.%x seq=%u ack=%u win=%u urg=%u", l4[13], l4[12] & 15, get32(l4 + 4), get32(l4 + 8),
	    get16(l4 + 14), get16(l4 + 18));
	if (!whole)
		return;
	SAY(o, " doff=%u len=%d sum=%s", header_b, (int)(l4_b - header_b),
	    checksum_word(sum_of(l4, l4_b, pseudo(ip, l4_b)), false));
	if (header_b > 20 && header_b <= l4_b) {
		SAY(o, " opt=");
		say_hex(o, l4 + 20, header_b - 20);
	}
}

static void say_udp(struct out *o, const uint8_t *ip, const uint8_t *l4, uint32_t l4_b, bool whole)
{
	SAY(o, " ulen=%u", get16(l4 + 4));
	if (whole)
		SAY(o, " sum=%s", checksum_word(sum_of(l4, l4_b, pseudo(ip, l4_b)), get16(l4 + 6) == 0));
}

static void say_ip(struct out *o, const uint8_t *ip, uint32_t len_b, const struct conn *c, int gateway, bool whole);

/* Identifiers are ports: the client's own, or the one the gateway chose. */
static void say_query(struct out *o, const uint8_t *ip, const uint8_t *l4, uint32_t l4_b, const struct conn *c,
		      int gateway, bool whole)
{
	bool from_pool = get32(ip + 12) == POOL || get32(ip + 12) >> 22 == CLIENTS >> 22;
	uint32_t owner = get32(ip + (from_pool ? 12 : 16));

	SAY(o, " id=");
	skip(o, name_port(owner, get16(l4 + 4), &c->pub[gateway][L4_ICMP], c, o->at, room_of(o)));
	SAY(o, " n=%u", get16(l4 + 6));
	if (whole)
		SAY(o, " len=%u sum=%s", l4_b - 8, checksum_word(sum_of(l4, l4_b, 0), false));
}

static void say_icmp(struct out *o, const uint8_t *ip, const uint8_t *l4, uint32_t l4_b, const struct conn *c,
		     int gateway, bool whole)
{
	bool error = l4[0] == 3 || l4[0] == 4 || l4[0] == 5 || l4[0] == 11 || l4[0] == 12;

	SAY(o, " type=%u code=%u", l4[0], l4[1]);
	if (!error) {
		say_query(o, ip, l4, l4_b, c, gateway, whole);
		return;
	}
	SAY(o, " info=%08x sum=%s", get32(l4 + 4), checksum_word(sum_of(l4, l4_b, 0), false));
	if (whole && l4_b >= 8 + IP_B) {
		SAY(o, " {");
		say_ip(o, l4 + 8, l4_b - 8, c, gateway, false);
		SAY(o, "}");
	}
}

static void say_l4(struct out *o, const uint8_t *ip, const uint8_t *l4, uint32_t l4_b, const struct conn *c, int gateway,
		   bool whole)
{
	uint32_t least = ip[9] == 6 && l4_b >= 20 ? 20 : 8;

	if (l4_b < least)
		return;
	if (ip[9] == 6 && least == 20)
		say_tcp(o, ip, l4, l4_b, whole);
	else if (ip[9] == 6)
		SAY(o, " seq=%u", get32(l4 + 4));
	else if (ip[9] == 17)
		say_udp(o, ip, l4, l4_b, whole);
	else if (ip[9] == 1)
		say_icmp(o, ip, l4, l4_b, c, gateway, whole);
}

static void say_ip(struct out *o, const uint8_t *ip, uint32_t len_b, const struct conn *c, int gateway, bool whole)
{
	uint32_t header_b = (ip[0] & 15) * 4u, total_b = get16(ip + 2);
	uint32_t l4_b = (total_b < len_b ? total_b : len_b) - header_b;
	bool rest = packet_is_rest(ip), ports = (ip[9] == 6 || ip[9] == 17) && l4_b >= 4 && !rest;

	say_ends(o, ip, ports ? ip + header_b : NULL, c, gateway);
	SAY(o, " proto=%u tos=%u total=%u ihl=%u frag=%04x ttl=%u ipsum=%s", ip[9], ip[1], total_b, header_b,
	    get16(ip + 6), ip[8], checksum_word(sum_of(ip, header_b, 0), false));
	if (!whole)
		SAY(o, " quoted=%u", len_b);
	if (rest)
		SAY(o, " data=%04x", fold(sum_of(ip + header_b, l4_b, 0)));
	else
		say_l4(o, ip, ip + header_b, l4_b, c, gateway, whole);
}

bool packet_is_rest(const uint8_t *ip)
{
	return (get16(ip + 6) & 0x1fff) != 0;
}

void packet_describe(const uint8_t *ip, uint32_t len_b, const struct conn *c, int gateway, char *text, size_t room)
{
	struct out o = { text, text + room };

	say_ip(&o, ip, len_b, c, gateway, true);
}

static bool is_server(uint32_t addr)
{
	return addr >> 17 == SERVERS >> 17;
}

int64_t packet_index(const uint8_t *ip, uint32_t len_b)
{
	uint32_t header_b = (ip[0] & 15) * 4u;
	uint32_t server = is_server(get32(ip + 12)) ? get32(ip + 12) : get32(ip + 16);

	if (!is_server(server) && ip[9] == 1 && len_b >= header_b + 8 + IP_B)
		return packet_index(ip + header_b + 8, len_b - header_b - 8);
	return is_server(server) ? (int64_t)((server - SERVERS) / 4) - 1 : -1;
}

/* --- building --- */

static uint32_t settled(const struct number *n, uint32_t isn, uint32_t next)
{
	return n->how == NEXT ? next : n->how == AT ? isn + n->value : next + n->value;
}

void packet_settle(struct conn *c, struct step *st)
{
	enum side from = st->from;
	bool moves = st->seq.how == NEXT;

	if (st->kind != STEP_TCP)
		return;
	if (st->has_isn)
		c->isn[from] = c->next[from] = st->isn;
	st->seq = (struct number){ AT, settled(&st->seq, c->isn[from], c->next[from]) };
	st->ack = (struct number){ AT, settled(&st->ack, c->isn[!from], c->next[!from]) };
	for (int i = 0; i < 2; i++)
		st->blk[i] = (struct number){ AT, settled(&st->blk[i], c->isn[!from], c->next[!from]) };
	if (!(st->flags & 0x10))
		st->ack.value = 0;
	if (moves && !(st->flags & 0x04))
		c->next[from] = st->seq.value + st->len_b + (st->flags & 1) + (st->flags >> 1 & 1);
}

static uint32_t tcp_options(const struct step *st, uint8_t *at)
{
	uint8_t *begin = at;

	if (st->mss) {
		at[0] = 2, at[1] = 4;
		put16(at + 2, st->mss);
		at += 4;
	}
	if (st->sack_ok) {
		memcpy(at, "\1\1\4\2", 4);
		at += 4;
	}
	if (st->has_wscale) {
		memcpy(at, "\1\3\3", 3);
		at[3] = st->wscale;
		at += 4;
	}
	if (st->has_blk) {
		memcpy(at, "\1\1\5\12", 4);
		put32(at + 4, st->blk[0].value);
		put32(at + 8, st->blk[1].value);
		at += 12;
	}
	return (uint32_t)(at - begin);
}

static uint32_t build_tcp(const struct step *st, uint8_t *l4)
{
	uint32_t options_b = tcp_options(st, l4 + 20);

	put32(l4 + 4, st->seq.value);
	put32(l4 + 8, st->ack.value);
	l4[12] = (uint8_t)((st->doff ? st->doff : 5 + options_b / 4) << 4);
	l4[13] = st->flags;
	put16(l4 + 14, st->win);
	put16(l4 + 16, 0);
	put16(l4 + 18, st->urg);
	memset(l4 + 20 + options_b, 'x', st->len_b);
	return 20 + options_b + st->len_b;
}

static uint32_t build_udp(const struct step *st, uint8_t *l4)
{
	put16(l4 + 4, st->udp_len_b ? st->udp_len_b : 8u + st->len_b);
	put16(l4 + 6, 0);
	memset(l4 + 8, 'x', st->len_b);
	return 8u + st->len_b;
}

static uint32_t build_query(const struct step *st, uint16_t id, uint8_t *l4)
{
	l4[0] = st->type;
	l4[1] = st->code;
	put16(l4 + 2, 0);
	put16(l4 + 4, id);
	put16(l4 + 6, st->sequence);
	memset(l4 + 8, 'x', st->len_b);
	return 8u + st->len_b;
}

/* Quotes what came out on the sender's side last. */
static uint32_t build_error(const struct step *st, const struct seen *seen, uint8_t *l4)
{
	uint32_t quote_b = seen->len_b < st->quote_b ? seen->len_b : st->quote_b;
	uint8_t *quoted_l4 = l4 + 8 + (seen->bytes[0] & 15) * 4;

	l4[0] = st->type;
	l4[1] = st->code;
	put16(l4 + 2, 0);
	put32(l4 + 4, st->info);
	memcpy(l4 + 8, seen->bytes, quote_b);
	if (st->quote_port_off)
		put16(quoted_l4, get16(quoted_l4) + st->quote_port_off);
	return 8 + quote_b;
}

static void close_l4(uint8_t *ip, uint8_t *l4, uint32_t l4_b, enum sum how)
{
	uint32_t at = ip[9] == 6 ? 16 : ip[9] == 17 ? 6 : 2;
	uint16_t sum = (uint16_t)~fold(sum_of(l4, l4_b, ip[9] == 1 ? 0 : pseudo(ip, l4_b)));

	if (ip[9] == 17 && sum == 0)
		sum = 0xffff;
	put16(l4 + at, how == SUM_ZERO ? 0 : how == SUM_WRONG ? sum ^ 0x5a5a : sum);
}

static void begin_ip(uint8_t *ip, const struct step *st, uint32_t src, uint32_t dst, uint8_t proto)
{
	memset(ip, 0, IP_B);
	ip[0] = 0x45;
	ip[1] = st->tos;
	put16(ip + 4, 4711 + st->line);
	put16(ip + 6, st->df ? 0x4000 : 0);
	ip[8] = st->ttl;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dst);
}

static uint32_t close_ip(uint8_t *frame, uint32_t l4_b)
{
	uint8_t *ip = frame + ETH_B;

	put16(ip + 2, IP_B + l4_b);
	put16(ip + 10, (uint16_t)~fold(sum_of(ip, IP_B, 0)));
	return ETH_B + IP_B + l4_b;
}

uint32_t packet_fragment(const uint8_t *frame, uint32_t len_b, uint32_t frag_b, uint32_t n, uint8_t *ret)
{
	uint32_t payload_b = len_b - ETH_B - IP_B, from = n * frag_b;
	bool more = from + frag_b < payload_b;
	uint32_t part_b = more ? frag_b : payload_b - from;

	if (from >= payload_b)
		return 0;
	memcpy(ret, frame, ETH_B + IP_B);
	memcpy(ret + ETH_B + IP_B, frame + ETH_B + IP_B + from, part_b);
	put16(ret + ETH_B + 6, (more ? 0x2000 : 0) | from / 8);
	put16(ret + ETH_B + 10, 0);
	return close_ip(ret, part_b);
}

struct ends {
	uint32_t src, dst;
	uint16_t src_port, dst_port;
};

/* Before anything came out, the server guesses. */
static struct ends ends_of(const struct conn *c, const struct step *st, const struct public *pub)
{
	uint32_t pool = pub->learnt ? pub->addr : POOL;
	uint16_t port = pub->learnt ? pub->port : 65000;

	if (st->from == CLIENT)
		return (struct ends){ c->addr[CLIENT], c->addr[SERVER], c->port[CLIENT],
				      (uint16_t)(c->port[SERVER] + st->port_off) };
	return (struct ends){ c->addr[SERVER], pool, (uint16_t)(c->port[SERVER] + st->port_off), port };
}

static uint32_t build_error_frame(const struct conn *c, const struct step *st, int gateway, uint8_t *frame)
{
	const struct seen *seen = c->seen[gateway][st->from];
	uint8_t *ip = frame + ETH_B;
	uint32_t from, l4_b;

	if (!seen || !seen->len_b)
		return 0;
	from = !st->router ? get32(seen->bytes + 16) : st->from == CLIENT ? ROUTER_INSIDE : ROUTER_OUTSIDE;
	begin_ip(ip, st, from, get32(seen->bytes + 12), 1);
	l4_b = build_error(st, seen, ip + IP_B);
	close_l4(ip, ip + IP_B, l4_b, st->sum);
	return close_ip(frame, l4_b);
}

uint32_t packet_build(const struct conn *c, const struct step *st, int gateway, uint8_t *frame)
{
	static const uint8_t protos[] = { [STEP_TCP] = 6, [STEP_UDP] = 17, [STEP_ICMP] = 1 };
	uint8_t *ip = frame + ETH_B, *l4 = ip + IP_B;
	struct ends e;
	uint32_t l4_b;

	if (st->kind == STEP_ERROR)
		return build_error_frame(c, st, gateway, frame);
	e = ends_of(c, st, &c->pub[gateway][l4_of(protos[st->kind])]);
	begin_ip(ip, st, e.src, e.dst, protos[st->kind]);
	put16(l4, e.src_port);
	put16(l4 + 2, e.dst_port);
	if (st->kind == STEP_TCP)
		l4_b = build_tcp(st, l4);
	else if (st->kind == STEP_UDP)
		l4_b = build_udp(st, l4);
	else
		l4_b = build_query(st, st->from == CLIENT ? e.src_port : e.dst_port, l4);
	close_l4(ip, l4, l4_b, st->sum);
	return close_ip(frame, l4_b);
}

uint32_t packet_marker(uint8_t *frame, const uint32_t addr[2], const uint16_t port[2], uint32_t value)
{
	struct step st = { .ttl = 64, .len_b = 4 };
	uint8_t *ip = frame + ETH_B, *l4 = ip + IP_B;
	uint32_t l4_b;

	begin_ip(ip, &st, addr[0], addr[1], 17);
	put16(l4, port[0]);
	put16(l4 + 2, port[1]);
	l4_b = build_udp(&st, l4);
	put32(l4 + 8, value);
	close_l4(ip, l4, l4_b, SUM_RIGHT);
	return close_ip(frame, l4_b);
}
