#include "protocol/checksum.h"

#include <isa-l/crc.h>
#include <stddef.h>

#define PIECE (UINT64_C(1) << 30) /* ISA-L counts in int */

uint32_t shmp_checksum_more(uint32_t before, const void *data, uint64_t bytes)
{
	const uint8_t *at = data;
	uint32_t sum = ~before;

	while (bytes > 0) {
		uint64_t piece = bytes < PIECE ? bytes : PIECE;

		/* its prototype takes what it only reads as if it wrote */
		sum = crc32_iscsi((unsigned char *)at, (int)piece, sum);
		at += piece;
		bytes -= piece;
	}
	return ~sum;
}

uint32_t shmp_checksum(const void *data, uint64_t bytes)
{
	return shmp_checksum_more(0, data, bytes);
}
