/*
 * Acts: operations of libshmclient, each of which is run over and over, while each call of malloc and
 * of the kernel that it makes fails once. The operation is done or says why not, nothing is left over,
 * and the same operation works at once.
 *
 * The broker is a process of its own, and has no faults.
 */
#ifndef SHMT_ACTS_H
#define SHMT_ACTS_H

#include <stdbool.h>

#include "shmclient/shmclient.h"
#include "tests/failure/fault.h"
#include "tests/support/client.h"

#define ACT_TIMEOUT_NS INT64_C(2000000000)

/* One operation, and how to get back to where it began. */
struct act {
	const char *name;
	enum shmc_result (*run)(void);
	void (*undo)(void);  /* what it did; NULL: nothing is left of it */
	void (*clean)(void); /* after a failure that may have been one of the answer only */
	bool always_works;   /* whatever fails */
	bool asks_nobody;    /* it may be that it makes no call at all */
};

extern struct shmt_broker broker;
extern struct shmc_client *client, *second;
/* What @run of an act was told. */
extern struct shmc_error error;

/* A broker, the client whose calls fail and another one's; and their end. */
void act_begin(void);
void act_end(void);
/* All of it. */
void act_fail_everywhere(const struct act *act);

/* In @run: what is done between these two does not fail. */
bool act_pause(void);
void act_go_on(bool was_armed);

#endif
