/* atomic: everybody adds 1 and knows how often; who watches sees it grow. */
#include <stdatomic.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

/* Notes. */
enum {
	MEANT,
	DONE, /* of these; the same but for deaths in between */
	SEEN,
};

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_atomic_options options = { .type = SHMC_TYPE_U64, .reuse = 1 };

	return shmc_atomic_create(client, segment, &options, error);
}

static enum shmc_result open_writer(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_atomic_open(client, segment, SHMC_ATOMIC_WRITER, SHMC_TYPE_U64,
				(struct shmc_atomic **)ret_handle, error);
}

static enum shmc_result open_reader(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_atomic_open(client, segment, SHMC_ATOMIC_READER, SHMC_TYPE_U64,
				(struct shmc_atomic **)ret_handle, error);
}

static void close_atomic(void *handle)
{
	shmc_atomic_close(handle);
}

/* What is seen never becomes less. */
static void see(struct soak_player *player, uint64_t value)
{
	uint64_t seen = atomic_load(&player->seat->notes[SEEN]);

	if (value < seen)
		soak_wrong(player->book, player->seat, "%llu after %llu", (unsigned long long)value,
			   (unsigned long long)seen);
	atomic_store(&player->seat->notes[SEEN], value);
}

static bool add(struct soak_player *player)
{
	_Atomic uint64_t *notes = player->seat->notes;
	uint64_t before = 0;
	enum shmc_result result;

	atomic_fetch_add(&notes[MEANT], 1);
	result = shmc_atomic_add(player->handle, 1, SHMC_ORDER_ACQ_REL, &before);
	atomic_fetch_add(&notes[DONE], 1);
	if (result != SHMC_OK)
		soak_wrong(player->book, player->seat, "add says %s", shmc_result_name(result));
	see(player, before + 1);
	return true;
}

static bool watch(struct soak_player *player)
{
	uint64_t seen = atomic_load(&player->seat->notes[SEEN]), value = 0;
	enum shmc_result result = shmc_atomic_wait(player->handle, seen, soak_patience(player),
						   &value);

	if (result == SHMC_OK)
		see(player, value);
	else if (result != SHMC_EMPTY && result != SHMC_TIMEOUT)
		soak_wrong(player->book, player->seat, "wait says %s", shmc_result_name(result));
	return result == SHMC_OK;
}

static const struct soak_cell writer = { open_writer, close_atomic, add, 1 };
static const struct soak_cell reader = { open_reader, close_atomic, watch, 0 };

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
	uint64_t meant = 0, done = 0, value = 0;

	soak_cell_open(heir, &reader);
	shmc_atomic_load(heir->handle, SHMC_ORDER_ACQUIRE, &value);
	close_atomic(heir->handle);
	for (uint32_t i = 0; i < lane->seat_count; i++) {
		const struct soak_seat *seat = &heir->book->seats[lane->seats[i]];

		meant += atomic_load(&seat->notes[MEANT]);
		done += atomic_load(&seat->notes[DONE]);
	}
	if (value < done || value > meant)
		soak_wrong(heir->book, heir->seat, "%llu is not between %llu and %llu",
			   (unsigned long long)value, (unsigned long long)done,
			   (unsigned long long)meant);
	lane->account.messages = value;
	lane->account.delivered = value;
}

const struct soak_kind soak_atomic = {
	.name = "atomic",
	.lanes = 1,
	.create = create,
	.roles = { { "writer", 2, 1, play_writer }, { "reader", 1, 0, play_reader } },
	.account = account,
};
