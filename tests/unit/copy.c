#include "protocol/copy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	LONGEST = 300,
	ROOM = LONGEST + 64
};

static void fill(uint8_t *bytes, uint8_t seed)
{
	for (size_t i = 0; i < ROOM; i++)
		bytes[i] = (uint8_t)(i * 7 + seed);
}

/* Heap blocks of the exact size: a sanitizer sees every byte too many. */
static void copy_exactly(size_t size, size_t from_offset, size_t to_offset)
{
	uint8_t *from = malloc(from_offset + size + 1), *to = malloc(to_offset + size + 1);
	uint8_t pattern[ROOM];

	fill(pattern, (uint8_t)size);
	memset(to, 0xee, to_offset + size + 1);
	memcpy(from + from_offset, pattern, size);
	shmp_copy(to + to_offset, from + from_offset, size);
	ck_assert(memcmp(to + to_offset, pattern, size) == 0);
	for (size_t i = 0; i < to_offset; i++)
		ck_assert(to[i] == 0xee);
	ck_assert(to[to_offset + size] == 0xee);
	free(from);
	free(to);
}

TEST(every_size_is_copied_exactly_at_every_alignment, .timeout_s = 60)
{
	for (size_t size = 0; size <= LONGEST; size++)
		for (size_t from = 0; from < 16; from++)
			for (size_t to = 0; to < 16; to++)
				copy_exactly(size, from, to);
}

TEST(nothing_outside_is_written)
{
	uint8_t from[ROOM], to[ROOM], before[ROOM];

	for (size_t size = 0; size <= LONGEST; size++) {
		fill(from, 1);
		fill(to, 100);
		memcpy(before, to, ROOM);
		shmp_copy(to + 32, from + 32, size);
		ck_assert_int_eq(memcmp(to, before, 32), 0);
		ck_assert_int_eq(memcmp(to + 32, from + 32, size), 0);
		ck_assert_int_eq(memcmp(to + 32 + size, before + 32 + size, ROOM - 32 - size), 0);
	}
}

#if defined(__SANITIZE_THREAD__)
#define RACES_ARE_SEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACES_ARE_SEEN 1
#endif
#endif

#ifndef RACES_ARE_SEEN
/* Somebody else turns all bits of the source over and over. */
struct turned {
	_Alignas(8) _Atomic uint64_t word;
	uint8_t rest[SHMP_COPY_INLINE]; /* gcc looks at sizes that never are */
	_Atomic bool is_over;
};

static void *turn(void *context)
{
	struct turned *turned = context;

	while (!atomic_load(&turned->is_over)) {
		atomic_store(&turned->word, UINT64_MAX);
		atomic_store(&turned->word, 0);
	}
	return NULL;
}

TEST(aligned_numbers_are_copied_whole, .timeout_s = 60)
{
	struct turned turned = { .word = 0 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, turn, &turned), 0);
	for (uint64_t i = 0; i < 3000000; i++) {
		uint64_t size = UINT64_C(1) << i % 4, value;
		uint8_t room[SHMP_COPY_INLINE] = { 0 };

		/* hidden, as the size of an element is */
		__asm__ volatile("" : "+r"(size));
		shmp_copy(room, (const void *)&turned.word, size);
		memcpy(&value, room, sizeof(value));
		SHMT_REQUIRE(value == 0 || value == UINT64_MAX >> (64 - 8 * size));
	}
	atomic_store(&turned.is_over, true);
	pthread_join(thread, NULL);
}
#endif

SHMT_MAIN
