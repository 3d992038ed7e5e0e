/* pool: what one has acquired nobody else writes into, and all of it is free in the end. */
#include <stdatomic.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

enum {
	OBJECTS = 16,
	BATCH = 3,
	WORDS = 32,
};

/* Notes. */
enum {
	ACQUIRED,
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_pool_options options = { .object_bytes = WORDS * sizeof(uint64_t),
					     .objects = OBJECTS,
					     .reuse = 1 };

	return shmc_pool_create(client, segment, &options, error);
}

static enum shmc_result open_pool(struct shmc_client *client, const char *segment,
				  void **ret_handle, struct shmc_error *error)
{
	return shmc_pool_open(client, segment, SHMC_POOL_USER, NULL,
			      (struct shmc_pool **)ret_handle, error);
}

static void close_pool(void *handle)
{
	shmc_pool_close(handle);
}

static void fill(uint64_t *words, uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = value + i;
}

static bool is_filled(const uint64_t *words, uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (words[i] != value + i)
			return false;
	return true;
}

/* On its way to anyone, and back again. */
static void give_and_take(struct soak_player *player, uint64_t handle)
{
	void *data;

	if (shmc_pool_transfer(player->handle, handle, SHMC_POOL_ANYONE) != SHMC_OK ||
	    shmc_pool_claim(player->handle, handle, &data) != SHMC_OK)
		soak_wrong(player->book, player->seat, "what was given is not to be had again");
}

static bool use(struct soak_player *player)
{
	uint64_t handles[BATCH], count = 0;
	uint64_t value = shmt_random_next(&player->random);
	enum shmc_result result = shmc_pool_acquire_batch(
		player->handle, 1 + shmt_random_below(&player->random, BATCH),
		soak_patience(player), handles, &count);

	if (result != SHMC_OK) {
		if (result != SHMC_EMPTY && result != SHMC_TIMEOUT)
			soak_wrong(player->book, player->seat, "acquire says %s",
				   shmc_result_name(result));
		return false;
	}
	atomic_fetch_add(&player->seat->notes[ACQUIRED], count);
	for (uint64_t i = 0; i < count; i++)
		fill(shmc_pool_data(player->handle, handles[i]), value + i);
	if (shmt_random_below(&player->random, 60) == 0)
		soak_sleep_ns(shmt_random_below(&player->random, 40) * SOAK_MS);
	for (uint64_t i = 0; i < count; i++) {
		if (!is_filled(shmc_pool_data(player->handle, handles[i]), value + i))
			soak_wrong(player->book, player->seat, "an object is in two hands");
		if (shmt_random_below(&player->random, 8) == 0)
			give_and_take(player, handles[i]);
		if (shmc_pool_release(player->handle, handles[i]) != SHMC_OK)
			soak_wrong(player->book, player->seat, "what is owned is not released");
	}
	if (shmt_random_below(&player->random, 200) == 0)
		shmc_pool_reclaim_abandoned(player->handle, NULL);
	return true;
}

static const struct soak_cell user = { open_pool, close_pool, use, 1 };

static void play_user(struct soak_player *player)
{
	soak_cell_play(player, &user);
}

static void account(struct soak_player *heir)
{
	struct shmc_pool_statistics statistics = { 0 };
	struct soak_account *account = &heir->lane->account;

	soak_cell_open(heir, &user);
	shmc_pool_reclaim_abandoned(heir->handle, NULL);
	shmc_pool_statistics(heir->handle, &statistics);
	if (statistics.free != OBJECTS)
		soak_wrong(heir->book, heir->seat, "%llu of %d objects are free, %llu are owned",
			   (unsigned long long)statistics.free, OBJECTS,
			   (unsigned long long)statistics.owned);
	close_pool(heir->handle);
	account->messages = statistics.acquired;
	account->delivered = statistics.released;
	account->taken = statistics.returned;
}

const struct soak_kind soak_pool = {
	.name = "pool",
	.lanes = 1,
	.create = create,
	.roles = { { "user", 4, 1, play_user } },
	.account = account,
};
