/* element: sizes and texts. See element.h. */
#include "protocol/element.h"

uint32_t shmp_element_typed_bytes(uint64_t type)
{
	/* own numbers may be larger than 32 bits, whose lower half means nothing */
	return type < SHMP_TYPE_OWN ? shmp_type_bytes((uint32_t)type) : 0;
}

int shmp_element_plan(uint64_t type, uint64_t bytes, uint64_t *ret_bytes, const char **ret_why)
{
	uint32_t typed = shmp_element_typed_bytes(type);

	if (type != SHMP_TYPE_BYTES && type < SHMP_TYPE_OWN && typed == 0) {
		*ret_why = "no element can be of this type; own ones begin at 256";
		return SHMP_ELEMENT_TYPE_WRONG;
	}
	if (bytes == 0)
		bytes = typed != 0 ? typed : 1;
	if (typed != 0 && bytes != typed) {
		*ret_why = "element_type has another size";
		return SHMP_ELEMENT_BYTES_WRONG;
	}
	*ret_bytes = bytes;
	return 0;
}

void shmp_element_show(uint64_t type, const void *value, char text[SHMP_TYPE_TEXT],
		       struct shmp_item *item)
{
	uint32_t typed = shmp_element_typed_bytes(type);

	if (typed == 0)
		return;
	shmp_type_format((uint32_t)type, value, typed, text, SHMP_TYPE_TEXT);
	item->text = text;
}
