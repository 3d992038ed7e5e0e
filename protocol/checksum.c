#include "protocol/checksum.h"

#include <isa-l/crc.h>
#include <stddef.h>

#define PIECE (UINT64_C(1) << 30) /* ISA-L counts in int */

uint32_t shmp_checksum(const void *data, uint64_t bytes)
{
	const uint8_t *at = data;
	uint32_t sum = UINT32_MAX;

	while (bytes > 0) {
		uint64_t piece = bytes < PIECE ? bytes : PIECE;

		/* its prototype takes what it only reads as if it wrote */
		sum = crc32_iscsi((unsigned char *)at, (int)piece, sum);
		at += piece;
		bytes -= piece;
	}
	return ~sum;
}
