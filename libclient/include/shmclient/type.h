/*
 * Types: what one value is, where shared memory says of itself what it holds: elements of an array,
 * atomics, fields of a record.
 */
#ifndef SHMCLIENT_TYPE_H
#define SHMCLIENT_TYPE_H

#ifdef __cplusplus
extern "C" {
#endif

enum shmc_type {
	SHMC_TYPE_BYTES = 0, /* whatever the application says */
	SHMC_TYPE_BOOL = 1,  /* one byte, 0 or 1 */
	SHMC_TYPE_I8 = 2,    /* int8_t, and so on */
	SHMC_TYPE_I16 = 3,
	SHMC_TYPE_I32 = 4,
	SHMC_TYPE_I64 = 5,
	SHMC_TYPE_U8 = 6, /* uint8_t, and so on */
	SHMC_TYPE_U16 = 7,
	SHMC_TYPE_U32 = 8,
	SHMC_TYPE_U64 = 9,
	SHMC_TYPE_FLOAT = 10,
	SHMC_TYPE_DOUBLE = 11,
	SHMC_TYPE_DECIMAL128 = 12, /* 16 bytes, IEEE 754; the library moves them, no more */
	SHMC_TYPE_UUID = 13,	   /* 16 bytes */
	SHMC_TYPE_TIME = 14,	   /* int64_t, ns since 1970-01-01 UTC */
	SHMC_TYPE_DURATION = 15,   /* int64_t, ns */
	SHMC_TYPE_STRING = 16,	   /* UTF-8 with a limit of its own */
	SHMC_TYPE_STRUCT = 17,	   /* fields of its own */
	SHMC_TYPE_OWN = 256,	   /* from here on: the application's own numbers */
};

#ifdef __cplusplus
}
#endif

#endif
