/*
 * Schema: the fields of a record, as they stand in front of it in shared memory: names, types,
 * places, a version of the application's, and a hash of all that decides the layout.
 *
 *	image:	struct shmp_schema (64) | struct shmp_schema_field (80) for each field
 *
 * Fields are listed parents first: one that is a struct is followed, somewhere, by those whose
 * `parent` is its index + 1. Where each one lies follows from the list by rule (shmp_schema_seal)
 * and by nothing else, so an image that somebody else wrote is not believed: it is copied, checked,
 * laid out again and compared (shmp_schema_take), and only the copy is used.
 *
 * Layout: in the order listed, each aligned to its size, at most 8. An array of values or strings
 * has a 64-bit word in front that says how many of its elements are used; of an array of structs
 * all are. A string is UTF-8, ended by NUL within its room. The size of a struct is a multiple of 8.
 *
 * Threads: any, on an image of one's own.
 */
#ifndef SHMP_SCHEMA_H
#define SHMP_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/type.h"

#define SHMP_SCHEMA_MAGIC      0x0031616d65686373u /* "schema1" */
#define SHMP_SCHEMA_VERSION    1u
#define SHMP_SCHEMA_FIELDS_MAX 500u
#define SHMP_SCHEMA_NAME_BYTES 48u /* NUL included */
#define SHMP_SCHEMA_COUNT_MAX  (UINT32_C(1) << 24)
#define SHMP_SCHEMA_RECORD_MAX (UINT64_C(1) << 26)
#define SHMP_SCHEMA_DEPTH_MAX  8u
#define SHMP_SCHEMA_BYTES_MAX  (64u + 80u * SHMP_SCHEMA_FIELDS_MAX)
#define SHMP_SCHEMA_LENGTH     8u   /* of the word in front of an array's elements */
#define SHMP_SCHEMA_PATH_BYTES 512u /* room for any path */

struct shmp_schema_field {
	uint8_t name[SHMP_SCHEMA_NAME_BYTES];
	uint32_t type;		     /* enum shmp_type */
	uint32_t count;		     /* elements of an array at most; 0 = no array */
	uint32_t bytes;		     /* of one element */
	uint32_t parent;	     /* 0 = the record */
	_Alignas(8) uint64_t offset; /* in an element of the parent */
	uint64_t reserved;
};
SHMP_FREEZE(shmp_schema_field, 80);
SHMP_FIELD(shmp_schema_field, name, 0);
SHMP_FIELD(shmp_schema_field, type, 48);
SHMP_FIELD(shmp_schema_field, count, 52);
SHMP_FIELD(shmp_schema_field, bytes, 56);
SHMP_FIELD(shmp_schema_field, parent, 60);
SHMP_FIELD(shmp_schema_field, offset, 64);
SHMP_FIELD(shmp_schema_field, reserved, 72);

struct shmp_schema {
	_Alignas(8) uint64_t magic;
	uint32_t format; /* version of this layout */
	uint32_t field_count;
	_Alignas(8) uint64_t record_bytes;
	_Alignas(8) uint64_t layout_hash; /* of 53 bits, never 0 */
	uint64_t version;		  /* the application's */
	uint64_t reserved[3];
};
SHMP_FREEZE(shmp_schema, 64);
SHMP_FIELD(shmp_schema, magic, 0);
SHMP_FIELD(shmp_schema, format, 8);
SHMP_FIELD(shmp_schema, field_count, 12);
SHMP_FIELD(shmp_schema, record_bytes, 16);
SHMP_FIELD(shmp_schema, layout_hash, 24);
SHMP_FIELD(shmp_schema, version, 32);
SHMP_FIELD(shmp_schema, reserved, 40);

static inline uint64_t shmp_schema_bytes(uint64_t field_count)
{
	return sizeof(struct shmp_schema) + field_count * sizeof(struct shmp_schema_field);
}

static inline struct shmp_schema_field *shmp_schema_fields(const struct shmp_schema *schema)
{
	return (struct shmp_schema_field *)(schema + 1);
}

/*
 * Completes an image in which field_count, version and of each field name, type, count, parent and,
 * for strings and bytes, bytes are set: 0, or -EINVAL with *ret_why and *ret_field (the index, or
 * field_count when it is none of them).
 */
int shmp_schema_seal(struct shmp_schema *schema, const char **ret_why, uint32_t *ret_field);

/*
 * A copy, to be freed, of an image that anybody may have written, checked: 0, -ENOMEM, or -EBADMSG
 * with *ret_why.
 */
int shmp_schema_take(const void *image, size_t bytes, struct shmp_schema **ret_schema,
		     const char **ret_why);

/* Where a path leads: "temperature", "wheels[2].pressure", "samples", "samples[7]". */
struct shmp_place {
	uint64_t offset;    /* in the record, of the (first) element */
	uint64_t length_at; /* of the array's word; UINT64_MAX = there is none */
	uint32_t index;	    /* of the element, where length_at is one */
	uint32_t type;
	uint32_t count; /* of the whole array; 0 = one value */
	uint32_t bytes; /* of one element */
	uint32_t field;
	uint32_t reserved;
};

/* 0; -ENOENT no such field; -ERANGE an index beyond the array; -EINVAL not a path to one. */
int shmp_schema_find(const struct shmp_schema *schema, const char *path,
		     struct shmp_place *ret_place);

/* How many elements of an array @record uses; -EBADMSG more than there are. */
int shmp_schema_length(const struct shmp_place *place, const uint8_t *record, uint64_t *ret_length);

/*
 * The value at @place of @record for people, an array as "[1, 2, 3]", cut to @room; the length that
 * was written. For structs nothing.
 */
size_t shmp_schema_text(const struct shmp_place *place, const uint8_t *record, char *text,
			size_t room);
/* The reverse, arrays excepted: 0, -EINVAL, -ERANGE as shmp_type_parse. */
int shmp_schema_parse(const struct shmp_place *place, const char *text, uint8_t *record);

/* Calls @fn for every value and every array of values, in order; what it says if not 0. */
typedef int (*shmp_schema_fn)(void *context, const char *path, const struct shmp_place *place);
int shmp_schema_each(const struct shmp_schema *schema, shmp_schema_fn fn, void *context);

#endif
