/*
 * packet.h: frames of the player: built from a step, and described as text once they came out of a gateway.
 *
 * A description has every header field but the IP id and the public port that the gateway chose; addresses stand by their
 * role (c0, s0, pool, ...), checksums as right, wrong or zero. Shares no code with dataplane/.
 */
#ifndef SN_PARITY_PACKET_H
#define SN_PARITY_PACKET_H

#include "scenario.h"

#define FRAME_B 4096
#define ETH_B 14

uint16_t get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);
void put16(uint8_t *at, uint32_t value);
void put32(uint8_t *at, uint32_t value);

/* Takes the step's sequence numbers as sent; once per step, before the frames for the gateways are built. */
void packet_settle(struct conn *c, struct step *st);

/* The step's packet for one gateway, from offset ETH_B on; its length with it. 0: there is nothing to quote. */
uint32_t packet_build(const struct conn *c, const struct step *st, int gateway, uint8_t *frame);

/* Fragment n of a frame, of frag_b bytes of payload each; its length, 0: there is none. The frame has no IP options. */
uint32_t packet_fragment(const uint8_t *frame, uint32_t len_b, uint32_t frag_b, uint32_t n, uint8_t *ret);

/* Whether an IP packet is a fragment other than the first, with no ports in it. */
bool packet_is_rest(const uint8_t *ip);

/* A UDP datagram of 4 bytes of payload. */
uint32_t packet_marker(uint8_t *frame, const uint32_t addr[2], const uint16_t port[2], uint32_t value);

/* Which scenario an IP packet is of: its index, by a server address in it or in the packet it quotes; -1: none. */
int64_t packet_index(const uint8_t *ip, uint32_t len_b);

/* One line about an IP packet that came out of a gateway towards a side. */
void packet_describe(const uint8_t *ip, uint32_t len_b, const struct conn *c, int gateway, char *text, size_t room);

#endif
