/*
 * test_track.c: UDP, ICMP, the first reply and the refresh rule (track.h, NETFILTER.md 4.5).
 */
#include <criterion/criterion.h>

#include "nat/track.h"

#define UDP_DS 300
#define STREAM_DS 1200
#define ICMP_DS 310
#define START_DS 5000

static struct sn_policy policy(uint32_t inbound_refresh)
{
	struct sn_policy p = { .inbound_refresh = inbound_refresh };

	p.timeout_ds[SN_T_UDP] = UDP_DS;
	p.timeout_ds[SN_T_UDP_STREAM] = STREAM_DS;
	p.timeout_ds[SN_T_ICMP] = ICMP_DS;
	return p;
}

static const struct sn_packet udp = { .kind = SN_PKT_UDP, .ip = { .proto = 17 } };

static struct sn_packet icmp(uint8_t type)
{
	return (struct sn_packet){ .kind = SN_PKT_ICMP_QUERY, .ip = { .proto = 1, .icmp_type = type } };
}

static void opened(struct sn_flow *f, const struct sn_packet *p, uint8_t flags, const struct sn_policy *pol)
{
	*f = (struct sn_flow){
		.proto = p->ip.proto, .flags = flags, .start_ds = START_DS, .status = SN_ST_SRC_NAT | SN_ST_ASSURED,
	};
	struct sn_track r = sn_track_first(f, p, pol);

	cr_assert_eq(r.outcome, SN_TRACK_ACCEPT);
	cr_assert_eq(r.change, 0);
	cr_assert_neq(r.timeout_ds, 0);
	atomic_store(&f->expires_ds, START_DS + r.timeout_ds);
}

/* A packet after_ds after the flow's first. */
static struct sn_track later(struct sn_flow *f, enum sn_dir dir, const struct sn_packet *p, const struct sn_policy *pol,
			     uint32_t after_ds)
{
	return sn_track_packet(f, dir, p, pol, f->start_ds + after_ds);
}

static void expect(struct sn_track r, uint8_t outcome, uint8_t change, uint32_t timeout_ds)
{
	cr_expect_eq(r.outcome, outcome, "outcome %u", r.outcome);
	cr_expect_eq(r.change, change, "change %u", r.change);
	cr_expect_eq(r.timeout_ds, timeout_ds, "timeout %u", r.timeout_ds);
}

Test(track, first_packet_forgets_the_records_past)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	cr_expect_eq(f.status, SN_ST_SRC_NAT | SN_ST_CONFIRMED);
	cr_expect_eq(f.state, SN_TCP_NONE);
}

Test(track, udp_one_way_never_becomes_a_stream)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	for (uint32_t after_ds = 1; after_ds < 1000; after_ds += 7)
		expect(later(&f, SN_DIR_ORIGINAL, &udp, &pol, after_ds), SN_TRACK_ACCEPT, 0, UDP_DS);
	cr_expect(!(f.status & (SN_ST_SEEN_REPLY | SN_ST_ASSURED)));
}

Test(track, udp_reply_then_stream_after_two_seconds)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 1), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, UDP_DS);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 20), SN_TRACK_ACCEPT, 0, UDP_DS);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &pol, 21), SN_TRACK_ACCEPT, SN_CHANGE_ASSURED, STREAM_DS);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 22), SN_TRACK_ACCEPT, 0, STREAM_DS);
	cr_expect_eq(f.status, SN_ST_SRC_NAT | SN_ST_CONFIRMED | SN_ST_SEEN_REPLY | SN_ST_ASSURED);
}

Test(track, udp_late_first_reply_does_not_assure)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 100), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, UDP_DS);
	cr_expect(!(f.status & SN_ST_ASSURED));
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 100), SN_TRACK_ACCEPT, SN_CHANGE_ASSURED, STREAM_DS);
}

Test(track, udp_two_seconds_across_the_clocks_wrap)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	f.start_ds = UINT32_MAX - 4;
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 5), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, UDP_DS);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 20), SN_TRACK_ACCEPT, 0, UDP_DS);
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 21), SN_TRACK_ACCEPT, SN_CHANGE_ASSURED, STREAM_DS);
}

Test(track, icmp_requests_and_their_replies)
{
	static const uint8_t types[][2] = { { 8, 0 }, { 13, 14 }, { 15, 16 }, { 17, 18 } };
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	for (size_t i = 0; i < SN_ARRAY_LEN(types); i++) {
		struct sn_packet request = icmp(types[i][0]), reply = icmp(types[i][1]);

		opened(&f, &request, 0, &pol);
		expect(later(&f, SN_DIR_ORIGINAL, &request, &pol, 1), SN_TRACK_ACCEPT, 0, ICMP_DS);
		expect(later(&f, SN_DIR_REPLY, &reply, &pol, 50), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, ICMP_DS);
		expect(later(&f, SN_DIR_REPLY, &reply, &pol, 99), SN_TRACK_ACCEPT, 0, ICMP_DS);
		expect(later(&f, SN_DIR_ORIGINAL, &request, &pol, 99), SN_TRACK_ACCEPT, 0, ICMP_DS);
		cr_expect(!(f.status & SN_ST_ASSURED));
	}
}

Test(track, icmp_reply_opens_nothing_and_requests_answer_nothing)
{
	struct sn_policy pol = policy(1);
	struct sn_packet request = icmp(8), reply = icmp(0), error = icmp(3);
	struct sn_flow f = { .proto = 1 };

	error.kind = SN_PKT_ICMP_ERROR;
	expect(sn_track_first(&f, &reply, &pol), SN_TRACK_INVALID, 0, 0);
	expect(sn_track_first(&f, &error, &pol), SN_TRACK_INVALID, 0, 0);
	opened(&f, &request, 0, &pol);
	expect(later(&f, SN_DIR_ORIGINAL, &reply, &pol, 0), SN_TRACK_INVALID, 0, 0);
	expect(later(&f, SN_DIR_REPLY, &request, &pol, 0), SN_TRACK_INVALID, 0, 0);
	cr_expect(!(f.status & SN_ST_SEEN_REPLY), "an invalid packet is no reply");
}

Test(track, icmp_error_changes_nothing)
{
	struct sn_policy pol = policy(1);
	struct sn_packet error = { .kind = SN_PKT_ICMP_ERROR, .ip = { .proto = 1, .icmp_type = 3 } };
	struct sn_flow f, before;

	opened(&f, &udp, 0, &pol);
	memcpy(&before, &f, sizeof(f));
	expect(later(&f, SN_DIR_REPLY, &error, &pol, 1), SN_TRACK_IGNORE, 0, 0);
	cr_expect_arr_eq(&f, &before, sizeof(f));
}

Test(track, from_outside_only_inside_refreshes)
{
	struct sn_policy rfc = policy(0);
	struct sn_flow f;

	opened(&f, &udp, SN_FLOW_FROM_OUTSIDE, &rfc);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &rfc, 30), SN_TRACK_ACCEPT, 0, 0);
	expect(later(&f, SN_DIR_REPLY, &udp, &rfc, 31), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, UDP_DS);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &rfc, 32), SN_TRACK_ACCEPT, SN_CHANGE_ASSURED, 0);
	expect(later(&f, SN_DIR_REPLY, &udp, &rfc, 33), SN_TRACK_ACCEPT, 0, STREAM_DS);
}

Test(track, from_inside_both_directions_refresh_in_the_rfc_profile)
{
	struct sn_policy rfc = policy(0);
	struct sn_flow f;

	opened(&f, &udp, 0, &rfc);
	expect(later(&f, SN_DIR_REPLY, &udp, &rfc, 1), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, UDP_DS);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &rfc, 2), SN_TRACK_ACCEPT, 0, UDP_DS);
}

Test(track, from_outside_both_directions_refresh_in_the_netfilter_profile)
{
	struct sn_policy netfilter = policy(1);
	struct sn_flow f;

	opened(&f, &udp, SN_FLOW_FROM_OUTSIDE, &netfilter);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &netfilter, 30), SN_TRACK_ACCEPT, 0, UDP_DS);
}

Test(track, fixed_timeout_is_never_refreshed)
{
	struct sn_policy pol = policy(1);
	struct sn_flow f;

	opened(&f, &udp, 0, &pol);
	f.status |= SN_ST_FIXED_TIMEOUT;
	expect(later(&f, SN_DIR_REPLY, &udp, &pol, 1), SN_TRACK_ACCEPT, SN_CHANGE_REPLY, 0);
	expect(later(&f, SN_DIR_ORIGINAL, &udp, &pol, 30), SN_TRACK_ACCEPT, SN_CHANGE_ASSURED, 0);
}
