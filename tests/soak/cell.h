/*
 * Cell: what holds a state that several change, as far as a soak must know it: one handle per
 * process, and a piece of work that is done again and again.
 */
#ifndef SOAK_CELL_H
#define SOAK_CELL_H

#include "tests/soak/player.h"

struct soak_cell {
	enum shmc_result (*open)(struct shmc_client *client, const char *segment, void **ret_handle,
				 struct shmc_error *error);
	void (*close)(void *handle);
	/* Return: whether to go on with the burst. */
	bool (*work)(struct soak_player *player);
	uint32_t sends; /* ends in SOAK_CALM */
};

void soak_cell_play(struct soak_player *player, const struct soak_cell *cell);
void soak_cell_open(struct soak_player *player, const struct soak_cell *cell);

#endif
