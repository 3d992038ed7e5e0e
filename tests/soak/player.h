/*
 * Player: a process that has a seat. It works in bursts; between two of them it rests, and that is
 * where it follows its whims: to open anew, to connect anew, to leave, to fork, to exec, to be shot
 * somewhere in the next burst. All of them follow from seed, seat and life.
 */
#ifndef SOAK_PLAYER_H
#define SOAK_PLAYER_H

#include "shmclient/shmclient.h"
#include "tests/soak/book.h"
#include "tests/support/random.h"

#define SOAK_MS INT64_C(1000000)

struct soak_player {
	struct soak_book *book;
	struct soak_seat *seat;
	struct soak_lane *lane;
	struct shmc_client *client;
	struct shmt_random random;
	/* A try with the open handle, in a forked child; must say FORKED. May be NULL. */
	enum shmc_result (*probe)(void *handle);
	void *handle;
};

enum soak_whim {
	SOAK_GO_ON,
	SOAK_REOPEN,
	SOAK_RECONNECT, /* the same, with soak_reconnect() between close and open */
	SOAK_LEAVE,
};

struct soak_role {
	const char *name;
	uint32_t count; /* of a lane; 0 ends the list */
	uint32_t sends; /* not 0: ends in SOAK_CALM by itself */
	void (*play)(struct soak_player *player);
};

struct soak_kind {
	const char *name; /* also its segment's; with a colon an object of an arena's */
	uint32_t lanes;
	uint32_t calls; /* not 0: what it does is calls to the broker */
	enum shmc_result (*create)(struct shmc_client *client, const char *segment,
				   struct shmc_error *error);
	struct soak_role roles[4];
	/* With all players gone: @heir has a seat of its own, and takes what is left. */
	void (*account)(struct soak_player *heir);
};

extern const struct soak_kind *const soak_kinds[]; /* NULL ends it */

/* Takes the seat, plays its role, leaves. In a process of its own. */
_Noreturn void soak_play(struct soak_book *book, uint32_t seat);
/* Return: main's. What a player that execs becomes: nobody, for a while. */
int soak_idle(const char *ms);

void soak_connect(struct soak_player *player);
void soak_reconnect(struct soak_player *player);

/*
 * Whether a control call is to be tried again, after a short while: the broker is being replaced, or
 * a dead one's place not yet free. Says what is wrong, and ends the process, when it is not; so it
 * does when that goes on for too long. @ret_since_ns: 0 before the first try.
 */
bool soak_again(struct soak_player *player, enum shmc_result result, const struct shmc_error *error,
		uint64_t *since_ns);

/* Between two bursts: sleeps a little. */
enum soak_whim soak_rest(struct soak_player *player);
/* One more thing done; asked before each operation of a burst. */
void soak_count(struct soak_player *player);
enum soak_phase soak_phase(const struct soak_player *player);
/* How long to wait this time: for ever, or some ms. */
int64_t soak_patience(struct soak_player *player);

uint64_t soak_now_ns(void);
void soak_sleep_ns(uint64_t ns);

#endif
