/*
 * record: in a transaction each writer counts itself, and sets all other elements to what follows from
 * the counts. Every version that is seen is whole, and none is older than the last.
 */
#include <stdatomic.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

enum {
	WORDS = 128, /* the first ones are the counts, by the seat's place */
};

/* Notes: of what was seen, by place; then of changes. */
enum {
	MEANT = SOAK_LANE_SEATS_MAX,
	DONE,
};

static const struct shmc_field fields[] = {
	{ .name = "words", .type = SHMC_TYPE_U64, .count = WORDS },
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_record_options options = {
		.fields = fields, .field_count = 1, .version = 1, .reuse = 1
	};

	return shmc_record_create(client, segment, &options, error);
}

static enum shmc_result open_writer(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_record_open(client, segment, SHMC_RECORD_WRITER, NULL,
				(struct shmc_record **)ret_handle, error);
}

static enum shmc_result open_watcher(struct shmc_client *client, const char *segment,
				     void **ret_handle, struct shmc_error *error)
{
	return shmc_record_open(client, segment, SHMC_RECORD_WATCHER, NULL,
				(struct shmc_record **)ret_handle, error);
}

static void close_record(void *handle)
{
	shmc_record_close(handle);
}

static uint64_t filling(const uint64_t *words, uint32_t at)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SOAK_LANE_SEATS_MAX; i++)
		sum += words[i];
	return sum * UINT64_C(0x9e3779b97f4a7c15) + at;
}

/* What is in the snapshot, or in the draft. */
static void check(struct soak_player *player, uint64_t *words)
{
	struct soak_seat *seat = player->seat;
	struct shmc_place place = { 0 };
	uint64_t count = 0;

	if (shmc_record_find(player->handle, "words", &place) != SHMC_OK ||
	    shmc_record_get_array(player->handle, &place, SHMC_TYPE_U64, words, WORDS, &count) !=
		    SHMC_OK)
		soak_wrong(player->book, seat, "get is refused");
	if (count == 0)
		return; /* nobody has written yet */
	for (uint32_t i = SOAK_LANE_SEATS_MAX; i < WORDS; i++) {
		if (words[i] == filling(words, i))
			continue;
		soak_wrong(player->book, seat, "word %u is torn", i);
		break;
	}
	for (uint32_t i = 0; i < player->lane->seat_count; i++) {
		const struct soak_seat *other = &player->book->seats[player->lane->seats[i]];
		uint64_t seen = atomic_exchange(&seat->notes[i], words[i]);

		if (words[i] < seen || words[i] > atomic_load(&other->notes[MEANT]))
			soak_wrong(player->book, seat, "seat %u has %llu after %llu", i,
				   (unsigned long long)words[i], (unsigned long long)seen);
	}
}

static bool change(struct soak_player *player)
{
	struct soak_seat *seat = player->seat;
	uint64_t words[WORDS] = { 0 };
	struct shmc_place place = { 0 };
	enum shmc_result result = shmc_record_begin(player->handle, soak_patience(player));

	if (result == SHMC_TIMEOUT)
		return false;
	if (result != SHMC_OK) {
		soak_wrong(player->book, seat, "begin says %s", shmc_result_name(result));
		return false;
	}
	check(player, words);
	if (words[seat->place] < atomic_load(&seat->notes[DONE]))
		soak_wrong(player->book, seat, "a change was lost");
	words[seat->place]++;
	atomic_store(&seat->notes[MEANT], words[seat->place]);
	for (uint32_t i = SOAK_LANE_SEATS_MAX; i < WORDS; i++)
		words[i] = filling(words, i);
	shmc_record_find(player->handle, "words", &place);
	if (shmt_random_below(&player->random, 100) == 0)
		soak_sleep_ns(shmt_random_below(&player->random, 20) * SOAK_MS);
	if (shmc_record_put_array(player->handle, &place, SHMC_TYPE_U64, words, WORDS) != SHMC_OK ||
	    shmc_record_commit(player->handle) != SHMC_OK)
		soak_wrong(player->book, seat, "put or commit is refused");
	atomic_store(&seat->notes[DONE], words[seat->place]);
	return true;
}

static bool watch(struct soak_player *player)
{
	uint64_t words[WORDS] = { 0 };
	enum shmc_result result = shmc_record_wait(player->handle, soak_patience(player));

	if (result == SHMC_OK)
		check(player, words);
	else if (result != SHMC_EMPTY && result != SHMC_TIMEOUT)
		soak_wrong(player->book, player->seat, "wait says %s", shmc_result_name(result));
	return result == SHMC_OK;
}

static const struct soak_cell writer = { open_writer, close_record, change, 1 };
static const struct soak_cell watcher = { open_watcher, close_record, watch, 0 };

static void play_writer(struct soak_player *player)
{
	soak_cell_play(player, &writer);
}

static void play_watcher(struct soak_player *player)
{
	soak_cell_play(player, &watcher);
}

static void account(struct soak_player *heir)
{
	struct soak_lane *lane = heir->lane;
	uint64_t words[WORDS] = { 0 };

	soak_cell_open(heir, &watcher);
	if (shmc_record_snapshot(heir->handle) == SHMC_OK)
		check(heir, words);
	for (uint32_t i = 0; i < lane->seat_count; i++) {
		const struct soak_seat *seat = &heir->book->seats[lane->seats[i]];

		if (words[i] < atomic_load(&seat->notes[DONE]))
			soak_wrong(heir->book, seat, "a change was lost");
		lane->account.messages += words[i];
		lane->account.delivered += words[i];
	}
	close_record(heir->handle);
}

const struct soak_kind soak_record = {
	.name = "record",
	.lanes = 1,
	.create = create,
	.roles = { { "writer", 2, 1, play_writer }, { "watcher", 2, 0, play_watcher } },
	.account = account,
};
