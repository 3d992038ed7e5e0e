/* array: each writer has an element that counts its changes; who reads sees each of them grow. */
#include <stdatomic.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

/* Notes: how far an element was meant to be counted, and how far it was; of a reader, what it saw of
 * each. */
enum {
	MEANT = SOAK_LANE_SEATS_MAX,
	DONE,
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_array_options options = { .elements = SOAK_LANE_SEATS_MAX,
					      .element_type = SHMC_TYPE_U64,
					      .reuse = 1 };

	return shmc_array_create(client, segment, &options, error);
}

static enum shmc_result open_writer(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_array_open(client, segment, SHMC_ARRAY_WRITER, NULL,
			       (struct shmc_array **)ret_handle, error);
}

static enum shmc_result open_reader(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_array_open(client, segment, SHMC_ARRAY_READER, NULL,
			       (struct shmc_array **)ret_handle, error);
}

static void close_array(void *handle)
{
	shmc_array_close(handle);
}

static bool change(struct soak_player *player)
{
	struct soak_seat *seat = player->seat;
	uint64_t value = 0;

	if (shmc_array_get(player->handle, seat->place, &value, sizeof(value)) != SHMC_OK ||
	    value < atomic_load(&seat->notes[DONE]) || value > atomic_load(&seat->notes[MEANT]))
		soak_wrong(player->book, seat, "its element is %llu, it has set %llu",
			   (unsigned long long)value,
			   (unsigned long long)atomic_load(&seat->notes[DONE]));
	value = atomic_fetch_add(&seat->notes[MEANT], 1) + 1;
	if (shmc_array_set(player->handle, seat->place, &value, sizeof(value)) != SHMC_OK)
		soak_wrong(player->book, seat, "set is refused");
	atomic_store(&seat->notes[DONE], value);
	return true;
}

static bool look(struct soak_player *player)
{
	struct soak_book *book = player->book;
	struct soak_lane *lane = player->lane;
	uint64_t values[SOAK_LANE_SEATS_MAX] = { 0 };

	if (shmc_array_read(player->handle, 0, SOAK_LANE_SEATS_MAX, values) != SHMC_OK)
		soak_wrong(book, player->seat, "read is refused");
	for (uint32_t i = 0; i < lane->seat_count; i++) {
		uint64_t seen = atomic_exchange(&player->seat->notes[i], values[i]);
		uint64_t meant = atomic_load(&book->seats[lane->seats[i]].notes[MEANT]);

		if (values[i] < seen || values[i] > meant)
			soak_wrong(book, player->seat, "element %u is %llu after %llu", i,
				   (unsigned long long)values[i], (unsigned long long)seen);
	}
	return true;
}

static const struct soak_cell writer = { open_writer, close_array, change, 1 };
static const struct soak_cell reader = { open_reader, close_array, look, 0 };

static void play_writer(struct soak_player *player)
{
	soak_cell_play(player, &writer);
}

static void play_reader(struct soak_player *player)
{
	soak_cell_play(player, &reader);
}

static void account(struct soak_player *heir)
{
	struct soak_lane *lane = heir->lane;

	soak_cell_open(heir, &reader);
	look(heir);
	for (uint32_t i = 0; i < lane->seat_count; i++) {
		const struct soak_seat *seat = &heir->book->seats[lane->seats[i]];
		uint64_t value = 0, done = atomic_load(&seat->notes[DONE]);

		shmc_array_get(heir->handle, i, &value, sizeof(value));
		if (value < done || value > atomic_load(&seat->notes[MEANT]))
			soak_wrong(heir->book, seat, "its element is %llu, it has set %llu",
				   (unsigned long long)value, (unsigned long long)done);
		lane->account.messages += value;
		lane->account.delivered += value;
	}
	close_array(heir->handle);
}

const struct soak_kind soak_array = {
	.name = "array",
	.lanes = 1,
	.create = create,
	.roles = { { "writer", 2, 1, play_writer }, { "reader", 1, 0, play_reader } },
	.account = account,
};
