/*
 * cut.h: fragments a packet that is too big for where it goes (RFC 791 3.2; DF is not set). Pure functions over bytes.
 */
#ifndef SN_CUT_H
#define SN_CUT_H

#include "packet/parse.h"

/* Most fragments that one packet is cut into. */
#define SN_CUT_MAX 64

/* How many fragments of at most mtu_b bytes (IP) the packet makes; 0: it cannot be cut so. 1: it fits. */
uint32_t sn_cut_count(const struct sn_packet *p, uint32_t mtu_b);

/* Writes fragment n (from 1 on) as a whole frame to out, which has room for the packet's frame; its length. The packet is as it was. */
uint32_t sn_cut_later(const struct sn_packet *p, uint32_t mtu_b, uint32_t n, uint8_t *out);

/* Makes the packet its own first fragment, in place. */
void sn_cut_first(struct sn_packet *p, uint32_t mtu_b);

#endif
