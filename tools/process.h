/*
 * Process: what another one is doing, as far as /proc shows it to who asks.
 */
#ifndef SHMBROKERCTL_PROCESS_H
#define SHMBROKERCTL_PROCESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/control.h"

enum process_state {
	PROCESS_UNSEEN = 0, /* hidden, gone, or its number means another one here */
	PROCESS_LIVE = 1,
	PROCESS_STOPPED = 2, /* SIGSTOP and the like */
	PROCESS_TRACED = 3,  /* stopped by a debugger */
};

/* Whether numbers that the broker says are the same here: it calls itself @broker_pid. */
bool process_is_in_sight(const struct control *control, uint64_t broker_pid);
/* Asks the broker what it calls itself; quietly false when it does not answer. */
bool process_ask_sight(struct control *control);

/* The process @pid of user @uid; UINT64_MAX: whoever's. */
enum process_state process_look(uint64_t pid, uint64_t uid);
/* "unseen", "live", "stopped", "traced". */
const char *process_state_name(enum process_state state);
bool process_is_held_up(enum process_state state);

#endif
