/*
 * Clients that a test makes live and die, and what the broker says of the places they held.
 */
#ifndef SHMT_LIVES_H
#define SHMT_LIVES_H

#include <sys/types.h>

#include "tests/support/raw.h"

/* When this process started, as brokers on kernels before 6.5 want to know it. */
unsigned long long shmt_start_time(void);
/* A connection that has said Hello with all that there is to say. */
struct shmt_raw *shmt_hello(const char *address);

/* A process that does @live, says so, and stays. */
pid_t shmt_child(void (*live)(void));
/* SIGKILL, and reaped. */
void shmt_bury(pid_t pid);

/* A field of endpoint @index of @segment, as the control socket shows it. */
const cJSON *shmt_endpoint_field(struct shmt_raw *control, const char *segment, int index,
				 const char *key);
/* Waits until it is in @state; ends the test when it never is. */
void shmt_wait_for_state(struct shmt_raw *control, const char *segment, int index,
			 const char *state);

#endif
