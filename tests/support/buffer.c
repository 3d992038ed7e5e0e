#include "tests/support/buffer.h"

#include <string.h>

void shmt_buffer_make(struct shmt_buffer *buffer, uint64_t size, uint64_t endpoints,
		      uint64_t checksums)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_BUFFER_SIZE_BYTES] = size,
					      [SHMP_BUFFER_ENDPOINTS_MAX] = endpoints,
					      [SHMP_BUFFER_CHECKSUMS_MAX] = checksums };

	shmt_segment_make(&buffer->segment, "buffer", option);
	shmt_segment_map(&buffer->segment, "writer", &buffer->map);
}

void shmt_buffer_free(struct shmt_buffer *buffer)
{
	shmp_segment_unmap(&buffer->map);
	shmt_segment_free(&buffer->segment);
}

void shmt_buffer_attach(struct shmt_buffer *buffer, uint32_t place, struct shmp_buffer *ret_handle)
{
	shmt_place_assign(&buffer->segment, place);
	SHMT_REQUIRE(shmp_buffer_attach(&buffer->map, place, ret_handle) == 0);
}

struct shmp_lock *shmt_buffer_lock(const struct shmt_buffer *buffer)
{
	struct shmp_buffer_control *control = buffer->map.control;

	return &control->lock;
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void note_figure(void *context, const char *name, uint64_t value)
{
	struct wanted *wanted = context;

	if (strcmp(name, wanted->name) == 0)
		wanted->value = value;
}

uint64_t shmt_buffer_figure(const struct shmt_buffer *buffer, const char *name)
{
	struct wanted wanted = { name, UINT64_MAX };

	shmp_buffer_kind.figures(&buffer->map, note_figure, &wanted);
	return wanted.value;
}
