/*
 * Hash: a number for what two sides must agree on, where comparing numbers is all they can do. Not
 * against forgers: FNV-1a, folded to the 53 bits that JSON numbers hold exactly.
 */
#ifndef SHMP_HASH_H
#define SHMP_HASH_H

#include <stddef.h>
#include <stdint.h>

#define SHMP_HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define SHMP_HASH_MASK	((UINT64_C(1) << 53) - 1)

static inline uint64_t shmp_hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* The same number on any machine. */
static inline uint64_t shmp_hash_word(uint64_t hash, uint64_t word)
{
	for (int i = 0; i < 8; i++) {
		uint8_t byte = (uint8_t)(word >> (8 * i));

		hash = shmp_hash_bytes(hash, &byte, 1);
	}
	return hash;
}

/* Never 0. */
static inline uint64_t shmp_hash_end(uint64_t hash)
{
	hash = (hash ^ hash >> 53) & SHMP_HASH_MASK;
	return hash != 0 ? hash : 1;
}

#endif
