/* The kinds of a soak, each a row of the table in kinds.c. */
#ifndef SOAK_KINDS_H
#define SOAK_KINDS_H

#include "tests/soak/player.h"

extern const struct soak_kind soak_broadcast, soak_broadcast_block, soak_mpmc, soak_spsc;

#endif
