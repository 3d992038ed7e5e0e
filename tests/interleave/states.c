#include "tests/interleave/states.h"

#include "tests/support/segment.h"

struct state {
	uint64_t hash; /* 0: none */
	uint64_t schedules;
};

static struct state *look_up(const struct states *states, uint64_t hash)
{
	size_t at = hash & (states->room - 1);

	while (states->table[at].hash != 0 && states->table[at].hash != hash)
		at = (at + 1) & (states->room - 1);
	return &states->table[at];
}

static void widen(struct states *states)
{
	struct states wider = { .count = states->count,
				.room = states->room ? 2 * states->room : 1024 };

	wider.table = calloc(wider.room, sizeof(*wider.table));
	SHMT_REQUIRE(wider.table);
	for (size_t i = 0; i < states->room; i++)
		if (states->table[i].hash != 0)
			*look_up(&wider, states->table[i].hash) = states->table[i];
	free(states->table);
	*states = wider;
}

bool states_find(struct states *states, uint64_t hash, uint64_t *ret_schedules)
{
	struct state *state;

	if (2 * states->count >= states->room)
		widen(states);
	state = look_up(states, hash);
	if (state->hash == hash) {
		*ret_schedules = state->schedules;
		return true;
	}
	state->hash = hash;
	states->count++;
	return false;
}

void states_set(struct states *states, uint64_t hash, uint64_t schedules)
{
	look_up(states, hash)->schedules = schedules;
}

void states_clear(struct states *states)
{
	free(states->table);
	*states = (struct states){ .table = NULL };
}
