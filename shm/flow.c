/*
 * flow.c: what people see of a flow record.
 */
#include "flow.h"

#include <string.h>

/* The type is the first byte in memory; the code stays. */
static uint16_t icmp_reply_port(uint16_t port_be16)
{
	uint8_t type_code[2];

	memcpy(type_code, &port_be16, sizeof(type_code));
	type_code[0] = sn_icmp_reply_type(type_code[0]);
	memcpy(&port_be16, type_code, sizeof(type_code));
	return port_be16;
}

static struct sn_tuple swapped(struct sn_tuple t)
{
	return (struct sn_tuple){ t.dst_be32, t.src_be32, t.dst_port_be16, t.src_port_be16, t.proto };
}

/* From the local end, inside or public, to the remote end. */
static struct sn_tuple outward(const struct sn_flow *f, bool inside)
{
	return (struct sn_tuple){
		.src_be32 = inside ? f->inside_be32 : f->public_be32,
		.dst_be32 = f->remote_be32,
		.src_port_be16 = inside ? f->inside_port_be16 : f->public_port_be16,
		.dst_port_be16 = f->remote_port_be16,
		.proto = f->proto,
	};
}

struct sn_tuple sn_flow_tuple(const struct sn_flow *f, enum sn_dir dir)
{
	bool from_inside = ((f->flags & SN_FLOW_FROM_OUTSIDE) != 0) == (dir == SN_DIR_REPLY);
	struct sn_tuple t = outward(f, from_inside);

	if (sn_l4_of(f->proto) != SN_L4_ICMP)
		return from_inside ? t : swapped(t);
	if (!from_inside) {
		t.src_be32 = f->remote_be32;
		t.dst_be32 = f->public_be32;
	}
	if (dir == SN_DIR_REPLY)
		t.dst_port_be16 = icmp_reply_port(t.dst_port_be16);
	return t;
}

uint64_t sn_flow_packets(const struct sn_flow *f, enum sn_dir dir)
{
	return (uint64_t)f->packets_hi[dir] << 32 | f->packets[dir];
}

uint64_t sn_flow_bytes(const struct sn_flow *f, enum sn_dir dir)
{
	return (uint64_t)f->bytes_hi[dir] << 32 | f->bytes[dir];
}
