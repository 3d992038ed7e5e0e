#include "tests/soak/kinds.h"

#include <stddef.h>

const struct soak_kind *const soak_kinds[] = {
	&soak_spsc, &soak_mpmc, &soak_broadcast, &soak_broadcast_block, NULL,
};
