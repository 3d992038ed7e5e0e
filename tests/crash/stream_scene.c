#include "tests/crash/stream_scene.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"

struct scene scene;

uint64_t scene_size(uint64_t number)
{
	return number * 37 % SCENE_LONGEST;
}

static void move_to(uint64_t offset)
{
	static const uint8_t filler[SCENE_CAPACITY];
	struct shmp_stream_frame frame;
	uint8_t buffer[SCENE_CAPACITY];

	while ((shmp_spsc_head(&scene.stream.writer.ring) - offset) % SCENE_RING != 0) {
		SHMT_REQUIRE(shmp_stream_write(&scene.stream.writer, filler, 0) == SHMP_DONE);
		SHMT_REQUIRE(shmp_stream_read(&scene.stream.reader, buffer, sizeof(buffer),
					      &frame) == SHMP_DONE);
	}
	scene.first = scene.next = scene.stream.writer.sequence;
}

void scene_open(const char *name, uint64_t offset)
{
	memset(&scene, 0, sizeof(scene));
	shmt_stream_open(&scene.stream, SCENE_CAPACITY, SCENE_METADATA);
	scene.witness = (uint8_t *)scene.stream.segment.map.control +
			sizeof(struct shmp_stream_control);
	memset(scene.witness, SCENE_UNTOUCHED, SCENE_LONGEST);
	move_to(offset);
	scene.name = name;
	scene.deaths = (struct deaths){
		.segment = &scene.stream.segment,
		.own = &scene.stream.writer,
		.own_bytes = sizeof(scene) - offsetof(struct scene, stream.writer) -
			     (sizeof(scene) - offsetof(struct scene, deaths)),
	};
}

void scene_close(void)
{
	shmt_stream_free(&scene.stream);
}

void scene_publish(void)
{
	SHMT_REQUIRE(shmt_stream_write(&scene.stream, scene_size(scene.next), scene.next) ==
		     SHMP_DONE);
	scene.next++;
}

void scene_hold(int index)
{
	SHMT_REQUIRE(shmp_stream_lend(&scene.stream.reader, &scene.held[index]) == SHMP_DONE);
}

void scene_compose(uint64_t size)
{
	scene.size = size;
	shmt_message_fill(scene.payload, size, scene.next);
}

void scene_kill_everywhere(void (*operate)(void *), void (*check)(void *), const char *how)
{
	snprintf(scene.full_name, sizeof(scene.full_name), "%s; %s", scene.name, how);
	scene.deaths.name = scene.full_name;
	scene.deaths.operate = operate;
	scene.deaths.check = check;
	deaths_everywhere(&scene.deaths);
}

/* In place, since handles point into it. */
static void share_scene(void)
{
	struct scene *copy = malloc(sizeof(scene));

	SHMT_REQUIRE(copy);
	memcpy(copy, &scene, sizeof(scene));
	SHMT_REQUIRE(mmap(&scene, sizeof(scene), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == &scene);
	memcpy(&scene, copy, sizeof(scene));
	free(copy);
}

void scene_stop_everywhere(void (*operate)(void *), void (*meanwhile)(void *),
			   void (*check)(void *), const char *how)
{
	share_scene();
	scene.deaths.meanwhile = meanwhile;
	scene_kill_everywhere(operate, check, how);
}

void scene_bury(uint32_t place)
{
	const struct shmt_segment *segment = &scene.stream.segment;

	shmt_place_vacate(segment, place, true, 1 + (int)(scene.deaths.point % 3));
	SCENE_CHECK(!shmp_stream_kind.waits(&segment->map, place));
}

uint64_t scene_drain(uint64_t number, int end)
{
	struct shmp_stream_frame frame;
	uint8_t buffer[SCENE_CAPACITY];
	int r;

	while ((r = shmp_stream_read(&scene.stream.reader, buffer, sizeof(buffer), &frame)) ==
	       SHMP_DONE) {
		uint64_t size = number == scene.next ? scene.size : scene_size(number);

		SCENE_CHECK(number < SCENE_NUMBERS + scene.first);
		SCENE_CHECK(frame.sequence == number && frame.expected == number);
		SCENE_CHECK(frame.size == size);
		SCENE_CHECK(shmt_message_is(buffer, size, number));
		scene.flags[number - scene.first] = frame.flags;
		number++;
	}
	SCENE_CHECK(r == end);
	return number;
}

void scene_go_on(uint64_t number)
{
	struct shmt_stream *stream = &scene.stream;

	for (int i = 0; i < 40; i++, number++) {
		SCENE_CHECK(shmt_stream_write(stream, scene_size(number), number) == SHMP_DONE);
		SCENE_CHECK(shmt_stream_read(stream, scene_size(number), number, number) ==
			    SHMP_DONE);
	}
	SCENE_CHECK(shmt_stream_figure(stream, "free_bytes") == SCENE_CAPACITY);
	SCENE_CHECK(shmt_stream_write(stream, SCENE_CAPACITY, number) == SHMP_DONE);
	SCENE_CHECK(shmt_stream_read(stream, SCENE_CAPACITY, number, number) == SHMP_DONE);
}
