/*
 * hash.h: the keyed hash (SipHash-1-3) behind shards, indexes and port choice. The key is drawn once per region, so that
 * nobody outside can aim at a shard, a bucket or a port.
 */
#ifndef SN_HASH_H
#define SN_HASH_H

#include "base.h"

struct sn_hash_key {
	uint64_t k0, k1;
};

/* SipHash-1-3 of 16 bytes given as two words. Pure. */
uint64_t sn_hash2(const struct sn_hash_key *key, uint64_t a, uint64_t b);

/* Domain words, so that one key serves several uses; they go into the top byte of b. */
enum sn_hash_use {
	SN_HASH_SHARD = 1,
	SN_HASH_FLOW_INSIDE,
	SN_HASH_FLOW_OUTSIDE,
	SN_HASH_BINDING,
	SN_HASH_SUBSCRIBER,
	SN_HASH_PORT,
	SN_HASH_ADDRESS,
};

/* The shard of a subscriber: realm index and inside address. shards is a power of two. */
uint32_t sn_hash_shard(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32, uint32_t shards);

/* Index keys. Addresses and ports in network byte order, as in the packet. */
uint64_t sn_hash_flow_inside(const struct sn_hash_key *key, uint8_t realm, uint8_t proto, uint32_t inside_be32,
			     uint16_t inside_port_be16, uint32_t remote_be32, uint16_t remote_port_be16);
uint64_t sn_hash_flow_outside(const struct sn_hash_key *key, uint8_t proto, uint32_t remote_be32,
			      uint16_t remote_port_be16, uint32_t public_be32, uint16_t public_port_be16);
uint64_t sn_hash_binding(const struct sn_hash_key *key, uint8_t realm, uint8_t proto, uint32_t inside_be32,
			 uint16_t inside_port_be16);
uint64_t sn_hash_subscriber(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32);

/* Where a subscriber's search for an address (proto 0, port 0), a block or a port begins. */
uint64_t sn_hash_port(const struct sn_hash_key *key, uint8_t realm, uint32_t inside_be32, uint8_t proto,
		      uint16_t inside_port_be16);

#endif
