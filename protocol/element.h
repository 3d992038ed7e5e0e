/*
 * Element: one of many pieces of the same size and, where it has one, of the same type, for the
 * kinds whose data are nothing else.
 */
#ifndef SHMP_ELEMENT_H
#define SHMP_ELEMENT_H

#include <stdint.h>

#include "protocol/look.h"
#include "protocol/type.h"

#define SHMP_ELEMENT_BYTES_MAX (UINT64_C(1) << 31)
#define SHMP_ELEMENT_TYPE_MAX  ((UINT64_C(1) << 53) - 1) /* what JSON numbers hold exactly */
#define SHMP_ELEMENT_TYPES                                                                       \
	"0 bytes, 1 bool, 2-5 i8-i64, 6-9 u8-u64, 10 float, 11 double, 12 decimal128, 13 uuid, " \
	"14 time, 15 duration, from 256 on your own"

enum shmp_element_fault {
	SHMP_ELEMENT_TYPE_WRONG = 1,
	SHMP_ELEMENT_BYTES_WRONG = 2,
};

/*
 * The size of an element, from what was said of it and of its type: @bytes 0 is that of the type,
 * or 1. 0, or an enum shmp_element_fault with *ret_why.
 */
int shmp_element_plan(uint64_t type, uint64_t bytes, uint64_t *ret_bytes, const char **ret_why);

/* Says in @item what the copy in @value is, where the type tells; @text has room for it. */
void shmp_element_show(uint64_t type, const void *value, char text[SHMP_TYPE_TEXT],
		       struct shmp_item *item);

/* Bytes of an element whose type says its size and how to show it; 0: an own one, or bytes. */
uint32_t shmp_element_typed_bytes(uint64_t type);

#endif
