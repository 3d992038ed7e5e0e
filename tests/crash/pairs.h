/*
 * Pairs: two processes in the middle of something, and what becomes of one at each instruction of the
 * other.
 *
 *	PAIRS_DIE		both die, and are repaired in either order
 *	PAIRS_DIE_IN_REPAIR	the first one is dead; at each point of his repair the second one dies
 *	PAIRS_STAND_BY		the second one is stopped at each point, the first one dies and is repaired,
 *				and the second one goes on to its end, or to die at each point behind that
 *	PAIRS_SUCCEED		the same, but that the first one's place is another's before it goes on
 *
 * Each act is a fork that stands where it was led to by single steps. A death leaves nothing but
 * memory, so that one who is never led on is as good as dead, and one is who would leave the same as
 * a point before: that is judged once. Memory is put back, and so are the processes, so that nobody
 * forks for each of so many cases.
 *
 * Handles lie in `own`, which all share, beside what the acts say they have done.
 */
#ifndef SHMT_PAIRS_H
#define SHMT_PAIRS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/crash/stepper.h"
#include "tests/support/segment.h"

enum pairs_way {
	PAIRS_DIE,
	PAIRS_DIE_IN_REPAIR,
	PAIRS_STAND_BY,
	PAIRS_SUCCEED,
};

struct pairs_act {
	uint32_t place;
	void (*operate)(void); /* stepped; it must not wait */
};

struct pairs {
	const char *name; /* as printed */
	struct shmt_segment *segment;
	void *own; /* by pairs_memory() */
	size_t own_bytes;
	size_t handle_bytes; /* the first of them: handles, which nobody looks at behind a death */
	struct pairs_act act[2];
	/* of thousands of instructions, as taking up a place is: it only stands by, and lives on */
	bool second_is_long;
	/* A process takes up the place, which nobody holds: the successor of who died. */
	void (*take_up)(uint32_t place);
	/* It makes a move at once. */
	void (*move)(uint32_t place);
	/* All places are held, by successors where somebody died: is everything as it must be? */
	void (*judge)(void);
	/* of the case */
	const char *way;
	unsigned long at[3]; /* instructions done: of the two, and of the repair or who stood by */
	bool is_dead[2];
};

/* Shared with the forks, zeroed. */
void *pairs_memory(size_t bytes);

/*
 * The acts begin with the segment and `own` as they are now, and as they are again at the end. Under a
 * sanitizer nothing but PAIRS_DIE, and samples of that.
 */
void pairs_go(struct pairs *pairs, enum pairs_way way);

void pairs_fail(const struct pairs *pairs, const char *file, int line, const char *condition)
	__attribute__((noreturn));

/* ck_assert without a note for each of so many successes, saying which case it is. */
#define PAIRS_CHECK(pairs_, condition_)                                      \
	do {                                                                 \
		if (!(condition_))                                           \
			pairs_fail(pairs_, __FILE__, __LINE__, #condition_); \
	} while (0)

/* By `pair(way)`, which does it with every two that differ. */
#define PAIRS_TESTS                                                              \
	TEST(two_who_die_at_once_are_repaired, .timeout_s = 120)                 \
	{                                                                        \
		pair(PAIRS_DIE);                                                 \
	}                                                                        \
                                                                                 \
	TEST(who_dies_while_another_is_repaired_is_repaired, .timeout_s = 120)   \
	{                                                                        \
		pair(PAIRS_DIE_IN_REPAIR);                                       \
	}                                                                        \
                                                                                 \
	TEST(who_stands_by_while_another_dies_goes_on, .timeout_s = 120)         \
	{                                                                        \
		pair(PAIRS_STAND_BY);                                            \
	}                                                                        \
                                                                                 \
	TEST(who_stands_by_while_another_is_succeeded_goes_on, .timeout_s = 120) \
	{                                                                        \
		pair(PAIRS_SUCCEED);                                             \
	}

/* As shmt_run; skips where there is no single-stepping. */
int pairs_main(int argc, char **argv);

#define PAIRS_MAIN                             \
	int main(int argc, char **argv)        \
	{                                      \
		return pairs_main(argc, argv); \
	}

#endif
