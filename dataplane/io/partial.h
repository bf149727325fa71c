/*
 * partial.h: checksums that a sender left to be completed by hardware that is not there. A local socket behind a veth pair
 * or a virtio device does so unless its transmit checksums are switched off (ethtool -K DEV tx off); the kernel tells it
 * beside the packet, AF_XDP and plain packet sockets do not. Translated incrementally such a checksum stays wrong.
 *
 * Called by the ports whose packets may come from such a sender.
 */
#ifndef SN_PARTIAL_H
#define SN_PARTIAL_H

#include "base.h"

/*
 * Completes the TCP or UDP checksum of an Ethernet frame if it is partial: if it holds the sum of the pseudo-header, and is
 * not right as it stands (one in 65536 right ones looks the same). True if it was completed. Anything else, fragments and
 * garbage included, is left alone.
 */
bool sn_partial_complete(uint8_t *frame, uint32_t len_b);

#endif
