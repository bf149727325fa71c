/*
 * test_track_tcp.c: TCP tracking as golden traces: segments in, (outcome, change, state, timeout) out (NETFILTER.md
 * 4.3, 4.4). The traces agree with Linux 6.18, where they were played too.
 *
 * Sequence numbers in the traces are as in a capture: the client starts at C = 1000000, the server at S = 5000000.
 */
#include <criterion/criterion.h>

#include "nat/track.h"
#include "seed.h"
#include "tcp_segment.h"

#define C 1000000u
#define S 5000000u
#define NOW_DS 7000
#define ST SN_CHANGE_STATE
#define RE SN_CHANGE_REPLY
#define AS SN_CHANGE_ASSURED

enum { O = SN_DIR_ORIGINAL, R = SN_DIR_REPLY };
enum { SYN = SN_SYN, SYNACK = SN_SYN | SN_ACK, ACK = SN_ACK, FIN = SN_FIN | SN_ACK, RST = SN_RST,
       RSTACK = SN_RST | SN_ACK };
enum { ACCEPT = SN_TRACK_ACCEPT, IGNORE = SN_TRACK_IGNORE, INVALID = SN_TRACK_INVALID, DESTROY = SN_TRACK_DESTROY,
       REOPEN = SN_TRACK_REOPEN };

/* A segment and what becomes of the flow; timeout in seconds, 0: not renewed. */
struct row {
	struct segment s;
	uint8_t outcome, change, state;
	uint32_t timeout_s;
};

#define ROW(dir, flags, seq, ack, len, ...) { { dir, flags, seq, ack, len, 64000 }, __VA_ARGS__ }
#define ROW_WINDOW(dir, flags, seq, ack, len, win, ...) { { dir, flags, seq, ack, len, win }, __VA_ARGS__ }

#define HANDSHAKE                                                                                              \
	ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),                                                 \
	ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),                                     \
	ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000)

#define PICKED_UP                                                                                              \
	ROW(O, ACK, C, S, 10, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),                                              \
	ROW(R, ACK, S, C + 10, 0, ACCEPT, RE, SN_TCP_ESTABLISHED, 300),                                         \
	ROW(O, ACK, C + 10, S, 0, ACCEPT, AS, SN_TCP_ESTABLISHED, 432000)

static struct sn_policy netfilter(void)
{
	struct sn_policy p = { .tcp_loose = 1, .tcp_max_retrans = 3, .inbound_refresh = 1 };
	static const uint32_t seconds[SN_T_COUNT] = {
		[SN_T_TCP_SYN_SENT] = 120, [SN_T_TCP_SYN_RECV] = 60, [SN_T_TCP_ESTABLISHED] = 432000,
		[SN_T_TCP_FIN_WAIT] = 120, [SN_T_TCP_CLOSE_WAIT] = 60, [SN_T_TCP_LAST_ACK] = 30,
		[SN_T_TCP_TIME_WAIT] = 120, [SN_T_TCP_CLOSE] = 10, [SN_T_TCP_SYN_SENT2] = 120,
		[SN_T_TCP_MAX_RETRANS] = 300, [SN_T_TCP_UNACK] = 300,
	};

	for (int i = 0; i < SN_T_COUNT; i++)
		p.timeout_ds[i] = seconds[i] * 10;
	return p;
}

static struct sn_track track(struct sn_flow *f, const struct segment *s, bool first, const struct sn_policy *policy)
{
	uint8_t frame[BUILD_MAX_B];
	struct sn_packet p;
	struct sn_track r;

	cr_assert(segment_packet(&p, frame, s));
	if (first) {
		*f = (struct sn_flow){ .proto = 6, .start_ds = NOW_DS, .flags = f->flags };
		r = sn_track_first(f, &p, policy);
	} else {
		r = sn_track_packet(f, s->dir, &p, policy, NOW_DS);
	}
	if (r.timeout_ds)
		atomic_store(&f->expires_ds, NOW_DS + r.timeout_ds);
	return r;
}

static void play_with(struct sn_flow *f, const struct sn_policy *policy, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct sn_track r = track(f, &rows[i].s, i == 0, policy);

		cr_assert_eq(r.outcome, rows[i].outcome, "row %zu: outcome %u", i, r.outcome);
		cr_assert_eq(r.change, rows[i].change, "row %zu: change %u", i, r.change);
		cr_assert_eq(f->state, rows[i].state, "row %zu: %s", i, sn_tcp_state_name(f->state));
		cr_assert_eq(r.timeout_ds, rows[i].timeout_s * 10, "row %zu: timeout %u ds", i, r.timeout_ds);
	}
}

static struct sn_flow play(const struct row *rows, size_t count)
{
	struct sn_policy policy = netfilter();
	struct sn_flow f = { 0 };

	play_with(&f, &policy, rows, count);
	return f;
}

#define PLAY(...)                                                                                              \
	({                                                                                                     \
		const struct row rows_[] = { __VA_ARGS__ };                                                    \
		play(rows_, SN_ARRAY_LEN(rows_));                                                              \
	})

/* The normal lives of a connection. */

Test(track_tcp, client_closes)
{
	struct sn_flow f = PLAY(HANDSHAKE,
		ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
		ROW(R, ACK, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_CLOSE_WAIT, 60),
		ROW(R, FIN, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
		ROW(O, ACK, C + 2, S + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120));

	cr_expect_eq(f.status, SN_ST_CONFIRMED | SN_ST_SEEN_REPLY | SN_ST_ASSURED);
}

Test(track_tcp, fin_answered_by_fin)
{
	PLAY(HANDSHAKE,
		ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
		ROW(R, FIN, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
		ROW(O, ACK, C + 2, S + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120));
}

Test(track_tcp, fins_cross)
{
	PLAY(HANDSHAKE,
		ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
		ROW(R, FIN, S + 1, C + 1, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
		ROW(O, ACK, C + 2, S + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120),
		ROW(R, ACK, S + 2, C + 2, 0, ACCEPT, 0, SN_TCP_TIME_WAIT, 120));
}

Test(track_tcp, reset)
{
	PLAY(HANDSHAKE,
		ROW(O, RST, C + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10),
		ROW(R, ACK, S + 1, C + 1, 5, ACCEPT, 0, SN_TCP_CLOSE, 10));
}

Test(track_tcp, refused)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, RSTACK, 0, C + 1, 0, DESTROY, 0, SN_TCP_CLOSE, 0));
}

Test(track_tcp, client_aborts_before_the_reply)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(O, RST, C + 1, 0, 0, DESTROY, 0, SN_TCP_CLOSE, 0));
}

Test(track_tcp, third_packet_carries_data)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
	     ROW(O, ACK, C + 1, S + 1, 100, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 300),
	     ROW(R, ACK, S + 1, C + 101, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, simultaneous_open)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, SYN, S, 0, 0, IGNORE, ST | RE, SN_TCP_SYN_SENT2, 0),
	     ROW(O, SYNACK, C, S + 1, 0, ACCEPT, ST, SN_TCP_SYN_RECV, 60),
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, simultaneous_open_with_both_syn_acks)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, SYN, S, 0, 0, IGNORE, ST | RE, SN_TCP_SYN_SENT2, 0),
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST, SN_TCP_SYN_RECV, 60),
	     ROW(O, SYNACK, C, S + 1, 0, ACCEPT, 0, SN_TCP_SYN_RECV, 60),
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000));
}

/* What may start a flow. */

Test(track_tcp, nothing_else_starts_a_flow)
{
	static const uint8_t flags[] = { SYNACK, FIN, RST, RSTACK };
	struct sn_policy policy = netfilter();
	struct sn_flow f = { 0 };

	for (size_t i = 0; i < SN_ARRAY_LEN(flags); i++) {
		struct segment s = { O, flags[i], C, S, 0, 64000 };

		cr_expect_eq(track(&f, &s, true, &policy).outcome, SN_TRACK_INVALID, "flags %x", flags[i]);
	}
	policy.tcp_loose = 0;
	cr_expect_eq(track(&f, &(struct segment){ O, ACK, C, S, 10, 64000 }, true, &policy).outcome, SN_TRACK_INVALID);
}

Test(track_tcp, picked_up_midstream)
{
	PLAY(PICKED_UP);
}

Test(track_tcp, picked_up_is_liberal_for_ever)
{
	PLAY(PICKED_UP,
	     ROW(O, ACK, C + 90000000, S + 70000000, 100, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 80000000, C + 1, 100, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, picked_up_and_reset)
{
	PLAY(ROW(O, ACK, C, S, 10, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(R, RST, S, 0, 0, DESTROY, 0, SN_TCP_CLOSE, 0));
}

/* SYNs that come again. */

Test(track_tcp, syn_again_does_not_renew)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(O, SYN, C, 0, 0, IGNORE, 0, SN_TCP_SYN_SENT, 0),
	     ROW(O, SYN, C + 500, 0, 0, IGNORE, 0, SN_TCP_SYN_SENT, 0),
	     ROW(R, SYNACK, S, C + 501, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60));
}

Test(track_tcp, syn_and_syn_ack_again_announce_syn_recv_again)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
	     ROW(O, SYN, C, 0, 0, IGNORE, 0, SN_TCP_SYN_RECV, 0),
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST, SN_TCP_SYN_RECV, 60),
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, syn_ack_again_is_let_through)
{
	PLAY(HANDSHAKE, ROW(R, SYNACK, S, C + 1, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, syn_in_established_taken_up_by_the_server)
{
	struct sn_flow f = PLAY(HANDSHAKE,
		{ { O, SYN, C + 9000000, 0, 0, 1000, .scale = 1 + 3 }, IGNORE, 0, SN_TCP_ESTABLISHED, 0 },
		{ { R, SYNACK, S + 9000000, C + 9000001, 0, 2000, .scale = 1 + 4 }, ACCEPT, ST, SN_TCP_SYN_RECV, 60 },
		ROW_WINDOW(O, ACK, C + 9000001, S + 9000001, 0, 100, ACCEPT, ST, SN_TCP_ESTABLISHED, 432000),
		ROW(R, ACK, S + 9000001 + (100 << 3), C + 9000001, 100, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
		ROW(R, ACK, S + 1, C + 1, 100, IGNORE, 0, SN_TCP_ESTABLISHED, 0));

	cr_expect_eq(f.status & SN_ST_ASSURED, SN_ST_ASSURED, "ASSURED is never cleared");
}

Test(track_tcp, syn_in_established_that_the_server_does_not_take_up)
{
	PLAY(HANDSHAKE,
	     ROW(O, SYN, C + 9000000, 0, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, SYNACK, S + 9000000, C + 8000001, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, ACK, S + 1, C + 1, 10, ACCEPT, 0, SN_TCP_ESTABLISHED, 300));
}

Test(track_tcp, reset_of_a_syn_that_was_let_through)
{
	PLAY(HANDSHAKE,
	     ROW(O, SYN, C + 9000000, 0, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, RSTACK, 0, C + 9000001, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

Test(track_tcp, reset_behind_an_own_syn_that_was_let_through_is_checked)
{
	PLAY(HANDSHAKE,
	     ROW(O, SYN, C + 9000000, 0, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(O, RSTACK, C + 1, C + 9000001, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, challenge_ack_in_last_ack)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
	     ROW(R, FIN, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
	     ROW(O, SYN, C + 9000000, 0, 0, IGNORE, 0, SN_TCP_LAST_ACK, 0),
	     ROW(R, ACK, S + 2, C + 2, 0, IGNORE, 0, SN_TCP_LAST_ACK, 0),
	     ROW(R, ACK, S + 2, C + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120));
}

Test(track_tcp, challenge_ack_of_a_half_open_connection)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, ACK, S, C - 70000, 0, IGNORE, RE, SN_TCP_SYN_SENT, 0),
	     ROW(O, RST, C - 70000, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, ACK, S, C + 70000, 0, IGNORE, RE, SN_TCP_SYN_SENT, 0),
	     ROW(O, RST, C + 70001, 0, 0, INVALID, 0, SN_TCP_SYN_SENT, 0),
	     ROW(O, RST, C + 70000, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

/* Closed connections opened again. */

Test(track_tcp, reopened_after_an_orderly_close)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
	     ROW(R, FIN, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
	     ROW(O, ACK, C + 2, S + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120),
	     ROW(O, SYN, C + 9000000, 0, 0, REOPEN, 0, SN_TCP_TIME_WAIT, 0));
}

Test(track_tcp, server_reopens_in_time_wait)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
	     ROW(R, FIN, S + 1, C + 2, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30),
	     ROW(O, ACK, C + 2, S + 2, 0, ACCEPT, ST, SN_TCP_TIME_WAIT, 120),
	     ROW(R, SYN, S + 9000000, 0, 0, REOPEN, 0, SN_TCP_TIME_WAIT, 0));
}

Test(track_tcp, reopened_by_the_side_that_reset)
{
	PLAY(HANDSHAKE,
	     ROW(O, RST, C + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10),
	     ROW(O, SYN, C + 9000000, 0, 0, REOPEN, 0, SN_TCP_CLOSE, 0));
}

Test(track_tcp, not_reopened_after_the_servers_reset)
{
	PLAY(HANDSHAKE,
	     ROW(R, RST, S + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10),
	     ROW(O, SYN, C + 9000000, 0, 0, IGNORE, 0, SN_TCP_CLOSE, 0),
	     ROW(R, SYNACK, S + 9000000, C + 9000001, 0, ACCEPT, ST, SN_TCP_SYN_RECV, 60),
	     ROW(O, ACK, C + 9000001, S + 9000001, 0, ACCEPT, ST, SN_TCP_ESTABLISHED, 432000));
}

/* Resets (RFC 5961). */

Test(track_tcp, reset_below_the_peers_ack)
{
	PLAY(HANDSHAKE, ROW(R, RST, S, 0, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, inexact_reset_waits_for_the_challenge_ack)
{
	PLAY(HANDSHAKE,
	     ROW(R, RST, S + 100, 0, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 10),
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300), /* RST's number is unacknowledged */
	     ROW(R, RST, S + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

Test(track_tcp, reset_as_part_of_a_train)
{
	PLAY(HANDSHAKE,
	     ROW(R, ACK, S + 1, C + 1, 19, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(R, RSTACK, S + 20, C + 1, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

Test(track_tcp, reset_beyond_the_window)
{
	PLAY(HANDSHAKE,
	     ROW(R, RST, S + 64002, 0, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, RST, S + 64002 + 64000, 0, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, reset_with_a_zero_ack)
{
	PLAY(HANDSHAKE, ROW(R, RSTACK, S + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

Test(track_tcp, reset_that_acknowledges_one_more_than_the_syn)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, RSTACK, 7, C + 3, 0, INVALID, 0, SN_TCP_SYN_SENT, 0));
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, RSTACK, 7, C + 2, 0, DESTROY, 0, SN_TCP_CLOSE, 0));
}

Test(track_tcp, reset_while_closing_is_not_checked)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
	     ROW(R, RST, 77, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10));
}

Test(track_tcp, fin_again_from_the_same_side)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_FIN_WAIT, 120),
	     ROW(O, FIN, C + 1, S + 1, 0, ACCEPT, ST, SN_TCP_LAST_ACK, 30));
}

/* Timeouts. */

Test(track_tcp, retransmissions_shorten)
{
	PLAY(HANDSHAKE,
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, hundreds_of_retransmissions_do_not_wrap)
{
	struct sn_policy policy = netfilter();
	struct sn_flow f = PLAY(HANDSHAKE);
	struct segment s = { R, ACK, S + 1, C + 1, 0, 64000 };

	for (int i = 0; i < 600; i++)
		cr_assert_eq(track(&f, &s, false, &policy).timeout_ds, i >= 3 ? 3000 : 4320000, "%d", i);
}

Test(track_tcp, zero_window_shortens)
{
	PLAY(HANDSHAKE,
	     ROW_WINDOW(R, ACK, S + 1, C + 1, 0, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, invalid_reset_answered_by_an_invalid_reset_cuts)
{
	PLAY(HANDSHAKE,
	     ROW(O, FIN, C + 900000, S + 1, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, RST, S + 900000, 0, 0, INVALID, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(R, RST, S + 900000, 0, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, from_outside_inside_refreshes_and_closing_shortens)
{
	struct sn_policy policy = netfilter();
	struct sn_flow f = { .flags = SN_FLOW_FROM_OUTSIDE };
	const struct row rows[] = {
		ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
		ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
		ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 0),
		ROW(R, ACK, S + 1, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
		ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 0),
		ROW(O, RST, C + 1, 0, 0, ACCEPT, ST, SN_TCP_CLOSE, 10),
	};

	policy.inbound_refresh = 0;
	play_with(&f, &policy, rows, SN_ARRAY_LEN(rows));
}

/* Windows. */

Test(track_tcp, window_bounds)
{
	PLAY(HANDSHAKE,
	     ROW(O, ACK, C + 64002 + 64001, S + 1, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0), /* I */
	     ROW(O, ACK, C + 1, S + 2, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0),             /* III */
	     ROW(O, ACK, C + 1 - 64001, S + 1, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),      /* II */
	     ROW(O, ACK, C + 1 - 64000, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW(O, ACK, C + 1, S + 1 - 66001, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),      /* IV */
	     ROW(O, ACK, C + 1, S + 1 - 66000, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, more_than_granted_but_less_than_a_window_more)
{
	PLAY(HANDSHAKE,
	     ROW(O, ACK, C + 64002, S + 1, 1000, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(R, ACK, S + 1, C + 65002, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, segment_across_the_right_edge_widens_the_window)
{
	PLAY(HANDSHAKE,
	     ROW(O, ACK, C + 64001, S + 1, 1000, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(O, ACK, C, S + 1, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0),
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300));
}

Test(track_tcp, large_window_lets_old_acknowledgements_in)
{
	PLAY({ { O, SYN, C, 0, 0, 64000, .scale = 1 + 7 }, ACCEPT, 0, SN_TCP_SYN_SENT, 120 },
	     { { R, SYNACK, S, C + 1, 0, 64000, .scale = 1 + 2 }, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60 },
	     ROW_WINDOW(O, ACK, C + 1, S + 1, 0, 1000, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000),
	     ROW_WINDOW(O, ACK, C + 1, S + 1 - 128000, 0, 1000, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
	     ROW_WINDOW(O, ACK, C + 1, S + 1 - 128001, 0, 1000, IGNORE, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, liberal_accepts_what_is_out_of_window)
{
	struct sn_policy policy = netfilter();
	struct sn_flow f = { 0 };
	const struct row rows[] = {
		HANDSHAKE,
		ROW(O, ACK, C + 90000000, S + 90000000, 10, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000),
		ROW(R, RST, S, 0, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0),
	};

	policy.tcp_liberal = 1;
	play_with(&f, &policy, rows, SN_ARRAY_LEN(rows));
}

Test(track_tcp, scaling_needs_both_sides)
{
	PLAY({ { O, SYN, C, 0, 0, 64000, .scale = 1 + 7 }, ACCEPT, 0, SN_TCP_SYN_SENT, 120 },
	     { { R, SYNACK, S, C + 1, 0, 64000, .scale = 1 + 2 }, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60 },
	     ROW_WINDOW(O, ACK, C + 1, S + 1, 0, 1000, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 1 + 128000, C + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300));
	PLAY({ { O, SYN, C, 0, 0, 64000, .scale = 1 + 7 }, ACCEPT, 0, SN_TCP_SYN_SENT, 120 },
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
	     ROW_WINDOW(O, ACK, C + 1, S + 1, 0, 1000, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000),
	     ROW(R, ACK, S + 1 + 128001, C + 1, 0, INVALID, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, sack_edges_count_when_permitted)
{
	PLAY({ { O, SYN, C, 0, 0, 64000, .sack_ok = true }, ACCEPT, 0, SN_TCP_SYN_SENT, 120 },
	     { { R, SYNACK, S, C + 1, 0, 64000, .sack_ok = true }, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60 },
	     ROW(O, ACK, C + 1, S + 1, 0, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 432000),
	     { { R, ACK, S + 1, C + 1, 0, 64000, .sack = { C + 500, C + 600 } }, INVALID, 0, SN_TCP_ESTABLISHED, 0 });
	PLAY(HANDSHAKE,
	     { { R, ACK, S + 1, C + 1, 0, 64000, .sack = { C + 500, C + 600 } },
	       ACCEPT, 0, SN_TCP_ESTABLISHED, 432000 });
}

Test(track_tcp, sack_widens_the_window)
{
	PLAY({ { O, SYN, C, 0, 0, 64000, .sack_ok = true }, ACCEPT, 0, SN_TCP_SYN_SENT, 120 },
	     { { R, SYNACK, S, C + 1, 0, 64000, .sack_ok = true }, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60 },
	     ROW(O, ACK, C + 1, S + 1, 1000, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 300),
	     { { R, ACK, S + 1, C + 1, 0, 64000, .sack = { C + 501, C + 1001 } }, ACCEPT, 0, SN_TCP_ESTABLISHED, 300 },
	     ROW(O, ACK, C + 1001 - 65000, S + 1, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 300),
	     ROW(O, ACK, C + 1001 - 65001, S + 1, 0, IGNORE, 0, SN_TCP_ESTABLISHED, 0));
}

Test(track_tcp, sequence_numbers_wrap)
{
	uint32_t c = UINT32_MAX - 5, s = UINT32_MAX;

	PLAY(ROW(O, SYN, c, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(R, SYNACK, s, c + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
	     ROW(O, ACK, c + 1, s + 1, 1000, ACCEPT, ST | AS, SN_TCP_ESTABLISHED, 300),
	     ROW(R, ACK, s + 1, c + 1001, 0, ACCEPT, 0, SN_TCP_ESTABLISHED, 432000));
}

Test(track_tcp, wrong_segments_in_each_state)
{
	PLAY(ROW(O, SYN, C, 0, 0, ACCEPT, 0, SN_TCP_SYN_SENT, 120),
	     ROW(O, ACK, C + 1, S + 1, 0, INVALID, 0, SN_TCP_SYN_SENT, 0),
	     ROW(O, SYNACK, C, S + 1, 0, INVALID, 0, SN_TCP_SYN_SENT, 0),
	     ROW(R, FIN, S, C + 1, 0, INVALID, 0, SN_TCP_SYN_SENT, 0),
	     ROW(R, SYNACK, S, C + 1, 0, ACCEPT, ST | RE, SN_TCP_SYN_RECV, 60),
	     ROW(R, SYN, S, 0, 0, INVALID, 0, SN_TCP_SYN_RECV, 0));
}

Test(track_tcp, names)
{
	cr_expect_str_eq(sn_tcp_state_name(SN_TCP_NONE), "NONE");
	cr_expect_str_eq(sn_tcp_state_name(SN_TCP_SYN_SENT2), "SYN_SENT2");
	cr_expect_str_eq(sn_tcp_state_name(SN_TCP_STATES), "?");
}

/* Random segments near the edges of what the flow knows. */

static uint32_t near(uint64_t *seed, const struct sn_flow *f, uint8_t dir)
{
	static const int32_t offsets[] = { -66001, -66000, -64000, -1, 0, 0, 0, 1, 100, 63999, 64001, 500000 };
	const struct sn_tcp_track *t = &f->tcp;
	uint32_t edges[] = { t->end[dir], t->maxend[dir], t->maxack[!dir], t->last_end, t->last_ack, 0 };
	uint32_t edge = edges[seed_below(seed, SN_ARRAY_LEN(edges))];

	return edge + (uint32_t)offsets[seed_below(seed, SN_ARRAY_LEN(offsets))];
}

static struct segment random_segment(uint64_t *seed, const struct sn_flow *f)
{
	static const uint8_t flags[] = { SYN, SYNACK, SYNACK, ACK, ACK, ACK, ACK, ACK, FIN, FIN, RST, RSTACK };
	static const uint16_t windows[] = { 0, 1, 1000, 64000, 65535 };
	struct segment s = { .dir = (uint8_t)seed_below(seed, 2) };

	s.flags = flags[seed_below(seed, SN_ARRAY_LEN(flags))];
	s.seq = near(seed, f, s.dir);
	s.ack = near(seed, f, !s.dir);
	s.len_b = s.flags == ACK && seed_below(seed, 2) ? (uint16_t)seed_below(seed, 1400) : 0;
	s.window = windows[seed_below(seed, SN_ARRAY_LEN(windows))];
	s.scale = seed_below(seed, 3) ? 0 : (uint8_t)(1 + seed_below(seed, 16));
	s.sack_ok = seed_below(seed, 3) == 0;
	if (seed_below(seed, 8) == 0) {
		s.sack[0] = s.ack + seed_below(seed, 10000);
		s.sack[1] = s.sack[0] + seed_below(seed, 10000);
	}
	return s;
}

static void check_invariants(const struct sn_flow *before, const struct sn_flow *f, struct sn_track r)
{
	cr_assert_lt(f->state, SN_TCP_STATES);
	cr_assert_neq(f->state, SN_TCP_NONE);
	cr_assert_eq(before->status & ~f->status, 0, "a status bit was cleared");
	cr_assert_eq(!!(r.change & SN_CHANGE_ASSURED), (f->status & ~before->status & SN_ST_ASSURED) != 0);
	cr_assert_eq(!!(r.change & SN_CHANGE_REPLY), (f->status & ~before->status & SN_ST_SEEN_REPLY) != 0);
	cr_assert_eq(memcmp(before, f, offsetof(struct sn_flow, state)), 0, "the flow's ends changed");
	cr_assert_eq(f->start_ds, before->start_ds);
	if (r.outcome == SN_TRACK_ACCEPT || r.outcome == SN_TRACK_IGNORE)
		cr_assert(f->state == before->state || (r.change & SN_CHANGE_STATE));
	else if (r.outcome != SN_TRACK_DESTROY)
		cr_assert_eq(f->state, before->state);
	if (r.outcome == SN_TRACK_INVALID)
		cr_assert(f->status == before->status && r.change == 0 && (r.timeout_ds == 0 || r.timeout_ds == 3000));
	if (r.outcome == SN_TRACK_DESTROY || r.outcome == SN_TRACK_REOPEN)
		cr_assert(r.change == 0 && r.timeout_ds == 0 && f->status == before->status);
}

static void random_life(uint64_t *seed, const struct sn_policy *policy, uint32_t *seen)
{
	struct sn_flow f = { .flags = seed_below(seed, 2) ? SN_FLOW_FROM_OUTSIDE : 0 }, before;
	struct segment s = { O, seed_below(seed, 4) ? SYN : ACK, (uint32_t)seed_next(seed), S, 0, 64000 };
	struct sn_track r = track(&f, &s, true, policy);

	for (int i = 0; i < 60 && r.outcome != SN_TRACK_DESTROY && r.outcome != SN_TRACK_REOPEN; i++) {
		memcpy(&before, &f, sizeof(f));
		s = random_segment(seed, &f);
		r = track(&f, &s, false, policy);
		check_invariants(&before, &f, r);
		seen[f.state] |= 1u << r.outcome;
	}
}

Test(track_tcp, random_segments_keep_the_invariants)
{
	uint64_t seed = seed_start(20261122);
	uint32_t seen[SN_TCP_STATES] = { 0 };

	for (int i = 0; i < 20000; i++) {
		struct sn_policy policy = netfilter();

		policy.tcp_liberal = seed_below(&seed, 4) == 0;
		policy.inbound_refresh = seed_below(&seed, 2);
		random_life(&seed, &policy, seen);
	}
	for (int state = SN_TCP_SYN_SENT; state < SN_TCP_STATES; state++)
		cr_expect(seen[state] & 1u << SN_TRACK_ACCEPT, "%s never reached", sn_tcp_state_name((uint8_t)state));
}
