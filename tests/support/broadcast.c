#include "tests/support/broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/ring.h"

void shmt_broadcast_make(struct shmt_broadcast *broadcast,
			 const struct shmt_broadcast_options *options)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_BROADCAST_CAPACITY_BYTES] = options->capacity,
		[SHMP_BROADCAST_MESSAGE_BYTES_MAX] = options->message_max,
		[SHMP_BROADCAST_WRITERS_MAX] = options->writers,
		[SHMP_BROADCAST_READERS_MAX] = options->readers ? options->readers : 4,
		[SHMP_BROADCAST_BLOCK] = options->blocks,
		[SHMP_BROADCAST_EXCLUSIVE] = options->is_exclusive,
	};

	shmt_segment_make(&broadcast->segment, "broadcast", option);
	shmt_segment_map(&broadcast->segment, "writer", &broadcast->writer_map);
	shmt_segment_map(&broadcast->segment, "reader", &broadcast->reader_map);
	broadcast->writers = (uint32_t)broadcast->segment.plan.option[SHMP_BROADCAST_WRITERS_MAX];
}

void shmt_broadcast_free(struct shmt_broadcast *broadcast)
{
	shmp_segment_unmap(&broadcast->writer_map);
	shmp_segment_unmap(&broadcast->reader_map);
	shmt_segment_free(&broadcast->segment);
}

void shmt_broadcast_attach_writer(struct shmt_broadcast *broadcast, uint32_t index,
				  struct shmp_broadcast_writer *ret_writer)
{
	shmt_place_assign(&broadcast->segment, index);
	memset(ret_writer, 0, sizeof(*ret_writer));
	SHMT_REQUIRE(shmp_broadcast_attach_writer(&broadcast->writer_map, index, ret_writer) == 0);
}

void shmt_broadcast_attach_reader(struct shmt_broadcast *broadcast, uint32_t index,
				  enum shmp_broadcast_from from, uint64_t position,
				  struct shmp_broadcast_reader *ret_reader)
{
	shmt_place_assign(&broadcast->segment, broadcast->writers + index);
	memset(ret_reader, 0, sizeof(*ret_reader));
	SHMT_REQUIRE(shmp_broadcast_attach_reader(&broadcast->reader_map,
						  broadcast->writers + index, from, position,
						  ret_reader) == 0);
}

int shmt_broadcast_push(struct shmp_broadcast_writer *writer, uint64_t size, uint64_t number)
{
	uint8_t *payload = malloc(size ? size : 1);
	int r;

	shmt_message_fill(payload, size, number);
	r = shmp_broadcast_push(writer, payload, size);
	free(payload);
	return r;
}

int shmt_broadcast_pop(struct shmp_broadcast_reader *reader, uint64_t size, uint64_t number,
		       struct shmp_broadcast_message *ret_message)
{
	uint64_t room = reader->ring.message_max;
	struct shmp_broadcast_message message;
	uint8_t *buffer = malloc(room);
	int r = shmp_broadcast_pop(reader, buffer, room, &message);

	if (r == SHMP_DONE) {
		SHMT_REQUIRE(message.size == size && message.data == buffer);
		SHMT_REQUIRE(shmt_message_is(buffer, size, number));
		if (ret_message)
			*ret_message = message;
	}
	free(buffer);
	return r;
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

uint64_t shmt_broadcast_figure(const struct shmt_broadcast *broadcast, const char *name)
{
	struct wanted wanted = { name, UINT64_MAX };

	shmp_broadcast_kind.figures(&broadcast->segment.map, note_figure, &wanted);
	return wanted.value;
}
