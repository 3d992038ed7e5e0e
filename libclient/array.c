/*
 * Handles of arrays. What is shared is memory and nothing else: see protocol/array.h.
 */
#include "shmclient/array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "protocol/array.h"
#include "protocol/copy.h"

struct shmc_array {
	const uint32_t *read_gate;
	const uint32_t *write_gate;
	struct shmp_array view;
	struct shmc__object object;
};

enum shmc_result shmc_array_create(struct shmc_client *client, const char *name,
				   const struct shmc_array_options *options,
				   struct shmc_error *error)
{
	static const struct shmc_array_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_ARRAY_ELEMENT_BYTES] = options->element_bytes;
	option[SHMP_ARRAY_ELEMENTS] = options->elements;
	option[SHMP_ARRAY_ELEMENT_TYPE] = options->element_type;
	option[SHMP_ARRAY_ENDPOINTS_MAX] = options->endpoints_max;
	return shmc__object_create_as(client, name, &shmp_array_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result array_check(const struct shmc_array *array, const char *name,
				    const struct shmc_array_options *expected,
				    struct shmc_error *error)
{
	const uint64_t *option = array->object.mapping->segment.plan.option;
	const struct {
		enum shmp_array_option option;
		uint64_t wanted;
	} rows[] = {
		{ SHMP_ARRAY_ELEMENT_BYTES, expected->element_bytes },
		{ SHMP_ARRAY_ELEMENTS, expected->elements },
		{ SHMP_ARRAY_ELEMENT_TYPE, expected->element_type },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t has = option[rows[i].option];

		if (rows[i].wanted != 0 && rows[i].wanted != has)
			return shmc__error(error, SHMC_MISMATCH,
					   "%s: its %s is %" PRIu64 ", not %" PRIu64, name,
					   shmp_array_kind.options[rows[i].option].name, has,
					   rows[i].wanted);
	}
	return SHMC_OK;
}

static enum shmc_result array_attach(struct shmc_array *array, const char *name,
				     enum shmc_array_role role,
				     const struct shmc_array_options *expected,
				     struct shmc_error *error)
{
	enum shmc_result result = expected ? array_check(array, name, expected, error) : SHMC_OK;

	if (result != SHMC_OK) {
		shmc__object_close(&array->object);
		return result;
	}
	shmp_array_view(&array->object.mapping->segment, &array->view);
	array->read_gate = array->object.alive;
	array->write_gate = role == SHMC_ARRAY_WRITER ? array->object.alive : &shmc__gate_closed;
	return SHMC_OK;
}

enum shmc_result shmc_array_open(struct shmc_client *client, const char *name,
				 enum shmc_array_role role,
				 const struct shmc_array_options *expected,
				 struct shmc_array **ret_array, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_ARRAY_WRITER] = "writer",
		[SHMC_ARRAY_READER] = "reader",
		[SHMC_ARRAY_OBSERVER] = "observer",
	};
	struct shmc_array *array;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_ARRAY_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither writer nor reader nor observer");
	array = calloc(1, sizeof(*array));
	if (!array)
		return shmc__error_from_errno(error, "open the array", ENOMEM);
	result = shmc__object_open(&array->object, client, name, &shmp_array_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = array_attach(array, name, role, expected, error);
	if (result != SHMC_OK) {
		free(array);
		return result;
	}
	*ret_array = array;
	return SHMC_OK;
}

struct shmc_array *shmc_array_close(struct shmc_array *array)
{
	if (array) {
		shmc__object_close(&array->object);
		free(array);
	}
	return NULL;
}

SHMC__HOT const void *shmc_array_data(const struct shmc_array *array)
{
	return shmc__gate_is_open(array->read_gate) ? array->view.data : NULL;
}

SHMC__HOT void *shmc_array_edit(struct shmc_array *array)
{
	return shmc__gate_is_open(array->write_gate) ? array->view.data : NULL;
}

/* Counted by one thread at a time; several may lose a count, never an element. */
static void array_count(struct shmc_array *array, uint64_t elements)
{
	struct shmp_endpoint *self = shmc__object_self(&array->object);

	shmp_endpoint_count(&self->items, elements);
	shmp_endpoint_count(&self->bytes, elements * array->view.element_bytes);
}

SHMC__HOT enum shmc_result shmc_array_get(const struct shmc_array *array, uint64_t index,
					  void *ret_element, uint64_t element_bytes)
{
	if (!shmc__gate_is_open(array->read_gate) || index >= array->view.count)
		return shmc__move_refuse(&array->object);
	if (element_bytes != array->view.element_bytes)
		return SHMC_MISMATCH;
	shmp_copy(ret_element, shmp_array_at(&array->view, index), element_bytes);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_array_set(struct shmc_array *array, uint64_t index,
					  const void *element, uint64_t element_bytes)
{
	if (!shmc__gate_is_open(array->write_gate) || index >= array->view.count)
		return shmc__move_refuse(&array->object);
	if (element_bytes != array->view.element_bytes)
		return SHMC_MISMATCH;
	shmp_copy(shmp_array_at(&array->view, index), element, element_bytes);
	array_count(array, 1);
	return SHMC_OK;
}

enum shmc_result shmc_array_read(const struct shmc_array *array, uint64_t first, uint64_t count,
				 void *ret_elements)
{
	if (!shmc__gate_is_open(array->read_gate) || !shmp_array_has(&array->view, first, count))
		return shmc__move_refuse(&array->object);
	if (count != 0)
		memcpy(ret_elements, shmp_array_at(&array->view, first),
		       count * array->view.element_bytes);
	return SHMC_OK;
}

enum shmc_result shmc_array_write(struct shmc_array *array, uint64_t first, uint64_t count,
				  const void *elements)
{
	if (!shmc__gate_is_open(array->write_gate) || !shmp_array_has(&array->view, first, count))
		return shmc__move_refuse(&array->object);
	if (count != 0)
		memcpy(shmp_array_at(&array->view, first), elements,
		       count * array->view.element_bytes);
	array_count(array, count);
	return SHMC_OK;
}

enum shmc_result shmc_array_fill(struct shmc_array *array, uint64_t first, uint64_t count,
				 const void *element)
{
	if (!shmc__gate_is_open(array->write_gate) || !shmp_array_has(&array->view, first, count))
		return shmc__move_refuse(&array->object);
	shmp_array_fill(&array->view, first, count, element);
	array_count(array, count);
	return SHMC_OK;
}

enum shmc_result shmc_array_clear(struct shmc_array *array)
{
	if (!shmc__gate_is_open(array->write_gate))
		return shmc__move_refuse(&array->object);
	memset(array->view.data, 0, array->view.count * array->view.element_bytes);
	array_count(array, array->view.count);
	return SHMC_OK;
}

enum shmc_result shmc_array_options_of(const struct shmc_array *array,
				       struct shmc_array_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&array->object))
		return SHMC_FORKED;
	option = array->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_array_options){
		.element_bytes = option[SHMP_ARRAY_ELEMENT_BYTES],
		.elements = option[SHMP_ARRAY_ELEMENTS],
		.element_type = option[SHMP_ARRAY_ELEMENT_TYPE],
		.endpoints_max = option[SHMP_ARRAY_ENDPOINTS_MAX],
	};
	return SHMC_OK;
}

enum shmc_result shmc_array_statistics(const struct shmc_array *array,
				       struct shmc_statistics *ret_statistics)
{
	if (shmc__object_is_forked(&array->object))
		return SHMC_FORKED;
	shmc__object_statistics_of_all(&array->object, ret_statistics);
	return SHMC_OK;
}
