/*
 * test_flow.c: tuples and counters of a flow record.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "flow.h"

enum { INSIDE = 0x0a000001, PUBLIC = 0x0b000002, REMOTE = 0x0c000003 };

static struct sn_flow make(uint8_t proto, uint8_t flags)
{
	return (struct sn_flow){
		.inside_be32 = INSIDE, .public_be32 = PUBLIC, .remote_be32 = REMOTE, .inside_port_be16 = 10,
		.public_port_be16 = 20, .remote_port_be16 = 30, .proto = proto, .flags = flags,
	};
}

static void expect(struct sn_tuple t, uint32_t src, uint16_t src_port, uint32_t dst, uint16_t dst_port)
{
	cr_assert_eq(t.src_be32, src);
	cr_assert_eq(t.dst_be32, dst);
	cr_assert_eq(t.src_port_be16, src_port);
	cr_assert_eq(t.dst_port_be16, dst_port);
}

Test(flow, tuples)
{
	struct sn_flow in = make(17, 0), out = make(6, SN_FLOW_FROM_OUTSIDE);

	expect(sn_flow_tuple(&in, SN_DIR_ORIGINAL), INSIDE, 10, REMOTE, 30);
	expect(sn_flow_tuple(&in, SN_DIR_REPLY), REMOTE, 30, PUBLIC, 20);
	expect(sn_flow_tuple(&out, SN_DIR_ORIGINAL), REMOTE, 30, PUBLIC, 20);
	expect(sn_flow_tuple(&out, SN_DIR_REPLY), INSIDE, 10, REMOTE, 30);
	cr_assert_eq(sn_flow_tuple(&out, SN_DIR_REPLY).proto, 6);
}

Test(flow, icmp_tuples)
{
	struct sn_flow in = make(1, 0), out = make(1, SN_FLOW_FROM_OUTSIDE);

	in.remote_port_be16 = htons(0x0800);
	out.remote_port_be16 = htons(0x0d07);
	expect(sn_flow_tuple(&in, SN_DIR_ORIGINAL), INSIDE, 10, REMOTE, htons(0x0800));
	expect(sn_flow_tuple(&in, SN_DIR_REPLY), REMOTE, 20, PUBLIC, htons(0x0000));
	expect(sn_flow_tuple(&out, SN_DIR_ORIGINAL), REMOTE, 20, PUBLIC, htons(0x0d07));
	expect(sn_flow_tuple(&out, SN_DIR_REPLY), INSIDE, 10, REMOTE, htons(0x0e07));
}

Test(flow, counters_carry)
{
	struct sn_flow f = make(17, 0);
	uint64_t bytes = 0;

	f.packets[SN_DIR_REPLY] = UINT32_MAX - 1;
	for (int i = 0; i < 70000; i++) {
		sn_flow_account(&f, SN_DIR_REPLY, 65535);
		bytes += 65535;
	}
	cr_assert_eq(sn_flow_packets(&f, SN_DIR_REPLY), UINT32_MAX - 1 + 70000ull);
	cr_assert_eq(sn_flow_bytes(&f, SN_DIR_REPLY), bytes);
	cr_assert_eq(sn_flow_packets(&f, SN_DIR_ORIGINAL) + sn_flow_bytes(&f, SN_DIR_ORIGINAL), 0);
}

Test(flow, directions)
{
	struct sn_flow in = make(17, 0), out = make(17, SN_FLOW_FROM_OUTSIDE);

	cr_assert_eq(sn_flow_dir(&in, true), SN_DIR_ORIGINAL);
	cr_assert_eq(sn_flow_dir(&in, false), SN_DIR_REPLY);
	cr_assert_eq(sn_flow_dir(&out, true), SN_DIR_REPLY);
	cr_assert_eq(sn_flow_dir(&out, false), SN_DIR_ORIGINAL);
}
