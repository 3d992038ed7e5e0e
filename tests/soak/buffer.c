/*
 * buffer: under the lock each writer counts itself, and fills all of the buffer with what follows from
 * the counts. Whoever gets the lock finds it so, and the counts as all seats know them, or is told
 * that an owner died; then he mends it.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

enum {
	WORDS = 256, /* the first ones are the counts, by the seat's place */
};

/* Notes. */
enum {
	COUNT,	/* of changes; that of one who died in the middle of one counts as well */
	MENDED, /* so often */
	READ,
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_buffer_options options = { .size_bytes = WORDS * sizeof(uint64_t), .reuse = 1 };

	return shmc_buffer_create(client, segment, &options, error);
}

static enum shmc_result open_writer(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_buffer_open(client, segment, SHMC_BUFFER_WRITER,
				(struct shmc_buffer **)ret_handle, error);
}

static enum shmc_result open_reader(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_buffer_open(client, segment, SHMC_BUFFER_READER,
				(struct shmc_buffer **)ret_handle, error);
}

static void close_buffer(void *handle)
{
	shmc_buffer_close(handle);
}

static uint64_t filling(const uint64_t *words, uint32_t at)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SOAK_LANE_SEATS_MAX; i++)
		sum += words[i];
	return sum * UINT64_C(0x9e3779b97f4a7c15) + at;
}

static struct soak_seat *seat_at(const struct soak_player *player, uint32_t place)
{
	return &player->book->seats[player->lane->seats[place]];
}

/* With the lock. */
static void check(struct soak_player *player)
{
	uint64_t words[WORDS] = { 0 };

	shmc_buffer_read(player->handle, 0, words, sizeof(words));
	for (uint32_t i = 0; i < player->lane->seat_count; i++) {
		uint64_t count = atomic_load(&seat_at(player, i)->notes[COUNT]);

		if (words[i] != count)
			soak_wrong(player->book, player->seat, "seat %u has %llu, and noted %llu",
				   i, (unsigned long long)words[i], (unsigned long long)count);
	}
	if (filling(words, 0) == 0)
		return; /* new */
	for (uint32_t i = SOAK_LANE_SEATS_MAX; i < WORDS; i++) {
		if (words[i] == filling(words, i))
			continue;
		soak_wrong(player->book, player->seat, "word %u is torn", i);
		return;
	}
}

/* With the lock to write: as the notes say. */
static void fill(struct soak_player *player)
{
	uint64_t words[WORDS] = { 0 };

	for (uint32_t i = 0; i < player->lane->seat_count; i++)
		words[i] = atomic_load(&seat_at(player, i)->notes[COUNT]);
	for (uint32_t i = SOAK_LANE_SEATS_MAX; i < WORDS; i++)
		words[i] = filling(words, i);
	shmc_buffer_write(player->handle, 0, words, sizeof(words));
}

static bool put_up_with(struct soak_player *player, enum shmc_result result)
{
	if (result != SHMC_TIMEOUT)
		soak_wrong(player->book, player->seat, "lock says %s", shmc_result_name(result));
	return false;
}

static void linger(struct soak_player *player)
{
	if (shmt_random_below(&player->random, 100) == 0)
		soak_sleep_ns(shmt_random_below(&player->random, 20) * SOAK_MS);
}

static bool change(struct soak_player *player)
{
	enum shmc_result result = shmc_buffer_lock_write(player->handle, soak_patience(player));

	if (result == SHMC_OK) {
		check(player);
	} else if (result == SHMC_OWNER_DIED) {
		fill(player);
		shmc_buffer_mark_consistent(player->handle);
		atomic_fetch_add(&player->seat->notes[MENDED], 1);
	} else {
		return put_up_with(player, result);
	}
	atomic_fetch_add(&player->seat->notes[COUNT], 1);
	linger(player);
	fill(player);
	if (shmc_buffer_unlock(player->handle) != SHMC_OK)
		soak_wrong(player->book, player->seat, "unlock is refused");
	return true;
}

static bool look(struct soak_player *player)
{
	enum shmc_result result = shmc_buffer_lock_read(player->handle, soak_patience(player));

	if (result == SHMC_OK)
		check(player);
	else if (result != SHMC_OWNER_DIED)
		return put_up_with(player, result);
	atomic_fetch_add(&player->seat->notes[READ], 1);
	if (shmc_buffer_unlock(player->handle) != SHMC_OK)
		soak_wrong(player->book, player->seat, "unlock is refused");
	return result == SHMC_OK;
}

static const struct soak_cell writer = { open_writer, close_buffer, change, 1 };
static const struct soak_cell reader = { open_reader, close_buffer, look, 0 };

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
	struct soak_account *account = &heir->lane->account;

	soak_cell_open(heir, &writer);
	while (!change(heir))
		;
	change(heir); /* mended, if there was anything to mend */
	close_buffer(heir->handle);
	for (uint32_t i = 0; i < heir->lane->seat_count; i++) {
		const struct soak_seat *seat = seat_at(heir, i);

		account->messages += atomic_load(&seat->notes[COUNT]);
		account->delivered += atomic_load(&seat->notes[COUNT]);
		account->repeats += atomic_load(&seat->notes[MENDED]);
	}
}

const struct soak_kind soak_buffer = {
	.name = "buffer",
	.lanes = 1,
	.create = create,
	.roles = { { "writer", 3, 1, play_writer }, { "reader", 1, 0, play_reader } },
	.account = account,
};
