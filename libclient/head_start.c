#include "libclient/head_start.h"

#include "libclient/wait.h"

enum {
	HEAD_START_SOON = 2,   /* looks: nobody answers that fast, he was sending already */
	HEAD_START_BEGINS = 8, /* so many came that soon, one after the other */
	HEAD_START_LEAST = 4,  /* messages that a head start brings, or the stream has ended */
};

static void head_start_pause(uint64_t pauses)
{
	for (uint64_t i = 0; i < pauses; i++)
		shmc__wait_pause();
}

bool shmc__head_start_give(struct shmc__head_start *start, uint64_t taken)
{
	uint64_t came = taken - start->taken_before;

	start->taken_before = taken;
	if (start->is_stream)
		start->is_stream = came >= HEAD_START_LEAST;
	else
		start->is_stream = start->came_soon >= HEAD_START_BEGINS;
	if (!start->is_stream)
		return false;
	start->came_soon = 0;
	head_start_pause(SHMC__HEAD_START_PAUSES);
	return true;
}

void shmc__head_start_note(struct shmc__head_start *start, unsigned looks)
{
	start->came_soon = looks <= HEAD_START_SOON ? start->came_soon + 1 : 0;
}

void shmc__head_start_give_receivers(uint64_t slots)
{
	head_start_pause(slots / 4 < SHMC__HEAD_START_PAUSES ? slots / 4 : SHMC__HEAD_START_PAUSES);
}
