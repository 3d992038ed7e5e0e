/*
 * An mpmc queue without a broker, with as many handles as a test wants, and numbered messages as in
 * ring.h. The handles share one mapping.
 */
#ifndef SHMT_MPMC_H
#define SHMT_MPMC_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/mpmc.h"
#include "tests/support/segment.h"

struct shmt_mpmc {
	/* set before it is made */
	bool drops;	/* no redelivery */
	bool is_summed; /* messages have checksums */
	struct shmt_segment segment;
	struct shmp_segment map;
};

void shmt_mpmc_make(struct shmt_mpmc *queue, uint64_t slots, uint64_t message_max,
		    uint64_t endpoints);
void shmt_mpmc_free(struct shmt_mpmc *queue);

/* Takes the place up; it must be nobody's. */
void shmt_mpmc_attach(struct shmt_mpmc *queue, uint32_t place, enum shmp_mpmc_role role,
		      struct shmp_mpmc *ret_handle);

/* Moves numbered messages; what a move says. A pop checks size and bytes. */
int shmt_mpmc_push(struct shmp_mpmc *handle, uint64_t size, uint64_t number);
int shmt_mpmc_pop(struct shmp_mpmc *handle, uint64_t size, uint64_t number, uint32_t *ret_flags);

/* The words that the layout is made of, for tests that look inside. */
uint64_t shmt_mpmc_word(const struct shmt_mpmc *queue, uint64_t place);
enum shmp_mpmc_state shmt_mpmc_state(const struct shmt_mpmc *queue, uint64_t place);
/* The figure of that name; UINT64_MAX when the kind does not tell it now. */
uint64_t shmt_mpmc_figure(const struct shmt_mpmc *queue, const char *name);

#endif
