#include "tools/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/show.h"

bool process_is_in_sight(const struct control *control, uint64_t broker_pid)
{
	return control->pid > 0 && (uint64_t)control->pid == broker_pid;
}

bool process_ask_sight(struct control *control)
{
	struct shmp_varlink_reply reply;
	bool is_in_sight;

	if (control_call_quietly(control, "org.shmbroker.control.Status", NULL, &reply) != 0)
		return false;
	is_in_sight = process_is_in_sight(control, show_u64(reply.parameters, "pid"));
	shmp_varlink_reply_deinit(&reply);
	return is_in_sight;
}

static enum process_state state_of(char letter)
{
	switch (letter) {
	case 'T':
		return PROCESS_STOPPED;
	case 't':
		return PROCESS_TRACED;
	case 'Z':
	case 'X':
		return PROCESS_UNSEEN;
	default:
		return PROCESS_LIVE;
	}
}

/* "State:\tT (stopped)", "Uid:\t1000\t..." */
static void read_line(const char *line, enum process_state *state, uint64_t *uid)
{
	if (strncmp(line, "State:", 6) == 0)
		*state = state_of(line[6 + strspn(line + 6, "\t ")]);
	else if (strncmp(line, "Uid:", 4) == 0)
		*uid = strtoull(line + 4, NULL, 10);
}

enum process_state process_look(uint64_t pid, uint64_t uid)
{
	enum process_state state = PROCESS_UNSEEN;
	uint64_t found = UINT64_MAX;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
	file = pid != 0 ? fopen(path, "re") : NULL;
	if (!file)
		return PROCESS_UNSEEN;
	while (fgets(line, sizeof(line), file))
		read_line(line, &state, &found);
	fclose(file);
	/* the number has passed to somebody else meanwhile */
	return uid != UINT64_MAX && uid != found ? PROCESS_UNSEEN : state;
}

const char *process_state_name(enum process_state state)
{
	static const char *const names[] = {
		[PROCESS_UNSEEN] = "unseen",
		[PROCESS_LIVE] = "live",
		[PROCESS_STOPPED] = "stopped",
		[PROCESS_TRACED] = "traced",
	};

	return names[state];
}

bool process_is_held_up(enum process_state state)
{
	return state == PROCESS_STOPPED || state == PROCESS_TRACED;
}
