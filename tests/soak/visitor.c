/*
 * visitor: makes segments, of some MiB that are touched, opens them, removes them, and dies anywhere
 * in between. Each is made or not, and in the end none is left.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

/* Notes. */
enum {
	NUMBER, /* of what it makes, or has made */
	MADE,
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	return shmc_atomic_create(client, segment, NULL, error);
}

static enum shmc_result open_lane(struct shmc_client *client, const char *segment,
				  void **ret_handle, struct shmc_error *error)
{
	return shmc_atomic_open(client, segment, SHMC_ATOMIC_WRITER, SHMC_TYPE_BYTES,
				(struct shmc_atomic **)ret_handle, error);
}

static void close_lane(void *handle)
{
	shmc_atomic_close(handle);
}

static void name_it(const struct soak_seat *seat, uint64_t number, char *name, size_t bytes)
{
	snprintf(name, bytes, "visitor/%u/%llu", seat->place, (unsigned long long)number);
}

/* Whoever was here before may have left it, or not. Return: whether it was there. */
static bool remove_it(struct soak_player *player, const char *name)
{
	struct shmc_error error = { .text = "" };
	enum shmc_result result;
	uint64_t since_ns = 0;

	do
		result = shmc_unlink(player->client, name, &error);
	while (result != SHMC_NOT_FOUND && soak_again(player, result, &error, &since_ns));
	return result == SHMC_OK;
}

static void make_it(struct soak_player *player, const char *name)
{
	struct shmc_create_options common = { .flags = SHMC_CREATE_PREFAULT };
	struct shmc_spsc_options options = { .reuse = 1, .common = &common };
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0;

	/* by number, so that a second try makes the same */
	options.capacity_bytes = UINT64_C(4096) << atomic_load(&player->seat->notes[NUMBER]) % 12;
	while (soak_again(player, shmc_spsc_create(player->client, name, &options, &error), &error,
			  &since_ns))
		;
}

static bool visit(struct soak_player *player)
{
	struct soak_seat *seat = player->seat;
	struct shmc_error error = { .text = "" };
	struct shmc_spsc *queue = NULL;
	uint64_t since_ns = 0;
	char name[64];

	name_it(seat, atomic_load(&seat->notes[NUMBER]), name, sizeof(name));
	remove_it(player, name);
	name_it(seat, atomic_fetch_add(&seat->notes[NUMBER], 1) + 1, name, sizeof(name));
	make_it(player, name);
	while (soak_again(player,
			  shmc_spsc_open(player->client, name, SHMC_SPSC_PRODUCER, &queue, &error),
			  &error, &since_ns))
		;
	if (shmc_spsc_push(queue, name, sizeof(name), SHMC_TRY) != SHMC_OK)
		soak_wrong(player->book, seat, "a new queue is full");
	if (shmt_random_below(&player->random, 2))
		remove_it(player, name); /* while it is open */
	shmc_spsc_close(queue);
	atomic_fetch_add(&seat->notes[MADE], 1);
	return shmt_random_below(&player->random, 4) != 0;
}

static const struct soak_cell cell = { open_lane, close_lane, visit, 1 };

static void play(struct soak_player *player)
{
	soak_cell_play(player, &cell);
}

/*
 * Everybody begins by removing the last one, of whoever it was, and what the dead were asking for is
 * not made behind their successors' backs: only the very last one of a seat may be there.
 */
static void account(struct soak_player *heir)
{
	struct soak_lane *lane = heir->lane;

	for (uint32_t i = 0; i < lane->seat_count; i++) {
		const struct soak_seat *seat = &heir->book->seats[lane->seats[i]];
		uint64_t last = atomic_load(&seat->notes[NUMBER]), late = 0;

		for (uint64_t number = 1; number <= last; number++) {
			char name[64];

			name_it(seat, number, name, sizeof(name));
			late += remove_it(heir, name);
		}
		if (late > 1)
			soak_wrong(heir->book, seat, "%llu segments were left in %u lives",
				   (unsigned long long)late, atomic_load(&seat->lives));
		lane->account.messages += last;
		lane->account.delivered += atomic_load(&seat->notes[MADE]);
		lane->account.taken += late;
	}
}

const struct soak_kind soak_visitor = {
	.name = "visitor",
	.lanes = 1,
	.calls = 1,
	.create = create,
	.roles = { { "visitor", 3, 1, play } },
	.account = account,
};
