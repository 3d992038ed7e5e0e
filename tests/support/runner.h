/*
 * The whole ceremony of a test program: one check suite, TAP on stdout.
 *
 *	#include "tests/support/runner.h"
 *
 *	TEST(full_ring_push_changes_nothing)
 *	{
 *		ck_assert_int_eq(...);
 *	}
 *
 *	SHMT_MAIN
 *
 * A test is a sentence, and registers itself: nothing can be forgotten in a list. Each runs in its
 * own process (CK_FORK=no: in this one), in the order of the file. Arguments of the program choose
 * tests whose names contain one of them; --list names all.
 *
 * Environment: SHMT_SLOW=N multiplies every time limit, CK_FORK=no, SHMT_SEED (random.h).
 */
#ifndef SHMT_RUNNER_H
#define SHMT_RUNNER_H

#include <check.h>

struct shmt_options {
	int timeout_s; /* 0: 10 s; multiplied by SHMT_SLOW */
	int rounds; /* 0: once; else the test sees _i = 0 .. rounds - 1, each counted by itself */
};

/* TEST(name), or with options: TEST(name, .timeout_s = 30, .rounds = 5). */
#define TEST(name_, ...)                                                              \
	static void name_(int _i);                                                    \
	static const TTest name_##_test = { #name_, name_, __FILE__, __LINE__ };      \
	__attribute__((constructor)) static void name_##_register(void)               \
	{                                                                             \
		shmt_add(&name_##_test, &(const struct shmt_options){ __VA_ARGS__ }); \
	}                                                                             \
	static void name_(int _i __attribute__((unused)))

#define SHMT_MAIN                            \
	int main(int argc, char **argv)      \
	{                                    \
		return shmt_run(argc, argv); \
	}

/* Called by TEST before main. */
void shmt_add(const TTest *test, const struct shmt_options *options);

/* Runs the chosen tests. Return: main's, 0 when all of them passed. */
int shmt_run(int argc, char **argv);

/*
 * Says that this machine cannot run the program's tests, and why. Return: main's. A single test
 * cannot skip: what may be missing has a program of its own.
 */
int shmt_skip(const char *reason);

/*
 * First thing in a forked child that may be killed at any moment: every assertion is noted in a
 * file that child and test share, and half a note makes the whole program fail. From now on the
 * child's exit status is all that it says.
 */
void shmt_be_child(void);

/* `duration`, in any unit, as long as this build needs it: multiplied by SHMT_SLOW. */
unsigned long shmt_scaled(unsigned long duration);

#endif
