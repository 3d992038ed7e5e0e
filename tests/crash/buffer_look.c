/*
 * Somebody looks at a buffer from any point of a write on, and the write goes on in the middle of
 * the look's copy: what is shown as whole is all of before or all of after.
 */
#include "protocol/buffer.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	WRITER = 0,
	OTHER = 1,
	BEFORE = 0x11,
	AFTER = 0x22,
	RANGE = 128, /* half of it on either page */
	FIRST = SHMP_PAGE - RANGE / 2,
	BYTES = 2 * SHMP_PAGE,
};

struct scene {
	struct shmt_segment segment;
	struct shmp_segment eye; /* the looker's view of it */
	struct shmp_buffer writer, other;
	struct stepper stepper;
	struct stepper_path path;
	bool lets_go;
	bool has_ended;	     /* the write, before the look */
	unsigned long whole; /* ranges shown as such */
};

static struct scene scene;

/* Word by word: how often a single step stops within memset is the processor's affair. */
static void set_range(const struct shmp_buffer *buffer, uint64_t byte)
{
	volatile uint64_t *word = (void *)shmp_buffer_at(buffer, FIRST);

	for (uint64_t i = 0; i < RANGE / sizeof(*word); i++)
		word[i] = byte * UINT64_C(0x0101010101010101);
}

static void nothing(void *context)
{
	(void)context;
}

static void write_all(void *context)
{
	(void)context;
	shmp_lock_try_write(&scene.writer.locker);
	set_range(&scene.writer, AFTER);
	if (scene.lets_go)
		shmp_lock_unlock(&scene.writer.locker);
}

/* The copy has come to the second page: the write is done first. */
static void on_fault(int number)
{
	(void)number;
	SHMT_REQUIRE(mprotect(scene.eye.data, BYTES, PROT_READ) == 0);
	if (!scene.has_ended)
		stepper_go_to(&scene.stepper, &scene.path, scene.path.count);
}

static int note(void *context, const struct shmp_item *item)
{
	const uint8_t *bytes = item->payload;

	(void)context;
	SHMT_REQUIRE(item->payload_bytes == RANGE);
	if (!item->state) {
		scene.whole++;
		SHMT_REQUIRE(memcmp(bytes, bytes + 1, RANGE - 1) == 0);
	}
	return 0;
}

static void look(void)
{
	uint8_t room[RANGE];
	struct shmp_look look = { .from = FIRST, .max = 1, .room = room, .room_bytes = RANGE };

	SHMT_REQUIRE(mprotect(scene.eye.data + SHMP_PAGE, SHMP_PAGE, PROT_NONE) == 0);
	SHMT_REQUIRE(shmp_buffer_kind.look(&scene.eye, &look, note, NULL) == 0);
}

static void take_place(void)
{
	shmt_place_assign(&scene.segment, WRITER);
	SHMT_REQUIRE(shmp_buffer_attach(&scene.segment.map, WRITER, &scene.writer) == 0);
}

static void clear_up(void)
{
	shmt_place_vacate(&scene.segment, WRITER, true, 1);
	if (shmp_lock_try_write(&scene.other.locker) == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(&scene.other.locker);
	set_range(&scene.other, BEFORE);
	SHMT_REQUIRE(shmp_lock_unlock(&scene.other.locker) == SHMP_DONE);
	take_place();
}

static void open_scene(bool lets_go)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { BYTES, 2, 1 };

	scene = (struct scene){ .lets_go = lets_go };
	shmt_segment_make(&scene.segment, "buffer", option);
	shmt_segment_map(&scene.segment, "observer", &scene.eye);
	shmt_place_assign(&scene.segment, OTHER);
	SHMT_REQUIRE(shmp_buffer_attach(&scene.segment.map, OTHER, &scene.other) == 0);
	take_place();
	set_range(&scene.other, BEFORE);
	signal(SIGSEGV, on_fault);
}

static void look_everywhere(bool lets_go)
{
	open_scene(lets_go);
	scene.stepper.may_stray = true; /* the clock's path is not always the same */
	stepper_start(&scene.stepper, nothing, write_all, NULL);
	stepper_measure(&scene.stepper, &scene.path);
	stepper_kill(&scene.stepper);
	clear_up();
	for (unsigned long point = 0; point < scene.path.count; point++) {
		stepper_start(&scene.stepper, nothing, write_all, NULL);
		scene.has_ended = stepper_go_to(&scene.stepper, &scene.path, point) ==
				  STEPPER_ENDED;
		look();
		stepper_kill(&scene.stepper);
		clear_up();
	}
	ck_assert_uint_gt(scene.path.count, 20);
	signal(SIGSEGV, SIG_DFL);
	stepper_forget(&scene.path);
	shmp_segment_unmap(&scene.eye);
	shmt_segment_free(&scene.segment);
}

TEST(a_range_that_is_written_meanwhile_is_not_shown_as_whole, .timeout_s = 120)
{
	look_everywhere(false);
}

TEST(a_range_that_was_written_meanwhile_is_shown_whole, .timeout_s = 120)
{
	look_everywhere(true);
	ck_assert_uint_gt(scene.whole, 0);
}

DEATHS_MAIN
