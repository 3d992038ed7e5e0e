#include "tests/support/mpmc.h"

#include <string.h>

#include "tests/support/ring.h"

void shmt_mpmc_make(struct shmt_mpmc *queue, uint64_t slots, uint64_t message_max,
		    uint64_t endpoints)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_MPMC_SLOTS] = slots,
					      [SHMP_MPMC_MESSAGE_BYTES_MAX] = message_max,
					      [SHMP_MPMC_ENDPOINTS_MAX] = endpoints,
					      [SHMP_MPMC_REDELIVERY] = !queue->drops,
					      [SHMP_MPMC_CHECKSUM] = queue->is_summed };

	shmt_segment_make(&queue->segment, "mpmc", option);
	shmt_segment_map(&queue->segment, "producer", &queue->map);
}

void shmt_mpmc_free(struct shmt_mpmc *queue)
{
	shmp_segment_unmap(&queue->map);
	shmt_segment_free(&queue->segment);
}

void shmt_mpmc_attach(struct shmt_mpmc *queue, uint32_t place, enum shmp_mpmc_role role,
		      struct shmp_mpmc *ret_handle)
{
	shmt_place_assign(&queue->segment, place);
	SHMT_REQUIRE(shmp_mpmc_attach(&queue->map, place, role, ret_handle) == 0);
}

int shmt_mpmc_push(struct shmp_mpmc *handle, uint64_t size, uint64_t number)
{
	uint8_t *room;
	int r = shmp_mpmc_reserve(handle, size, &room);

	if (r == SHMP_DONE) {
		shmt_message_fill(room, size, number);
		shmp_mpmc_commit(handle, size);
	}
	return r;
}

int shmt_mpmc_pop(struct shmp_mpmc *handle, uint64_t size, uint64_t number, uint32_t *ret_flags)
{
	struct shmp_mpmc_message message;
	int r = shmp_mpmc_peek(handle, handle->message_max, &message);

	if (r == SHMP_DONE) {
		SHMT_REQUIRE(message.size == size);
		SHMT_REQUIRE(shmt_message_is(message.data, size, number));
		if (ret_flags)
			*ret_flags = message.flags;
		shmp_mpmc_release(handle);
	}
	return r;
}

uint64_t shmt_mpmc_word(const struct shmt_mpmc *queue, uint64_t place)
{
	uint64_t slots = queue->map.plan.option[SHMP_MPMC_SLOTS];
	uint64_t bytes = shmp_mpmc_slot_bytes(&queue->map.plan);
	const struct shmp_mpmc_slot *slot;

	SHMT_REQUIRE(place < slots);
	slot = (const void *)(queue->map.data + place * bytes);
	return atomic_load(&slot->word);
}

enum shmp_mpmc_state shmt_mpmc_state(const struct shmt_mpmc *queue, uint64_t place)
{
	return (enum shmp_mpmc_state)(shmt_mpmc_word(queue, place) >> 8 & 7);
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

uint64_t shmt_mpmc_figure(const struct shmt_mpmc *queue, const char *name)
{
	struct wanted wanted = { name, UINT64_MAX };

	shmp_mpmc_kind.figures(&queue->map, note_figure, &wanted);
	return wanted.value;
}
