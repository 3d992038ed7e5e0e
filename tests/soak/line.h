/*
 * Line: what carries messages, each to one receiver, as far as a soak must know it: the difference
 * between such kinds, and two roles and an account that are the same for all of them.
 */
#ifndef SOAK_LINE_H
#define SOAK_LINE_H

#include "tests/soak/player.h"

struct soak_received {
	const void *data;
	uint64_t size;
	uint32_t flags;
};

struct soak_line {
	bool is_ordered; /* what one sender sends */
	bool is_mutual;	 /* each sends and receives */
	bool has_peers;	 /* PEER_DEAD and CLOSED are answers */
	enum shmc_result (*open)(struct shmc_client *client, const char *segment, bool sends,
				 void **ret_handle, struct shmc_error *error);
	void (*close)(void *handle);
	enum shmc_result (*send)(void *handle, const void *data, uint64_t size, int64_t timeout_ns);
	enum shmc_result (*receive)(void *handle, void *buffer, uint64_t bytes, int64_t timeout_ns,
				    struct soak_received *ret_received);
	/* NULL: the kind has no such thing. */
	enum shmc_result (*peek)(void *handle, int64_t timeout_ns,
				 struct soak_received *ret_received);
	enum shmc_result (*release)(void *handle);
	enum shmc_result (*wait_peer)(void *handle, int64_t timeout_ns);
};

void soak_line_send(struct soak_player *player, const struct soak_line *line);
void soak_line_receive(struct soak_player *player, const struct soak_line *line);
/* Both by turns; @hosts is what open gets to know. */
void soak_line_talk(struct soak_player *player, const struct soak_line *line, bool hosts);
/* Receives what is left, and does the sums. */
void soak_line_account(struct soak_player *heir, const struct soak_line *line);

#endif
