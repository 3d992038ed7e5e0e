/*
 * States: those that an exploration came to, by their hash, and how many schedules follow on each.
 */
#ifndef SHMT_STATES_H
#define SHMT_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct states {
	struct state *table;
	size_t count, room; /* a power of two */
};

/* False, and from now on it is there with 0, when nobody came to it before. @hash is not 0. */
bool states_find(struct states *states, uint64_t hash, uint64_t *ret_schedules);
/* Of one that was found, or not. */
void states_set(struct states *states, uint64_t hash, uint64_t schedules);
/* There are none. */
void states_clear(struct states *states);

#endif
