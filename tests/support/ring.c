#include "tests/support/ring.h"

#include "tests/support/random.h"

static void make(struct shmt_ring *ring, const uint64_t *option)
{
	memset(ring, 0, sizeof(*ring));
	shmt_segment_make(&ring->segment, "spsc", option);
	shmt_segment_map(&ring->segment, "producer", &ring->producer_map);
	shmt_segment_map(&ring->segment, "consumer", &ring->consumer_map);
}

void shmt_ring_make(struct shmt_ring *ring, uint64_t capacity, uint64_t message_max)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_SPSC_CAPACITY_BYTES] = capacity,
		[SHMP_SPSC_MESSAGE_BYTES_MAX] = message_max,
	};

	make(ring, option);
}

void shmt_ring_attach_producer(struct shmt_ring *ring)
{
	shmt_place_assign(&ring->segment, SHMP_SPSC_PRODUCER);
	SHMT_REQUIRE(shmp_spsc_attach_producer(&ring->producer_map, &ring->producer) == 0);
}

void shmt_ring_attach_consumer(struct shmt_ring *ring)
{
	shmt_place_assign(&ring->segment, SHMP_SPSC_CONSUMER);
	SHMT_REQUIRE(shmp_spsc_attach_consumer(&ring->consumer_map, &ring->consumer) == 0);
}

void shmt_ring_open(struct shmt_ring *ring, uint64_t capacity, uint64_t message_max)
{
	shmt_ring_make(ring, capacity, message_max);
	shmt_ring_attach_producer(ring);
	shmt_ring_attach_consumer(ring);
}

void shmt_ring_open_summed(struct shmt_ring *ring, uint64_t capacity)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_SPSC_CAPACITY_BYTES] = capacity,
		[SHMP_SPSC_CHECKSUM] = 1,
	};

	make(ring, option);
	shmt_ring_attach_producer(ring);
	shmt_ring_attach_consumer(ring);
}

void shmt_ring_free(struct shmt_ring *ring)
{
	shmp_segment_unmap(&ring->producer_map);
	shmp_segment_unmap(&ring->consumer_map);
	shmt_segment_free(&ring->segment);
}

void shmt_ring_open_at(struct shmt_ring *ring, uint64_t capacity, uint64_t offset)
{
	SHMT_REQUIRE(offset % 8 == 0);
	shmt_ring_open(ring, capacity, 0);
	for (uint64_t at = 0; at < offset; at += 8) {
		SHMT_REQUIRE(shmt_ring_push(ring, 0, 0) == SHMP_DONE);
		SHMT_REQUIRE(shmt_ring_pop(ring, 0, 0, NULL) == SHMP_DONE);
	}
}

static uint64_t word_of(uint64_t number, uint64_t index)
{
	struct shmt_random random = { number * UINT64_C(0x100000001b3) + index };

	return shmt_random_next(&random);
}

void shmt_message_fill(uint8_t *payload, uint64_t size, uint64_t number)
{
	for (uint64_t at = 0; at < size; at += 8) {
		uint64_t word = word_of(number, at);

		memcpy(payload + at, &word, size - at < 8 ? size - at : 8);
	}
}

bool shmt_message_is(const uint8_t *payload, uint64_t size, uint64_t number)
{
	for (uint64_t at = 0; at < size; at += 8) {
		uint64_t word = word_of(number, at);

		if (memcmp(payload + at, &word, size - at < 8 ? size - at : 8) != 0)
			return false;
	}
	return true;
}

int shmt_ring_push(struct shmt_ring *ring, uint64_t size, uint64_t number)
{
	uint8_t *payload = malloc(size ? size : 1);
	int r;

	shmt_message_fill(payload, size, number);
	r = shmp_spsc_push(&ring->producer, payload, size);
	free(payload);
	return r;
}

int shmt_ring_pop(struct shmt_ring *ring, uint64_t size, uint64_t number, uint32_t *ret_flags)
{
	uint64_t room = ring->consumer.message_max;
	struct shmp_spsc_message message;
	uint8_t *buffer = malloc(room);
	int r = shmp_spsc_pop(&ring->consumer, buffer, room, &message);

	if (r == SHMP_DONE) {
		SHMT_REQUIRE(message.size == size && message.data == buffer);
		SHMT_REQUIRE(shmt_message_is(buffer, size, number));
		if (ret_flags)
			*ret_flags = message.flags;
	}
	free(buffer);
	return r;
}
