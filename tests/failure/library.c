/*
 * libshmclient when memory is short or the kernel refuses: each call of malloc and of the kernel
 * fails once, in every operation, with each of its errors. The operation is done or says why not,
 * nothing is left over, and the same operation works at once.
 *
 * The broker is a process of its own, and has no faults.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmclient/shmclient.h"
#include "tests/failure/fault.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

#define TIMEOUT_NS INT64_C(2000000000)

/* One operation, and how to get back to where it began. */
struct act {
	const char *name;
	enum shmc_result (*run)(void);
	void (*undo)(void);  /* what it did; NULL: nothing is left of it */
	void (*clean)(void); /* after a failure that may have been one of the answer only */
};

static struct shmt_broker broker;
static struct shmc_client *client, *second;
static struct shmc_error error;

/* ---- the loop -------------------------------------------------------------------------------- */

static bool is_of_memory(int number)
{
	return number == ENOMEM || number == EMFILE || number == ENFILE || number == ENOBUFS ||
	       number == ENOSPC;
}

/* What the caller is told fits what happened. */
static bool is_fitting(enum shmc_result result)
{
	if (result == SHMC_OK || result == SHMC_NO_SPACE)
		return true;
	/* RLIMIT_MEMLOCK */
	if (result == SHMC_QUOTA)
		return strcmp(fault->call, "mlock") == 0 || fault->number == EAGAIN;
	return !is_of_memory(fault->number) &&
	       (result == SHMC_BROKER_LOST || result == SHMC_DENIED || result == SHMC_TIMEOUT);
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

static void fail_everywhere(const struct act *act)
{
	struct fault_round round = { .chosen = 0 };
	size_t descriptors;
	long blocks;

	run_whole(act);
	blocks = fault->blocks;
	descriptors = shmt_descriptor_count();
	while (fault_next(&round)) {
		enum shmc_result result;

		fault_arm(round.chosen, round.error);
		result = act->run();
		fault_disarm();
		if (!is_fitting(result))
			ck_abort_msg("%s, call %lu (%s): %s (%s)", act->name, round.chosen,
				     fault_text(), shmc_result_name(result), error.text);
		if (result == SHMC_OK && act->undo)
			act->undo();
		else if (result != SHMC_OK && act->clean)
			act->clean();
		run_whole(act);
		if (fault->blocks != blocks || shmt_descriptor_count() != descriptors)
			ck_abort_msg("%s, call %lu (%s): %ld blocks, not %ld; %zu descriptors, "
				     "not %zu",
				     act->name, round.chosen, fault_text(), (long)fault->blocks,
				     blocks, shmt_descriptor_count(), descriptors);
	}
	printf("# %s: %lu calls, %lu failures\n", act->name, round.chosen - 1, round.failures);
	ck_assert_uint_gt(round.failures, 0);
}

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	client = shmt_connect(&broker);
	second = shmt_connect(&broker);
}

static void end(void)
{
	shmc_disconnect(second);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

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
	begin();
	fail_everywhere(&(struct act){ "connect", .run = connects, .undo = disconnects });
	end();
}

/* What it says on its way out may be lost. */
static enum shmc_result leaves(void)
{
	bool is_armed = fault->is_armed;
	enum shmc_result result;

	fault->is_armed = false;
	result = connects();
	fault->is_armed = is_armed;
	if (result == SHMC_OK)
		disconnects();
	return result;
}

TEST(disconnecting_never_fails, .timeout_s = 60)
{
	begin();
	fail_everywhere(&(struct act){ "disconnect", .run = leaves });
	end();
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

TEST(checking_fails_whole, .timeout_s = 60)
{
	begin();
	fail_everywhere(&(struct act){ "check", .run = checks });
	end();
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
	begin();
	fail_everywhere(
		&(struct act){ "create", .run = creates, .undo = check_made, .clean = unlink_all });
	end();
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
	begin();
	fail_everywhere(&(struct act){ "create a record", .run = creates_record,
				       .undo = unlinks_made, .clean = unlink_all });
	end();
}

static enum shmc_result unlinks(void)
{
	bool is_armed = fault->is_armed;

	fault->is_armed = false;
	shmc_spsc_create(second, "made", NULL, NULL);
	fault->is_armed = is_armed;
	return shmc_unlink(client, "made", &error);
}

TEST(unlinking_fails_whole, .timeout_s = 60)
{
	begin();
	fail_everywhere(&(struct act){ "unlink", .run = unlinks });
	end();
}

/* ---- opening, by kind ------------------------------------------------------------------------ */

/* Opened by the client; its peer by the other, without faults. */
static union {
	struct shmc_spsc *spsc;
	struct shmc_mpmc *mpmc;
	struct shmc_pipe *pipe;
	struct shmc_rpc *rpc;
	struct shmc_record *record;
	struct shmc_broadcast *broadcast;
	struct shmc_pool *pool;
	struct shmc_arena *arena;
	struct shmc_observer *observer;
} own, peer;

#define OPENS(kind_, open_, ...)                                                         \
	static enum shmc_result kind_##_opens(void)                                      \
	{                                                                                \
		return shmc_##open_(client, "queue", ##__VA_ARGS__, &own.kind_, &error); \
	}                                                                                \
	static void kind_##_closes(void)                                                 \
	{                                                                                \
		own.kind_ = shmc_##kind_##_close(own.kind_);                             \
	}                                                                                \
	static enum shmc_result kind_##_opens_and_closes(void)                           \
	{                                                                                \
		bool is_armed = fault->is_armed;                                         \
		enum shmc_result result;                                                 \
		fault->is_armed = false;                                                 \
		result = kind_##_opens();                                                \
		fault->is_armed = is_armed;                                              \
		if (result == SHMC_OK)                                                   \
			kind_##_closes();                                                \
		return result;                                                           \
	}

OPENS(spsc, spsc_open, SHMC_SPSC_CONSUMER)
OPENS(mpmc, mpmc_open, SHMC_MPMC_CONSUMER)
OPENS(pipe, pipe_open, SHMC_PIPE_CLIENT, NULL)
OPENS(rpc, rpc_open, SHMC_RPC_CLIENT)
OPENS(record, record_open, SHMC_RECORD_READER, NULL)
OPENS(broadcast, broadcast_open, SHMC_BROADCAST_READER)
OPENS(pool, pool_open, SHMC_POOL_USER, NULL)
OPENS(arena, arena_open)
OPENS(observer, observer_open)

#define FDS(kind_)                                                \
	static enum shmc_result kind_##_fds(void)                 \
	{                                                         \
		int fd;                                           \
		return shmc_##kind_##_fd(own.kind_, &fd, &error); \
	}

#define OPENING(kind_, options_)                                                            \
	TEST(opening_of_##kind_##_fails_whole, .timeout_s = 60)                             \
	{                                                                                   \
		begin();                                                                    \
		shmt_assert_ok(shmc_##kind_##_create(second, "queue", options_, NULL));     \
		fail_everywhere(&(struct act){ "open " #kind_, .run = kind_##_opens,        \
					       .undo = kind_##_closes });                   \
		fail_everywhere(                                                            \
			&(struct act){ "close " #kind_, .run = kind_##_opens_and_closes }); \
		end();                                                                      \
	}

OPENING(spsc, NULL)
OPENING(mpmc, NULL)
OPENING(pipe, NULL)
OPENING(rpc, NULL)
OPENING(record, (&(struct shmc_record_options){ .fields = fields, .field_count = 2 }))
OPENING(broadcast, NULL)
OPENING(pool, NULL)
OPENING(arena, NULL)

TEST(observing_fails_whole, .timeout_s = 60)
{
	begin();
	shmt_assert_ok(shmc_mpmc_create(second, "queue", NULL, NULL));
	fail_everywhere(&(struct act){ "observe", .run = observer_opens, .undo = observer_closes });
	fail_everywhere(&(struct act){ "look away", .run = observer_opens_and_closes });
	end();
}

static struct shmc_spsc *inside;

static enum shmc_result opens_object(void)
{
	return shmc_spsc_open(client, "arena:object", SHMC_SPSC_CONSUMER, &inside, &error);
}

static void closes_object(void)
{
	inside = shmc_spsc_close(inside);
}

static enum shmc_result creates_object(void)
{
	return shmc_spsc_create(client, "arena:made", NULL, &error);
}

static void unlinks_object(void)
{
	shmt_assert_ok(shmc_unlink(second, "arena:made", NULL));
}

static void unlinks_object_if_there(void)
{
	shmc_unlink(second, "arena:made", NULL);
}

TEST(objects_of_an_arena_fail_whole, .timeout_s = 60)
{
	begin();
	shmt_assert_ok(shmc_arena_create(
		second, "arena", &(struct shmc_arena_options){ .data_bytes = 1 << 20 }, NULL));
	shmt_assert_ok(shmc_spsc_create(second, "arena:object", NULL, NULL));
	fail_everywhere(
		&(struct act){ "open an object", .run = opens_object, .undo = closes_object });
	fail_everywhere(&(struct act){ "create an object", .run = creates_object,
				       .undo = unlinks_object, .clean = unlinks_object_if_there });
	end();
}

/* ---- doorbells ------------------------------------------------------------------------------- */

/* Made once for a handle: each round needs a new one. */
#define BELLS(kind_)                                                                            \
	FDS(kind_)                                                                              \
	static enum shmc_result kind_##_opens_for_fd(void)                                      \
	{                                                                                       \
		bool is_armed = fault->is_armed;                                                \
		enum shmc_result result;                                                        \
		fault->is_armed = false;                                                        \
		result = kind_##_opens();                                                       \
		fault->is_armed = is_armed;                                                     \
		if (result == SHMC_OK) {                                                        \
			result = kind_##_fds();                                                 \
			fault->is_armed = false;                                                \
			/* on the same handle, at once */                                       \
			if (result != SHMC_OK)                                                  \
				shmt_assert_ok(kind_##_fds());                                  \
			kind_##_closes();                                                       \
			fault->is_armed = is_armed;                                             \
		}                                                                               \
		return result;                                                                  \
	}                                                                                       \
	TEST(doorbell_of_##kind_##_fails_whole, .timeout_s = 60)                                \
	{                                                                                       \
		begin();                                                                        \
		shmt_assert_ok(shmc_##kind_##_create(second, "queue", NULL, NULL));             \
		fail_everywhere(&(struct act){ "fd of " #kind_, .run = kind_##_opens_for_fd }); \
		end();                                                                          \
	}

BELLS(spsc)
BELLS(mpmc)
BELLS(pipe)
BELLS(rpc)
BELLS(broadcast)
BELLS(pool)

/* ---- messages -------------------------------------------------------------------------------- */

/* Push wakes by a doorbell that the consumer has: the producer has to fetch its end. */
static enum shmc_result spsc_moves(void)
{
	struct shmc_message message;
	char buffer[64];
	enum shmc_result result = shmc_spsc_push(peer.spsc, "text", 5, TIMEOUT_NS);

	if (result != SHMC_OK)
		return result;
	return shmc_spsc_pop(own.spsc, buffer, sizeof(buffer), TIMEOUT_NS, &message);
}

TEST(spsc_moves_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };
	enum shmc_result result;
	int fd;

	begin();
	shmt_create(second, "queue", 4096);
	shmt_assert_ok(spsc_opens());
	peer.spsc = shmt_open(second, "queue", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_fd(own.spsc, &fd, &error));
	shmt_assert_ok(spsc_moves());
	while (fault_next(&round)) {
		fault_arm(round.chosen, round.error);
		result = spsc_moves();
		fault_disarm();
		shmt_assert_ok(result);
	}
	shmc_spsc_close(peer.spsc);
	spsc_closes();
	end();
}

static enum shmc_result mpmc_moves(void)
{
	struct shmc_message message;
	char buffer[64];
	enum shmc_result result = shmc_mpmc_push(peer.mpmc, "text", 5, TIMEOUT_NS);

	if (result != SHMC_OK)
		return result;
	return shmc_mpmc_pop(own.mpmc, buffer, sizeof(buffer), TIMEOUT_NS, &message);
}

TEST(mpmc_moves_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };
	enum shmc_result result;
	int fd;

	begin();
	shmt_assert_ok(shmc_mpmc_create(second, "queue", NULL, NULL));
	shmt_assert_ok(mpmc_opens());
	shmt_assert_ok(shmc_mpmc_open(second, "queue", SHMC_MPMC_PRODUCER, &peer.mpmc, NULL));
	shmt_assert_ok(shmc_mpmc_fd(own.mpmc, &fd, &error));
	shmt_assert_ok(mpmc_moves());
	while (fault_next(&round)) {
		fault_arm(round.chosen, round.error);
		result = mpmc_moves();
		fault_disarm();
		shmt_assert_ok(result);
	}
	shmc_mpmc_close(peer.mpmc);
	mpmc_closes();
	end();
}

/* The first push after the consumer has got a descriptor: the producer has to ask for its end. */
static void push_at_sleeper(const struct fault_round *round)
{
	struct shmc_message message;
	struct pollfd bell = { .events = POLLIN };
	enum shmc_result result;
	char buffer[64];

	shmt_assert_ok(spsc_opens());
	peer.spsc = shmt_open(second, "queue", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_fd(own.spsc, &bell.fd, &error));
	shmt_assert_result(shmc_spsc_try_pop(own.spsc, buffer, sizeof(buffer), &message),
			   SHMC_EMPTY);
	fault_arm(round->chosen, round->error);
	result = shmc_spsc_try_push(peer.spsc, "text", 5);
	fault_disarm();
	shmt_assert_ok(result);
	if (poll(&bell, 1, (int)shmt_scaled(2000)) != 1)
		ck_abort_msg("call %lu (%s): nobody was woken", round->chosen, fault_text());
	shmt_assert_ok(shmc_spsc_try_pop(own.spsc, buffer, sizeof(buffer), &message));
	shmc_spsc_close(peer.spsc);
	spsc_closes();
}

TEST(push_wakes_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };

	begin();
	shmt_create(second, "queue", 4096);
	while (fault_next(&round))
		push_at_sleeper(&round);
	printf("# first push: %lu failures\n", round.failures);
	ck_assert_uint_gt(round.failures, 0);
	end();
}

/* ---- kernels that know less ------------------------------------------------------------------ */

#define MESSAGES 500

/* Sleeps for nearly each of them. */
static int consume(void)
{
	for (uint64_t i = 0; i < MESSAGES; i++)
		if (shmt_pop_numbered(own.spsc, i, 100, TIMEOUT_NS, NULL) != SHMC_OK)
			return 1;
	return 0;
}

static void exchange(unsigned producer_lacks, unsigned consumer_lacks)
{
	struct shmc_client_options options = { .address = NULL, .spin_ns = -1 };
	int status = 1;
	pid_t pid;

	broker = shmt_broker_start(NULL);
	fault->lacks = producer_lacks;
	client = shmt_connect_as(&broker, options);
	fault->lacks = 0;
	shmt_create(client, "queue", 4096);
	peer.spsc = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		shmt_be_child();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fault->lacks = consumer_lacks;
		second = shmt_connect_as(&broker, options);
		own.spsc = shmt_open(second, "queue", SHMC_SPSC_CONSUMER);
		_exit(consume());
	}
	/* each finds the consumer asleep, or going to sleep */
	for (uint64_t i = 0; i < MESSAGES; i++) {
		shmt_await_sleeper(peer.spsc, i);
		shmt_assert_ok(shmt_push_numbered(peer.spsc, i, 100, TIMEOUT_NS));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmc_spsc_close(peer.spsc);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(producer_without_membarrier_wakes_a_sleeper, .timeout_s = 60)
{
	exchange(FAULT_WITHOUT_MEMBARRIER, 0);
	ck_assert_uint_gt(fault->refusals, 0);
}

TEST(consumer_without_membarrier_is_woken, .timeout_s = 60)
{
	fault_share();
	exchange(0, FAULT_WITHOUT_MEMBARRIER);
	ck_assert_uint_gt(fault->refusals, 0);
}

TEST(nobody_has_membarrier, .timeout_s = 60)
{
	exchange(FAULT_WITHOUT_MEMBARRIER, FAULT_WITHOUT_MEMBARRIER);
	ck_assert_uint_gt(fault->refusals, 0);
}

SHMT_MAIN
