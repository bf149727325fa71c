/*
 * bytes.h: words of a frame, as they lie in memory and at any alignment. For the files of this folder and their tests.
 */
#ifndef SN_BYTES_H
#define SN_BYTES_H

#include <string.h>

#include "base.h"

static inline uint16_t sn_bytes_get16(const uint8_t *at)
{
	uint16_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint32_t sn_bytes_get32(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint64_t sn_bytes_get64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline void sn_bytes_put16(uint8_t *at, uint16_t word)
{
	memcpy(at, &word, sizeof(word));
}

static inline void sn_bytes_put32(uint8_t *at, uint32_t word)
{
	memcpy(at, &word, sizeof(word));
}

#endif
