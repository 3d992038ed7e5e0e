#include "tests/support/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/ring.h"

void shmt_pipe_make(struct shmt_pipe *pipe)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_PIPE_CAPACITY_BYTES] = SHMT_PIPE_CAPACITY,
	};

	memset(pipe, 0, sizeof(*pipe));
	shmt_segment_make(&pipe->segment, "pipe", option);
	shmt_segment_map(&pipe->segment, "host", &pipe->map[SHMP_PIPE_HOST]);
	shmt_segment_map(&pipe->segment, "client", &pipe->map[SHMP_PIPE_CLIENT]);
}

void shmt_pipe_come(struct shmt_pipe *pipe, uint32_t role)
{
	shmt_place_assign(&pipe->segment, role);
	SHMT_REQUIRE(shmp_pipe_attach(&pipe->map[role], role, &pipe->side[role]) == 0);
}

void shmt_pipe_go(struct shmt_pipe *pipe, uint32_t role, bool died)
{
	shmt_place_vacate(&pipe->segment, role, died, 1);
}

void shmt_pipe_succeed(struct shmt_pipe *pipe, uint32_t role, bool died)
{
	shmt_pipe_go(pipe, role, died);
	shmt_pipe_come(pipe, role);
}

void shmt_pipe_open(struct shmt_pipe *pipe)
{
	shmt_pipe_make(pipe);
	shmt_pipe_come(pipe, SHMP_PIPE_HOST);
	shmt_pipe_come(pipe, SHMP_PIPE_CLIENT);
}

void shmt_pipe_free(struct shmt_pipe *pipe)
{
	shmp_segment_unmap(&pipe->map[SHMP_PIPE_HOST]);
	shmp_segment_unmap(&pipe->map[SHMP_PIPE_CLIENT]);
	shmt_segment_free(&pipe->segment);
}

int shmt_pipe_send(struct shmt_pipe *pipe, uint32_t from, uint64_t size, uint64_t number)
{
	uint8_t *payload = malloc(size + 1);
	int r;

	shmt_message_fill(payload, size, number);
	r = shmp_pipe_push(&pipe->side[from], payload, size);
	free(payload);
	return r;
}

int shmt_pipe_receive(struct shmt_pipe *pipe, uint32_t to, uint64_t size, uint64_t number,
		      uint32_t *ret_flags)
{
	uint8_t buffer[SHMT_PIPE_LONGEST];
	struct shmp_spsc_message message;
	int r = shmp_pipe_pop(&pipe->side[to], buffer, sizeof(buffer), &message);

	if (r == SHMP_DONE) {
		SHMT_REQUIRE(message.size == size && message.data == buffer);
		SHMT_REQUIRE(shmt_message_is(buffer, size, number));
		if (ret_flags)
			*ret_flags = message.flags;
	}
	return r;
}
