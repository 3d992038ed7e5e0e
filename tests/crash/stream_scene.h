/*
 * Stream scene: a stream in a certain state, an operation of one side, and the end of that side
 * after every instruction of it, or it is stopped there. See deaths.h.
 *
 * Frames are numbered by their sequence numbers, and the number decides length and bytes. Before
 * the operation, first .. next - 1 are published and not given back.
 */
#ifndef SHMT_STREAM_SCENE_H
#define SHMT_STREAM_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/deaths.h"
#include "tests/support/stream.h"

enum {
	SCENE_RING = 4096,
	SCENE_CAPACITY = SCENE_RING - SHMP_STREAM_OVERHEAD,
	SCENE_LONGEST = 300, /* frame before the operation */
	SCENE_METADATA = SCENE_LONGEST,
	SCENE_NUMBERS = 256,
	SCENE_HELD = 4,
	SCENE_UNTOUCHED = 0xee,
};

struct scene {
	_Alignas(SHMP_PAGE) struct shmt_stream stream;
	struct shmp_stream_frame held[SCENE_HELD]; /* by the reader, before the operation */
	uint64_t next;				   /* number of the next frame */
	uint64_t first;				   /* number of the first that is not taken */
	uint64_t size;				   /* of the frame that the operation sends */
	uint8_t payload[SCENE_CAPACITY];	   /* of it */
	/* SCENE_LONGEST bytes that outlive the child, where it reads to: room for metadata, so that
	 * it is put back with the rest */
	uint8_t *witness;
	uint32_t flags[SCENE_NUMBERS]; /* of the frames that scene_drain got */
	int r;			       /* what the operation of one who was stopped said */
	const char *name;
	char full_name[100];
	struct deaths deaths;
};

extern struct scene scene;

/* An empty stream whose next frame begins at ring offset @offset, a multiple of 16, and has number
 * @number or above; both roles are held. */
void scene_open(const char *name, uint64_t offset);
void scene_close(void);

/* Publishes frame next. */
void scene_publish(void);
/* Lends the next one to the reader, as held[@index]. */
void scene_hold(int index);
/* Makes ready frame next, for the operation to send. */
void scene_compose(uint64_t size);

/* @how: what the check does, beside the scene's name. */
void scene_kill_everywhere(void (*operate)(void *), void (*check)(void *), const char *how);
/* The same with one who is stopped while the others do @meanwhile, and goes on to the end. From now
 * on what the child does to the scene is seen. */
void scene_stop_everywhere(void (*operate)(void *), void (*meanwhile)(void *),
			   void (*check)(void *), const char *how);

#define SCENE_CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

/* The broker's part; it, too, dies after some of the repairs. */
void scene_bury(uint32_t place);
/* The reader takes what must be frames @number, ... until there is none, which must be told by
 * @end. Return: the number of the first that did not come. */
uint64_t scene_drain(uint64_t number, int end);
/* Both go on, with frame @number, for some laps; the whole capacity can be used. */
void scene_go_on(uint64_t number);
/* Lengths, so that numbers tell themselves apart. */
uint64_t scene_size(uint64_t number);

#endif
