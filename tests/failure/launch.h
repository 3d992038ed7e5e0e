/*
 * Launch: a broker or keeper of this program that starts while one of its calls fails; its manager,
 * which keeps what it is sent for the next one; and what is left of it when it has ended.
 *
 * The one that starts is a child of the test, so that its calls can be led through fault.c. One at
 * a time.
 */
#ifndef SHMT_LAUNCH_H
#define SHMT_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/options.h"
#include "daemon/shelf.h"
#include "tests/failure/fault.h"

struct launch {
	char folder[64];
	char run[96]; /* a folder in it, made by who needs it: nothing else may be left there */
	char client[128];
	char control[128];
	bool has_store;
	struct shelf store;
	int notify;
	int log;
	pid_t pid;
	bool is_ready;
	int status; /* as of waitpid */
	bool is_keeper;
	bool is_hastened;
};

#define LAUNCH_LOG_FD 400 /* above whatever is passed */

extern struct launch launch;

void launch_open(bool has_store);
void launch_close(void);
/* Nothing is kept, and no file is there: as when a manager has stopped the service. */
void launch_forget(void);

/*
 * Runs @serve in a child, which gets what is kept, with the call that @round chose failing (NULL:
 * none). Waits until it is ready, which ends the fault, or has ended. Return: whether it is ready.
 */
bool launch_begin(const struct fault_round *round, int (*serve)(void));
/* What a manager calls stop: SIGTERM, and waits for its end. Return: its exit code. */
int launch_stop(void);
/* SIGKILL. */
void launch_kill(void);
/* Takes what was sent. */
void launch_drain(void);

/* The life of a broker with these sockets, for launch_begin. */
int launch_serve_broker(void);
struct options launch_options(void);

/* A keeper that could not fork tries again in some seconds: at once. */
void launch_hasten(void);

/* All that it said since it was begun. */
const char *launch_said(void);
/* It has ended by itself, with an exit code that is no signal's and a reason in its last line that
 * names what failed. */
void launch_expect_complaint(const char *act);
/* No memory and, where all of them were its own, no descriptor; nothing in the run folder but, with
 * a store, what the next one needs. */
void launch_expect_nothing_left(const char *act);
/* Create, open, close and unlink. */
void launch_expect_service(const char *act);

#endif
