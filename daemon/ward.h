/*
 * Ward: the broker that a keeper keeps, as a process: how it is started, what is known of it.
 */
#ifndef SHMBROKER_WARD_H
#define SHMBROKER_WARD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct shelf;

#define WARD_CAUSE_MAX 64

struct ward {
	/* how to start it */
	char **argv;
	const char *socket; /* where it finds its manager */
	uint32_t watchdog_ms;
	sigset_t signals; /* blocked in it */
	/* the one of now */
	pid_t pid; /* 0 = there is none */
	bool is_ready;
	uint64_t started_ms;
	uint64_t alive_ms; /* its last sign of life */
};

/* Milliseconds of a clock that stands still while the machine sleeps. */
uint64_t ward_now_ms(void);
/* @argv without the option that would make the broker another keeper; NULL without memory. */
char **ward_words(char **argv);
/* A new one, with all that @shelf has. What it cannot do it logs, and ends with 127.
 * Return: 0, or -errno when there can be no process. */
int ward_start(struct ward *ward, struct shelf *shelf);
/* In words, why it ended. */
void ward_cause(const siginfo_t *info, char cause[WARD_CAUSE_MAX]);

#endif
