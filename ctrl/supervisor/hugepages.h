/*
 * hugepages.h: 2 MB pages: how many are free, more of them for the node's life, and their return.
 *
 * Callers: the start and the end of a node. Two supervisors that start at once take turns (a lock on nr_hugepages).
 */
#ifndef SN_HUGEPAGES_H
#define SN_HUGEPAGES_H

#include "base.h"
#include "error.h"

#define SN_HUGEPAGE_B ((size_t)2 << 20)

/* Pages for so many bytes. */
uint32_t sn_hugepages_for(size_t size_b);

/*
 * Makes sure that so many pages are free, raising /proc/sys/vm/nr_hugepages if need be. *ret_added is by how much. 0,
 * or -errno and the text, and nothing is changed then.
 */
int sn_hugepages_reserve(uint32_t pages, uint32_t *ret_added, struct sn_error *err);

/*
 * How many were added is in the region's header, and in a file beside it for the case that the header cannot be read
 * any more. Noting is best effort; what is noted nowhere is 0.
 */
void sn_hugepages_note(const char *path, uint32_t added);
uint32_t sn_hugepages_noted(const char *path);

/* Lowers nr_hugepages again. */
void sn_hugepages_return(uint32_t added);

/* Bytes that a program could still have, and of them free huge pages. */
size_t sn_memory_available_b(void);
size_t sn_hugepages_free_b(void);

#endif
