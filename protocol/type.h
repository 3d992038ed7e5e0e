/*
 * Type: what one value in shared memory is, for the kinds whose content says of itself what it is:
 * elements of an array, atomics, fields of a record. The numbers are part of the layout.
 */
#ifndef SHMP_TYPE_H
#define SHMP_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shmp_type {
	SHMP_TYPE_BYTES = 0, /* whatever the application says */
	SHMP_TYPE_BOOL = 1,  /* one byte, 0 or 1 */
	SHMP_TYPE_I8 = 2,
	SHMP_TYPE_I16 = 3,
	SHMP_TYPE_I32 = 4,
	SHMP_TYPE_I64 = 5,
	SHMP_TYPE_U8 = 6,
	SHMP_TYPE_U16 = 7,
	SHMP_TYPE_U32 = 8,
	SHMP_TYPE_U64 = 9,
	SHMP_TYPE_FLOAT = 10,
	SHMP_TYPE_DOUBLE = 11,
	SHMP_TYPE_DECIMAL128 = 12, /* 16 bytes, IEEE 754 */
	SHMP_TYPE_UUID = 13,	   /* 16 bytes */
	SHMP_TYPE_TIME = 14,	   /* ns since 1970, signed */
	SHMP_TYPE_DURATION = 15,   /* ns, signed */
	SHMP_TYPE_STRING = 16,	   /* UTF-8 in a room of its own size */
	SHMP_TYPE_STRUCT = 17,	   /* of other fields */
	SHMP_TYPE_COUNT = 18,
	SHMP_TYPE_OWN = 256, /* from here on: an application's own numbers */
};

/* Bytes of one value; 0 where the number does not say it: BYTES, STRING, STRUCT, own ones. */
static inline uint32_t shmp_type_bytes(uint32_t type)
{
	static const uint8_t bytes[SHMP_TYPE_COUNT] = {
		[SHMP_TYPE_BOOL] = 1,  [SHMP_TYPE_I8] = 1,     [SHMP_TYPE_I16] = 2,
		[SHMP_TYPE_I32] = 4,   [SHMP_TYPE_I64] = 8,    [SHMP_TYPE_U8] = 1,
		[SHMP_TYPE_U16] = 2,   [SHMP_TYPE_U32] = 4,    [SHMP_TYPE_U64] = 8,
		[SHMP_TYPE_FLOAT] = 4, [SHMP_TYPE_DOUBLE] = 8, [SHMP_TYPE_DECIMAL128] = 16,
		[SHMP_TYPE_UUID] = 16, [SHMP_TYPE_TIME] = 8,   [SHMP_TYPE_DURATION] = 8,
	};

	return type < SHMP_TYPE_COUNT ? bytes[type] : 0;
}

#define SHMP_TYPE_TEXT 64u /* room for the text of any value but strings and bytes */

/* "u32"; "own" beyond the list. */
const char *shmp_type_name(uint32_t type);

/*
 * The value for people, cut to @room and ended by NUL; the length it has uncut. Any bytes are fine.
 * What has no form of its own is hexadecimal.
 */
size_t shmp_type_format(uint32_t type, const void *value, size_t bytes, char *text, size_t room);

/*
 * The reverse: 0; -EINVAL not a value of the type; -ERANGE one that it cannot hold. Nothing is
 * stored unless 0.
 */
int shmp_type_parse(uint32_t type, const char *text, void *ret_value, size_t bytes);

/* UTF-8 without NUL. */
bool shmp_type_is_text(const char *text, size_t bytes);

#endif
