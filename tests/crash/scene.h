/*
 * Scene: a ring in a certain state, an operation of one side, and the end of that side after every
 * instruction of it.
 *
 * The parent holds both roles while it sets the scene; the child then acts as the holder of one
 * of them, with the handle it inherited. Before each run, memory and handles are as they were when
 * the scene was saved. After the death the parent does what the broker does, and everybody else.
 *
 * Messages are numbered from 1. Before the operation, first .. next - 1 are published and unread.
 */
#ifndef SHMT_SCENE_H
#define SHMT_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/spsc.h"
#include "tests/crash/stepper.h"
#include "tests/support/ring.h"

enum {
	SCENE_CAPACITY = 4096,
	SCENE_LONGEST = SCENE_CAPACITY - 16,
	SCENE_NUMBERS = 1024,
	SCENE_OWN = 4, /* messages that the operation may send */
	SCENE_UNTOUCHED = 0xee,
	SCENE_LARGE = 2000,
};

struct scene {
	struct shmt_ring ring;
	uint64_t first, next;
	uint64_t tail;		      /* position of message first */
	uint64_t own;		      /* messages that the operation sends: all of them or none */
	uint64_t size[SCENE_NUMBERS]; /* of each message */
	uint8_t payload[SCENE_OWN][SCENE_LONGEST]; /* of messages next, next + 1 ... */
	uint32_t flags[SCENE_NUMBERS];		   /* of the messages that scene_drain got */
	uint8_t *witness;    /* SCENE_LONGEST bytes that outlive the child: where it pops to */
	unsigned long point; /* after how many instructions this run's child died */
	bool has_ended;	     /* the operation returned */
	bool is_asleep;	     /* it died in its sleep */
	bool has_membarrier;
	pid_t sleeper;
	uint32_t sleeper_place;
	struct scene_saved *saved;
};

/* An empty ring whose next message lies at @offset; both roles are held. */
struct scene *scene_open(uint64_t offset);
/* Publishes a message of that size before the operation. */
void scene_publish(struct scene *scene, uint64_t size);
/* Makes ready a message of that size for the operation to send. */
void scene_compose(struct scene *scene, uint64_t size);
void scene_close(struct scene *scene);

typedef void (*scene_fn)(struct scene *scene);

struct scene_act {
	const char *name;
	void (*prepare)(struct scene *scene); /* in the child, unstepped; NULL: nothing */
	void (*operate)(struct scene *scene); /* in the child, stepped */
	scene_fn *checks; /* in the parent, after a death of its own for each; ends with NULL */
	bool may_sleep;
	scene_fn before; /* in the parent, ahead of all; NULL: nothing */
};

/*
 * Saves the scene, then has a child die after every instruction of the operation, the last one
 * included, and checks. Prints and counts the points.
 */
void scene_kill_everywhere(struct scene *scene, const struct scene_act *act);
/* The same with a child that is stopped while the checks look around, then goes on to the end. */
void scene_stop_everywhere(struct scene *scene, const struct scene_act *act, scene_fn afterwards);

/* ck_assert, saying at which point; that one notes every pass, these are too many. */
#define SCENE_CHECK(scene_, condition_)                                      \
	do {                                                                 \
		if (!(condition_))                                           \
			scene_fail(scene_, __FILE__, __LINE__, #condition_); \
	} while (0)
void scene_fail(const struct scene *scene, const char *file, int line, const char *condition)
	__attribute__((noreturn));

/* What others do. */

/* The broker's part; it, too, dies after some of the repairs. Leaves no trace of waiting. */
void scene_bury(struct scene *scene, uint32_t place);
/*
 * The consumer pops what must be messages @number, @number + 1 ... until there is none, which must
 * be told by @end. Return: the number of the first that did not come.
 */
uint64_t scene_drain(struct scene *scene, uint64_t number, int end);
/*
 * Another process holds @place from now on; the ring leaves it nothing to do (empty, or full for
 * a message of SCENE_LARGE), and it has gone to sleep. Its first move will be message next.
 */
void scene_put_to_sleep(struct scene *scene, uint32_t place);
/* It must wake up, and that soon. The place is the parent's again. Return: what its move said. */
int scene_await_riser(struct scene *scene);

/* How many messages have been published since the scene was saved, as the producer's place says. */
uint64_t scene_published(const struct scene *scene);
/* Both go on for some laps; then the whole capacity can be used. The ring is empty. */
void scene_go_on(struct scene *scene);

/* The main of a program of scenes: as shmt_run, then the count of all points. */
int scene_main(int argc, char **argv);

#define SCENE_MAIN                             \
	int main(int argc, char **argv)        \
	{                                      \
		return scene_main(argc, argv); \
	}

#endif
