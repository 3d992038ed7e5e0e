/*
 * Checksum: CRC32C (Castagnoli), by ISA-L, which uses what the processor has for it. The same bytes
 * give the same number on every machine: it may lie in shared memory.
 */
#ifndef SHMP_CHECKSUM_H
#define SHMP_CHECKSUM_H

#include <stdint.h>

/* Of @bytes at @data; may be NULL when that is 0. Others may change them meanwhile. */
uint32_t shmp_checksum(const void *data, uint64_t bytes);
/* Of what @before is the checksum of, 0 = nothing, and of @bytes at @data behind it. */
uint32_t shmp_checksum_more(uint32_t before, const void *data, uint64_t bytes);

#endif
