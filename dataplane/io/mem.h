/*
 * mem.h: a port over memory, for tests and benchmarks: the caller puts frames in and takes what was sent out. Frames
 * are the UMEM's; a UMEM for it can be made without a file (sn_mem_umem).
 */
#ifndef SN_MEM_H
#define SN_MEM_H

#include "io/io.h"

/* A UMEM in anonymous memory, as owner. 0 or -ENOMEM. sn_umem_leave() frees it. */
int sn_mem_umem(uint32_t frame_count, uint32_t frame_b, struct sn_umem *ret);

/* A port with room for depth packets in each direction. 0 or -ENOMEM. */
int sn_mem_port(struct sn_umem *umem, uint16_t interface, uint32_t depth, struct sn_port *ret);
void sn_mem_port_free(struct sn_port *p);

/* Copies a frame in, to be received. False: no room or no free frame. */
bool sn_mem_put(struct sn_port *p, const void *frame, uint32_t len_b);

/* Copies the oldest frame that was sent into buf, its length; 0 if there is none. Its frame is free again. */
uint32_t sn_mem_get(struct sn_port *p, void *buf, uint32_t room_b);

#endif
