/*
 * Faults: one call of malloc or of the kernel fails, where it is asked to.
 *
 * The linker leads the calls of the program that is tested, and of the test, through fault.c
 * (-Wl,--wrap). While it is armed they are counted, and the one of the chosen number fails, with
 * one of the errors that it can plausibly have, without being made. What is allocated is counted
 * always. Shared libraries (libuv, the C library itself) go past it; cJSON allocates through it.
 */
#ifndef SHMT_FAULT_H
#define SHMT_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum fault_without {
	FAULT_WITHOUT_MEMBARRIER = 1,
	FAULT_WITHOUT_NOEXEC_SEAL = 2,
	FAULT_WITHOUT_PEER_PIDFD = 4,
};

struct fault {
	_Atomic bool is_armed;
	_Atomic unsigned long points; /* calls since it was armed */
	unsigned long chosen;	      /* the one that fails, from 1 on; 0 = none */
	unsigned error;		      /* with which of its errors, from 0 on */
	_Atomic bool has_failed;
	unsigned error_count; /* how many errors that call can have */
	int number;	      /* the error that it had */
	char call[32];
	pid_t owner;	     /* whose calls are meant, and those of its children; 0 = everybody's */
	_Atomic long blocks; /* allocated and not freed */
	_Atomic long mapped_bytes;
	_Atomic unsigned
		lacks; /* of what the kernel does not know, all the time: enum fault_without */
	_Atomic unsigned long refusals; /* for that reason */
};

extern struct fault *fault;
/* What another thread does while this one calls pthread_atfork, NULL = nothing. */
extern void (*fault_at_atfork)(void);
/* What is done whenever a block has just been freed, and whoever freed it may not have forgotten it
 * yet; NULL = nothing. */
extern void (*fault_after_free)(void);

/* From now on forked children and this process have one fault in common. */
void fault_share(void);
void fault_arm(unsigned long chosen, unsigned error);
/* Whether the chosen call was reached, and failed. */
bool fault_disarm(void);

/* A sanitizer's build is slow: there each call has but one of its errors. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAULT_HASTENS true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULT_HASTENS true
#endif
#ifndef FAULT_HASTENS
#define FAULT_HASTENS false
#endif

/* Every call in turn, each with each of its errors: while (fault_next(&round)) { arm, run, disarm }. */
struct fault_round {
	unsigned long chosen;
	unsigned error;
	unsigned long failures; /* so far */
	bool has_begun;
};

bool fault_next(struct fault_round *round);
/* Whether this call fails now, with which errno. For wrappers; @errors ends with 0. */
bool fault_fails(const char *call, const int *errors);

/* "mmap: Cannot allocate memory", the last one. */
const char *fault_text(void);

#endif
