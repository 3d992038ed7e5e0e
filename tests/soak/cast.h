/*
 * Cast: the processes of a soak, one to each seat. Who ends is buried and replaced; who lives can be
 * stopped and killed.
 */
#ifndef SOAK_CAST_H
#define SOAK_CAST_H

#include <sys/types.h>

#include "tests/soak/player.h"

struct soak_member {
	pid_t pid; /* 0: nobody */
	bool is_stopped;
	bool was_killed; /* by us */
	uint64_t goes_on_at_burst, goes_on_at_ns;
	uint64_t alive_ns, operations; /* when it was last seen to do something */
};

struct soak_cast {
	struct soak_book *book;
	int book_fd;
	uint32_t count; /* of members; index is the seat's */
	struct soak_member members[SOAK_SEATS_MAX];
	uint64_t deaths[SOAK_SEATS_MAX];
	uint64_t stops, left, starts;
};

/* Somebody for this seat. Every other life begins with an exec. */
void soak_cast_start(struct soak_cast *cast, uint32_t seat);
/* Buries who has ended, and fills empty seats as long as the phase wants them filled. */
void soak_cast_tend(struct soak_cast *cast);
/* Return: its pid, 0 when there is nobody. */
pid_t soak_cast_kill(struct soak_cast *cast, uint32_t seat);
void soak_cast_stop(struct soak_cast *cast, uint32_t seat, uint64_t bursts);
/* Those whose time has come, or all. */
void soak_cast_continue(struct soak_cast *cast, bool all);
/* How many there are: of those who send, or of all. */
uint32_t soak_cast_left(const struct soak_cast *cast, bool senders);
/* Who does nothing for too long is wrong, and is killed. */
void soak_cast_watch(struct soak_cast *cast);

#endif
