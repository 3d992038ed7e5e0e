/*
 * libshmclient under faults: connections, making and unlinking.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/failure/acts.h"
#include "tests/support/runner.h"

static void unlink_all(void)
{
	shmc_unlink(second, "made", NULL);
}

/* ---- connections ----------------------------------------------------------------------------- */

static struct shmc_client *third;

static enum shmc_result connects(void)
{
	return shmc_connect(
		&(struct shmc_client_options){ .address = broker.address, .name = "third" }, &third,
		&error);
}

static void disconnects(void)
{
	third = shmc_disconnect(third);
}

TEST(connecting_fails_whole, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(&(struct act){ "connect", .run = connects, .undo = disconnects });
	act_end();
}

/* What a process does but once is tried once more. */
TEST(first_connection_of_a_process_tries_again, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };
	enum shmc_result result;

	broker = shmt_broker_start(NULL);
	do {
		ck_assert(fault_next(&round));
		fault_arm(round.chosen, round.error);
		result = connects();
		fault_disarm();
	} while (strcmp(fault->call, "pthread_atfork") != 0);
	shmt_assert_ok(result);
	disconnects();
	shmt_broker_stop(&broker);
}

static void forks(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		fault_at_atfork = NULL;
		alarm(20); /* in vain it would wait for ever */
		_exit(connects() == SHMC_OK ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

TEST(child_forked_over_the_first_connection_makes_its_own, .timeout_s = 60)
{
	broker = shmt_broker_start(NULL);
	fault_at_atfork = forks;
	shmt_assert_ok(connects());
	fault_at_atfork = NULL;
	disconnects();
	shmt_broker_stop(&broker);
}

/* As if another thread forked, while this one is in the middle of a call. */
static void forks_and_disconnects(void)
{
	pid_t child;
	int status;

	fault_after_free = NULL;
	child = fork();
	if (child == 0) {
		alarm(20);
		shmc_disconnect(client);
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	fault_after_free = forks_and_disconnects;
}

TEST(child_forked_in_the_middle_of_a_call_frees_nothing_half_changed, .timeout_s = 60)
{
	broker = shmt_broker_start(NULL);
	client = shmt_connect(&broker);
	fault_after_free = forks_and_disconnects;
	shmt_assert_result(shmc_unlink(client, "nothing", &error), SHMC_NOT_FOUND);
	fault_after_free = NULL;
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* What it says on its way out may be lost. */
static enum shmc_result leaves(void)
{
	bool was_armed = act_pause();
	enum shmc_result result;

	result = connects();
	act_go_on(was_armed);
	if (result == SHMC_OK)
		disconnects();
	return result;
}

TEST(disconnecting_never_fails, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(&(struct act){ "disconnect", .run = leaves });
	act_end();
}

static enum shmc_result checks(void)
{
	int fd;
	enum shmc_result result = shmc_client_check(client, &error);

	/* a connection that was lost is made anew by the next control call */
	if (result != SHMC_OK)
		shmc_unlink(client, "none", NULL);
	return result == SHMC_OK ? shmc_client_fd(client, &fd, &error) : result;
}

/* Its descriptor breaks, as if the broker were another one by now: the session is taken up again. */
static enum shmc_result resumes(void)
{
	bool was_armed = act_pause();
	enum shmc_result result;
	int fd;

	if (shmc_client_fd(client, &fd, &error) == SHMC_OK) {
		shutdown(fd, SHUT_RDWR);
		shmt_assert_result(shmc_client_check(client, &error), SHMC_BROKER_LOST);
	}
	act_go_on(was_armed);
	result = shmc_client_resume(client, &error);
	act_pause();
	/* what it had is still its own */
	if (result == SHMC_OK)
		shmt_assert_ok(shmc_client_check(client, &error));
	return result;
}

TEST(resuming_fails_whole, .timeout_s = 60)
{
	struct shmc_spsc *queue;

	act_begin();
	shmt_create(client, "queue", 4096);
	queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	act_fail_everywhere(&(struct act){ "resume", .run = resumes });
	shmt_assert_ok(shmc_spsc_push(queue, "text", 5, ACT_TIMEOUT_NS));
	shmc_spsc_close(queue);
	/* the broker has given the place back, too */
	shmt_assert_ok(shmc_spsc_open(second, "queue", SHMC_SPSC_PRODUCER, &queue, &error));
	shmc_spsc_close(queue);
	act_end();
}

TEST(checking_fails_whole, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(&(struct act){ "check", .run = checks });
	act_end();
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Nothing of what was asked for may get lost on the way: the broker has defaults for all of it. */
static void check_made(void)
{
	struct shmc_spsc *queue = shmt_open(second, "made", SHMC_SPSC_OBSERVER);
	struct shmc_spsc_options options;
	struct shmc_observer_info info;
	struct shmc_observer *observer = NULL;

	shmt_assert_ok(shmc_spsc_options_of(queue, &options));
	ck_assert_uint_eq(options.capacity_bytes, 8192);
	ck_assert_uint_eq(options.message_bytes_max, 100);
	ck_assert_uint_eq(options.checksum, 1);
	shmc_spsc_close(queue);
	shmt_assert_ok(shmc_observer_open(second, "made", &observer, NULL));
	shmt_assert_ok(shmc_observer_info(observer, &info));
	ck_assert_uint_eq(info.mode, 0640);
	ck_assert_uint_eq(info.flags, SHMC_CREATE_PREFAULT);
	shmc_observer_close(observer);
	shmt_assert_ok(shmc_unlink(second, "made", NULL));
}

static enum shmc_result creates(void)
{
	const struct shmc_create_options common = { .flags = SHMC_CREATE_PREFAULT };
	const struct shmc_spsc_options options = { .capacity_bytes = 8192,
						   .message_bytes_max = 100,
						   .mode = 0640,
						   .checksum = 1,
						   .common = &common };

	return shmc_spsc_create(client, "made", &options, &error);
}

TEST(creating_fails_whole_or_makes_what_was_asked, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(
		&(struct act){ "create", .run = creates, .undo = check_made, .clean = unlink_all });
	act_end();
}

static const struct shmc_field fields[] = {
	{ .name = "speed", .type = SHMC_TYPE_DOUBLE },
	{ .name = "gear", .type = SHMC_TYPE_U32 },
};

static enum shmc_result creates_record(void)
{
	const struct shmc_record_options options = { .fields = fields, .field_count = 2 };

	return shmc_record_create(client, "made", &options, &error);
}

static void unlinks_made(void)
{
	shmt_assert_ok(shmc_unlink(second, "made", NULL));
}

TEST(creating_a_record_fails_whole, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(&(struct act){ "create a record", .run = creates_record,
					   .undo = unlinks_made, .clean = unlink_all });
	act_end();
}

static enum shmc_result unlinks(void)
{
	bool was_armed = act_pause();

	shmc_spsc_create(second, "made", NULL, NULL);
	act_go_on(was_armed);
	return shmc_unlink(client, "made", &error);
}

TEST(unlinking_fails_whole, .timeout_s = 60)
{
	act_begin();
	act_fail_everywhere(&(struct act){ "unlink", .run = unlinks });
	act_end();
}
