#include "tests/failure/acts.h"

#include <errno.h>
#include <string.h>

#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

struct shmt_broker broker;
struct shmc_client *client, *second;
struct shmc_error error;

static bool is_of_memory(int number)
{
	return number == ENOMEM || number == EMFILE || number == ENFILE || number == ENOBUFS ||
	       number == ENOSPC;
}

/* What the caller is told fits what happened. */
static bool is_fitting(const struct act *act, enum shmc_result result)
{
	if (act->always_works)
		return result == SHMC_OK;
	if (result != SHMC_OK && !*error.text)
		return false;
	if (result == SHMC_OK || result == SHMC_NO_SPACE)
		return true;
	/* RLIMIT_MEMLOCK */
	if (result == SHMC_QUOTA)
		return strcmp(fault->call, "mlock") == 0 || fault->number == EAGAIN;
	return !is_of_memory(fault->number) &&
	       (result == SHMC_BROKER_LOST || result == SHMC_DENIED || result == SHMC_TIMEOUT);
}

bool act_pause(void)
{
	bool was_armed = fault->is_armed;

	fault->is_armed = false;
	return was_armed;
}

void act_go_on(bool was_armed)
{
	fault->is_armed = was_armed;
}

static void run_whole(const struct act *act)
{
	enum shmc_result result = act->run();

	if (result != SHMC_OK) /* check allocates, too */
		ck_abort_msg("%s after %s: %s (%s)", act->name, fault_text(),
			     shmc_result_name(result), error.text);
	if (act->undo)
		act->undo();
}

void act_fail_everywhere(const struct act *act)
{
	struct fault_round round = { .chosen = 0 };
	size_t descriptors;
	long blocks, mapped_bytes;

	run_whole(act);
	blocks = fault->blocks;
	mapped_bytes = fault->mapped_bytes;
	descriptors = shmt_descriptor_count();
	while (fault_next(&round)) {
		enum shmc_result result;

		error.text[0] = '\0';
		fault_arm(round.chosen, round.error);
		result = act->run();
		fault_disarm();
		if (!is_fitting(act, result))
			ck_abort_msg("%s, call %lu (%s): %s (%s)", act->name, round.chosen,
				     fault_text(), shmc_result_name(result), error.text);
		if (result == SHMC_OK && act->undo)
			act->undo();
		else if (result != SHMC_OK && act->clean)
			act->clean();
		run_whole(act);
		if (fault->blocks != blocks || fault->mapped_bytes != mapped_bytes ||
		    shmt_descriptor_count() != descriptors)
			ck_abort_msg("%s, call %lu (%s): %ld blocks, not %ld; %ld bytes mapped, "
				     "not %ld; %zu descriptors, not %zu",
				     act->name, round.chosen, fault_text(), (long)fault->blocks,
				     blocks, (long)fault->mapped_bytes, mapped_bytes,
				     shmt_descriptor_count(), descriptors);
	}
	printf("# %s: %lu calls, %lu failures\n", act->name, round.chosen - 1, round.failures);
	if (!act->asks_nobody)
		ck_assert_uint_gt(round.failures, 0);
}

void act_begin(void)
{
	broker = shmt_broker_start(NULL);
	client = shmt_connect(&broker);
	second = shmt_connect(&broker);
}

void act_end(void)
{
	shmc_disconnect(second);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
