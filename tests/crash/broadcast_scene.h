/*
 * The scene in which a writer or a reader of a broadcast dies, or is stopped: who is there, what they
 * do before, what others do before anybody knows, also one that was stopped between its intent and
 * its claim, and what must be afterwards. Nothing published is lost, nothing that was not is seen,
 * every reader sees the same, nobody is held up after the repair, which is killed, too, and run
 * again.
 *
 * Messages are numbered from 1; what one holds follows from its number, its length as well.
 */
#ifndef SHMT_BROADCAST_SCENE_H
#define SHMT_BROADCAST_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/stepper.h"
#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	LONGEST = 250,
	DEAD_WRITER = 0,
	WRITERS = 1, /* 1 and 2 */
	STOPPED_WRITER = 3,
	ALL_WRITERS = 4,
	DEAD_READER = 0,
	READERS = 1, /* 1 and 2 */
	LATE_READER = 3,
	ALL_READERS = 4,
	NUMBERS = 256,
	OWN = 3, /* messages that the dead one may send, by a batch */
	SAMPLES_MAX = 60,
};

struct scene {
	struct shmt_broadcast broadcast;
	bool blocks, is_exclusive;
	struct shmp_broadcast_writer writer[ALL_WRITERS];
	struct shmp_broadcast_reader reader[ALL_READERS];
	uint64_t next;	    /* number of the next message */
	bool sent[NUMBERS]; /* published, by one who lived */
	uint32_t seen[ALL_READERS][NUMBERS];
	uint64_t order[ALL_READERS][NUMBERS], got[ALL_READERS]; /* the same as it came */
	/* of the death, or the stop */
	unsigned long point;
	bool has_ended;			       /* the operation; who was stopped always ends it */
	int r;				       /* what it said to who was stopped */
	struct shmp_broadcast_message message; /* that he got */
	uint64_t own_size[OWN];
	uint8_t *witness;	       /* where the dead reader read to; it outlives him */
	uint8_t payload[OWN][LONGEST]; /* of the messages that the dead one sends */
	uint64_t own;		       /* number of the first message that the dead one sends */
	uint64_t target;	       /* number of the message that the dead one reads, 0 = none */
	uint64_t tail;		       /* the tail word that the stopped one loaded, | INTENDED */
	/* saved */
	uint8_t *ctl, *data;
	struct scene *before;
};

typedef void (*scene_fn)(struct scene *scene);

enum mode {
	OVERWRITE,
	BLOCK,
	EXCLUSIVE
};

struct act {
	const char *name;
	scene_fn operate;
	uint64_t sends; /* what comes of the operation when it is done: messages, */
	bool takes;	/* and one read */
};

/* States before the operation. */
void is_fresh(struct scene *scene);
void has_some(struct scene *scene);
void is_laps_later(struct scene *scene);
void is_full(struct scene *scene);
void begins_with_padding(struct scene *scene);
void is_waited_for(struct scene *scene);
void is_waited_for_room(struct scene *scene);
void has_lapped_him(struct scene *scene);

struct scene *scene_open(scene_fn state, enum mode mode);
void scene_close(struct scene *scene);
/* Dies after every instruction of @act; then each of @after follows, then the checks. */
void scene_kill_everywhere(struct scene *scene, const struct act *act, const scene_fn *after,
			   size_t after_count, const char *others);
/* With everything that others may do. */
void scene_kill_in(scene_fn state, enum mode mode, const struct act *act);
/* What only reads can hold up writers alone: with the most that others may do. */
void scene_kill_reader_in(scene_fn state, enum mode mode, const struct act *act);
/* Stops him after every instruction of @act; then comes @meanwhile, and when he has ended, @check. */
void scene_stop_everywhere(struct scene *scene, const struct act *act, scene_fn meanwhile,
			   void (*check)(struct scene *scene, const struct act *act),
			   const char *others);
/* One aftermath: nothing but the repair. */
extern const scene_fn scene_nobody_moves[1];

/* The living. A push of the next number, and whether it is done; a pop notes what came. */
int scene_push(struct scene *scene, uint32_t writer);
int scene_pop(struct scene *scene, uint32_t reader);
/* Two readers get all that there is. */
void scene_drain(struct scene *scene);
uint64_t scene_number_of(struct scene *scene, const struct shmp_broadcast_message *message);
/* @reader got @number. */
void scene_note(struct scene *scene, uint32_t reader, uint64_t number);
/* The broker's part; it, too, dies after some of the repairs. */
void scene_bury(struct scene *scene, uint32_t place);
/* Drains, then looks at all that must be, however far @act came, and goes on for some laps. */
void scene_check(struct scene *scene, const struct act *act);

#define SCENE_CHECK(scene_, condition_)                                                        \
	do {                                                                                   \
		if (!(condition_))                                                             \
			ck_abort_msg("%s:%d: %s, %lu instructions done%s", __FILE__, __LINE__, \
				     #condition_, (scene_)->point,                             \
				     (scene_)->has_ended ? ", all of them in the end" : "");   \
	} while (0)

/* The program. */
int scene_main(int argc, char **argv);

/* For tests and prints. */
#define ACT(operate_, ...) (&(const struct act){ __func__, operate_, __VA_ARGS__ })
#define LONG		   .timeout_s = 120

#endif
