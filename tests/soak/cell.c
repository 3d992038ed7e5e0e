#include "tests/soak/cell.h"

enum {
	BURST = 32
};

void soak_cell_open(struct soak_player *player, const struct soak_cell *cell)
{
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0;

	while (soak_again(
		player, cell->open(player->client, player->lane->segment, &player->handle, &error),
		&error, &since_ns))
		;
}

static bool goes_on(const struct soak_player *player, const struct soak_cell *cell)
{
	return soak_phase(player) < (cell->sends ? SOAK_CALM : SOAK_OVER);
}

void soak_cell_play(struct soak_player *player, const struct soak_cell *cell)
{
	while (goes_on(player, cell)) {
		enum soak_whim whim;

		if (!player->handle)
			soak_cell_open(player, cell);
		for (uint64_t i = 1 + shmt_random_below(&player->random, BURST); i > 0; i--) {
			bool more = goes_on(player, cell) && cell->work(player);

			soak_count(player);
			if (!more)
				break;
		}
		whim = soak_rest(player);
		if (whim == SOAK_GO_ON)
			continue;
		cell->close(player->handle);
		player->handle = NULL;
		if (whim == SOAK_RECONNECT)
			soak_reconnect(player);
		if (whim == SOAK_LEAVE)
			return;
	}
	if (player->handle)
		cell->close(player->handle);
}
