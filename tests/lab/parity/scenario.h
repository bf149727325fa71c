/*
 * scenario.h: what the player plays: scenarios read from text (the grammar is in README.md of this folder).
 *
 * A scenario has its own server addresses, so a packet says by them which scenario it is of; clients share addresses and
 * differ in ports. Everything is in host order until packet.c builds a frame.
 */
#ifndef SN_PARITY_SCENARIO_H
#define SN_PARITY_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define GATEWAYS 2 /* 0: the kernel, 1: the node */
#define CONNS_MAX 8
#define SEEN_B 600
#define CLIENTS 0x64400000u /* 100.64.0.0/10 */
#define SERVERS 0xc6120000u /* 198.18.0.0/15 */
#define POOL 0xcb007101u    /* 203.0.113.1 */

enum side { CLIENT, SERVER };

enum step_kind { STEP_TCP, STEP_UDP, STEP_ICMP, STEP_ERROR, STEP_PAUSE, STEP_DELETE };

/* A sequence number: the next one in order unless said; AT counts from the side's initial one, OFF from the next. */
enum number_how { NEXT, AT, OFF };
struct number {
	enum number_how how;
	uint32_t value;
};

enum sum { SUM_RIGHT, SUM_WRONG, SUM_ZERO };

struct step {
	enum step_kind kind;
	enum side from;
	uint8_t conn;
	uint32_t line;
	uint32_t pause_ms;
	/* IP */
	uint8_t ttl, tos;
	bool df, backwards;
	uint16_t frag_b; /* of payload in each fragment, a multiple of 8; 0: whole */
	/* TCP */
	uint8_t flags, doff;
	bool sack_ok, has_wscale, has_isn, has_blk;
	uint8_t wscale;
	uint16_t mss, win, urg;
	uint32_t isn;
	struct number seq, ack, blk[2];
	/* all */
	uint16_t len_b;
	enum sum sum;
	uint16_t port_off; /* added to the gateway's public port (from the server) or to the server's port */
	/* UDP */
	uint16_t udp_len_b; /* in its header; 0: the true one */
	/* ICMP */
	uint8_t type, code;
	uint16_t sequence;
	uint32_t info;
	/* errors */
	uint16_t quote_b;
	bool router;
	uint16_t quote_port_off;
};

/* The last packet that came out on a side, to be quoted by an error. */
struct seen {
	uint16_t len_b;
	uint8_t bytes[SEEN_B];
};

/* Where a gateway lets the server find the client; the port is ICMP's identifier too. */
struct public {
	bool learnt;
	uint32_t addr;
	uint16_t port;
};

/* Each protocol has ports of its own. */
enum l4 { L4_TCP, L4_UDP, L4_ICMP, L4S };

static inline enum l4 l4_of(uint8_t proto)
{
	return proto == 6 ? L4_TCP : proto == 17 ? L4_UDP : L4_ICMP;
}

struct conn {
	char name;
	uint32_t addr[2]; /* by enum side */
	uint16_t port[2]; /* CLIENT's is the identifier of ICMP too */
	uint32_t isn[2], next[2], acked[2];
	struct public pub[GATEWAYS][L4S];
	struct seen *seen[GATEWAYS][2];
};

struct scenario {
	char name[64];
	uint32_t index, line;
	struct conn conns[CONNS_MAX];
	uint32_t conn_count;
	struct step *steps;
	uint32_t step_count, step_room;
	uint32_t at;     /* next step */
	uint64_t due_ns; /* not before */
};

/* Reads scenarios, numbered from first; *ret is allocated. Complains on stderr, with the line, and ends the program. */
uint32_t scenarios_read(FILE *in, uint32_t first, struct scenario **ret);

#endif
