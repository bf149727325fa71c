/*
 * base.h: the few words every file of shardnat uses.
 *
 * Types in shared memory are of fixed width. A name ends in its unit or byte order where it has one:
 * _be32/_be16 network byte order, _ds tenths of a second, _s seconds, _ns nanoseconds, _b bytes.
 */
#ifndef SN_BASE_H
#define SN_BASE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SN_CACHE_LINE 64
#define SN_ALIGNED(n) __attribute__((aligned(n)))
#define SN_LIKELY(x) __builtin_expect(!!(x), 1)
#define SN_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SN_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SN_MAX(a, b) ((a) > (b) ? (a) : (b))

/* "no such record": never a valid u32 index of anything. */
#define SN_NONE UINT32_MAX

/* A word of any structure, for copies that may race with the writer of what is copied. */
typedef uint64_t __attribute__((may_alias)) sn_word;

/*
 * Copies what another process may be changing, or reading, meanwhile: in relaxed words, so that none is torn. Whether the whole is
 * one is for the caller to find out (a sequence number, gen). Both sides and the size are multiples of 8.
 */
static inline void sn_copy_words(void *ret, const void *from, size_t size_b)
{
	const sn_word *words = (const sn_word *)from;
	sn_word *to = (sn_word *)ret;

#pragma GCC unroll 16
	for (size_t i = 0; i < size_b / sizeof(*to); i++)
		__atomic_store_n(&to[i], __atomic_load_n(&words[i], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

/* A bug of ours: always on, the process dies and the supervisor starts it again. Never for foreign data. */
void sn_bug(const char *file, int line, const char *what) __attribute__((noreturn, cold));
#define SN_ASSERT(cond) (SN_LIKELY(cond) ? (void)0 : sn_bug(__FILE__, __LINE__, #cond))

/* Protocols that have ports of their own in a block. ICMP's "port" is the query identifier. */
enum sn_l4 { SN_L4_TCP, SN_L4_UDP, SN_L4_ICMP, SN_L4_COUNT };

/* Index of an IP protocol number in per-protocol arrays; SN_L4_COUNT for a protocol without ports. */
static inline enum sn_l4 sn_l4_of(uint8_t proto)
{
	return proto == 6 ? SN_L4_TCP : proto == 17 ? SN_L4_UDP : proto == 1 ? SN_L4_ICMP : SN_L4_COUNT;
}

#endif
