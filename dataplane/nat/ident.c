/*
 * ident.c: IP identifications of what leaves fragmentable (RFC 6864). Subscribers behind one address number their packets
 * independently of one another; a receiver that joins fragments by (source, destination, protocol, id) would mix them up.
 *
 * A counter for each hash of (source, destination, protocol); those that share one only make it go round sooner. Workers share
 * addresses, and a datagram that comes in fragments gets its number before its public address is known, so the numbers are dealt
 * out: number % stride says who gave it. 16 bits are what they are: a fast sender to one destination goes round all the same.
 */
#include "nat/nat.h"

/* A power of two, so that the rounds meet. */
static uint32_t stride_of(uint32_t workers)
{
	return 2u << (workers > 1 ? 32 - __builtin_clz(workers - 1) : 0);
}

uint16_t sn_nat_ident(struct sn_nat *nat, bool fragment, uint32_t src_be32, uint32_t dst_be32, uint8_t proto)
{
	uint64_t hash = sn_hash_block(&nat->region->hdr->key, sn_hash_low(src_be32, dst_be32),
				      sn_hash_high(SN_HASH_IDENT, 0, proto, 0, 0));
	uint16_t *next = &nat->idents[fragment][hash & (SN_IDENTS - 1)];
	uint32_t number = (*next)++ * stride_of(nat->region->geo.workers) + 2 * nat->worker + fragment;

	return __builtin_bswap16((uint16_t)number);
}
