/*
 * Couples: two clients of a real broker, each in the middle of a public call, and the death of both.
 *
 *	COUPLE_AT_ONCE		both stand somewhere in their calls, and are killed in one go
 *	COUPLE_IN_REPAIR	the same, but that the second one is killed when the broker is told of the
 *				first one's death, and is about to repair, or repairs
 *	COUPLE_FOUND		the broker stands still: the first one dies, the second one makes its call
 *				beside what is left behind and dies; then the broker finds both
 *
 * Each side is a process that connects and prepares by itself, and is led to a sampled point of its
 * call. Which of the two moves and dies first changes from case to case. A bystander in another
 * segment of the same broker sends, receives and opens all the time. The samples follow from
 * SHMT_SEED.
 */
#ifndef SHMT_COUPLE_H
#define SHMT_COUPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/waiter.h"
#include "tests/crash/stepper.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define COUPLE_SOON_NS INT64_C(5000000000) /* or never */

enum couple_way {
	COUPLE_AT_ONCE,
	COUPLE_IN_REPAIR,
	COUPLE_FOUND,
};

struct couple_side {
	void (*prepare)(void); /* in the child, which connects */
	void (*operate)(void); /* in the child, stepped */
	bool may_sleep;
};

struct couple {
	const char *name; /* as printed */
	struct couple_side side[2];
	void (*set_up)(void);	 /* in the parent, by its own client */
	void (*check)(void);	 /* in the parent: both are dead, and perhaps not repaired yet */
	void (*tear_down)(void); /* in the parent */
	unsigned
		cases; /* of each way, a prime; 0: as usual. Under a sanitizer only some in any case */
	struct shmt_broker broker;
	struct shmc_client *client;
	/* of the case that is being checked */
	enum couple_way way;
	unsigned turn;	/* counts the cases: what may come in either order follows from it */
	unsigned first; /* which side died first */
	unsigned long point[2]; /* instructions of each call */
	bool has_ended[2];	/* it returned */
	/* its own */
	struct stepper stepper[2];
	struct stepper_path path[2];
	struct shmt_random random;
	struct couple_bystander *bystander;
};

/* Starts a broker, goes through sampled cases of all ways, prints their number and stops the broker. */
void couple_everywhere(struct couple *couple);

/* Shared with the children, all ones: what they are told and shown. Of each test. */
void *couple_memory(size_t bytes);

int couple_main(int argc, char **argv);

#define COUPLE_MAIN                             \
	int main(int argc, char **argv)         \
	{                                       \
		return couple_main(argc, argv); \
	}

void couple_fail(const struct couple *couple, const char *file, int line, const char *condition)
	__attribute__((noreturn));

/* ck_assert without a note for each of so many successes, saying which case it is. */
#define COUPLE_CHECK(couple_, condition_)                                      \
	do {                                                                   \
		if (!(condition_))                                             \
			couple_fail(couple_, __FILE__, __LINE__, #condition_); \
	} while (0)

/* Repeats @attempt, which opens a dead one's place, until the broker has taken that back. */
#define COUPLE_SUCCEED(couple_, attempt_)                                             \
	do {                                                                          \
		uint64_t couple_end_ns_ = shmp_clock_ns() +                           \
					  shmt_scaled((unsigned long)COUPLE_SOON_NS); \
		enum shmc_result couple_result_;                                      \
                                                                                      \
		while ((couple_result_ = (attempt_)) == SHMC_BUSY)                    \
			COUPLE_CHECK(couple_, shmp_clock_ns() < couple_end_ns_);      \
		if (couple_result_ != SHMC_OK)                                        \
			couple_fail(couple_, __FILE__, __LINE__,                      \
				    shmc_result_name(couple_result_));                \
	} while (0)

#endif
