/* Structs as they lie in memory, behind the number of their type. */
#include "shmclient/codec_struct.h"

#include <string.h>

#include "libclient/error.h"

static enum shmc_result struct_measure(const struct shmc_codec *codec, const void *value,
				       uint64_t *ret_bytes)
{
	*ret_bytes = sizeof(uint64_t) + ((const struct shmc_codec_struct *)codec)->bytes;
	return SHMC_OK;
}

static enum shmc_result struct_encode(const struct shmc_codec *codec, const void *value, void *room,
				      uint64_t room_bytes, uint64_t *ret_bytes)
{
	const struct shmc_codec_struct *own = (const struct shmc_codec_struct *)codec;

	if (room_bytes < sizeof(own->number) + own->bytes)
		return SHMC_TOO_BIG;
	memcpy(room, &own->number, sizeof(own->number));
	memcpy((uint8_t *)room + sizeof(own->number), value, own->bytes);
	*ret_bytes = sizeof(own->number) + own->bytes;
	return SHMC_OK;
}

static enum shmc_result struct_decode(const struct shmc_codec *codec, const void *data,
				      uint64_t bytes, void *ret_value)
{
	const struct shmc_codec_struct *own = (const struct shmc_codec_struct *)codec;
	uint64_t number;

	if (bytes < sizeof(number))
		return SHMC_BAD_VALUE;
	memcpy(&number, data, sizeof(number));
	if (number != own->number)
		return SHMC_MISMATCH;
	if (bytes != sizeof(number) + own->bytes)
		return SHMC_BAD_VALUE;
	memcpy(ret_value, (const uint8_t *)data + sizeof(number), own->bytes);
	return SHMC_OK;
}

static enum shmc_result check_field(const struct shmc_pipe_type *type, uint32_t index,
				    struct shmc_error *error)
{
	const struct shmc_pipe_field *field = &type->fields[index];

	if (!field->name || *field->name == '\0')
		return shmc__error(error, SHMC_INVALID, "%.47s.fields[%u]: it has no name",
				   type->name, index);
	if (field->offset > type->bytes || field->bytes > type->bytes - field->offset)
		return shmc__error(error, SHMC_INVALID,
				   "%.47s.fields[%u] (\"%.47s\"): it ends behind the struct's %llu "
				   "bytes",
				   type->name, index, field->name, (unsigned long long)type->bytes);
	return SHMC_OK;
}

enum shmc_result shmc_codec_struct_init(const struct shmc_pipe_type *type,
					struct shmc_codec_struct *ret_codec,
					struct shmc_error *error)
{
	if (!type->name || *type->name == '\0')
		return shmc__error(error, SHMC_INVALID, "type.name: it has none");
	if (type->bytes == 0 || type->bytes > UINT32_MAX)
		return shmc__error(error, SHMC_INVALID, "%.47s.bytes: %llu; 1 to 2^32 - 1",
				   type->name, (unsigned long long)type->bytes);
	if (type->field_count > 0 && !type->fields)
		return shmc__error(error, SHMC_INVALID, "%.47s.fields: they are missing",
				   type->name);
	for (uint32_t i = 0; i < type->field_count; i++) {
		enum shmc_result result = check_field(type, i, error);

		if (result != SHMC_OK)
			return result;
	}
	*ret_codec = (struct shmc_codec_struct){
		.codec = { .name = "struct",
			   .flags = SHMC_CODEC_EXACT | SHMC_CODEC_IN_PLACE,
			   .measure = struct_measure,
			   .encode = struct_encode,
			   .decode = struct_decode },
		.number = shmc_pipe_type_number(type),
		.bytes = type->bytes,
	};
	return SHMC_OK;
}
