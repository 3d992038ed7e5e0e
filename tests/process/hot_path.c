/*
 * While both sides are awake, nothing on the data path enters the kernel: both processes run under
 * a filter that kills whoever does, and exchange a million messages. What it costs to wake a
 * sleeper shows that the filter would have noticed. (No fence and no lock: see abi/hot_path.py.)
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define MESSAGES 1000000
#define SPIN_NS	 INT64_C(600000000000) /* nobody sleeps in this test */
#define BATCH	 16

/* From now on the only way out of user mode is the end of the process. */
static void forbid_the_kernel(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof(code) / sizeof(*code), .filter = code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	/* check's macros write a note even of a success */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		_exit(1);
}

/* A million, or as many as a slow build does in the same time. */
static uint64_t messages(void)
{
	return MESSAGES / shmt_scaled(1);
}

/* A short one, one of two lines, a long one: each way of copying. */
static uint64_t size_of(uint64_t number)
{
	static const uint64_t sizes[] = { 8, 8, 64, 8, 100, 700 };

	return sizes[number / 4 % 6];
}

/* One way to send everything, and to receive it. They end the process: 0 is success. */
struct way {
	void (*send)(struct shmc_spsc *queue);
	void (*receive)(struct shmc_spsc *queue);
};

static void end(bool is_good)
{
	syscall(SYS_exit_group, is_good ? 0 : 1);
}

static void send_by_tries(struct shmc_spsc *queue)
{
	uint64_t words[128] = { 0 };

	for (uint64_t number = 0; number < messages(); number++) {
		enum shmc_result result;

		words[0] = number;
		do
			result = shmc_spsc_try_push(queue, words, size_of(number));
		while (result == SHMC_FULL);
		if (result != SHMC_OK)
			end(false);
	}
}

static void receive_by_tries(struct shmc_spsc *queue)
{
	struct shmc_message message;
	uint64_t words[128];

	for (uint64_t number = 0; number < messages(); number++) {
		enum shmc_result result;

		do
			result = shmc_spsc_try_pop(queue, words, sizeof(words), &message);
		while (result == SHMC_EMPTY);
		if (result != SHMC_OK || words[0] != number || message.size != size_of(number))
			end(false);
	}
}

static void send_waiting(struct shmc_spsc *queue)
{
	uint64_t words[128] = { 0 };

	for (uint64_t number = 0; number < messages(); number++) {
		words[0] = number;
		if (shmc_spsc_push(queue, words, size_of(number), SHMC_FOREVER) != SHMC_OK)
			end(false);
	}
}

static void receive_waiting(struct shmc_spsc *queue)
{
	struct shmc_message message;
	uint64_t words[128];

	for (uint64_t number = 0; number < messages(); number++) {
		if (shmc_spsc_pop(queue, words, sizeof(words), SHMC_FOREVER, &message) != SHMC_OK ||
		    words[0] != number)
			end(false);
	}
}

static void send_in_place(struct shmc_spsc *queue)
{
	for (uint64_t number = 0; number < messages(); number++) {
		void *data;

		if (shmc_spsc_reserve(queue, 64, SHMC_FOREVER, &data) != SHMC_OK)
			end(false);
		*(uint64_t *)data = number;
		if (shmc_spsc_commit(queue, 8 + size_of(number) % 57) != SHMC_OK)
			end(false);
	}
}

static void receive_in_place(struct shmc_spsc *queue)
{
	struct shmc_message message;

	for (uint64_t number = 0; number < messages(); number++) {
		if (shmc_spsc_peek(queue, SHMC_FOREVER, &message) != SHMC_OK ||
		    *(const uint64_t *)message.data != number ||
		    shmc_spsc_release(queue, 1) != SHMC_OK)
			end(false);
	}
}

static void send_batches(struct shmc_spsc *queue)
{
	struct shmc_bytes batch[BATCH];
	uint64_t words[BATCH];
	uint64_t number = 0, sent;

	while (number < messages()) {
		uint64_t want = messages() - number < BATCH ? messages() - number : BATCH;

		for (uint64_t i = 0; i < want; i++) {
			words[i] = number + i;
			batch[i] = (struct shmc_bytes){ .data = &words[i], .size = 8 };
		}
		if (shmc_spsc_push_batch(queue, batch, want, SHMC_FOREVER, &sent) != SHMC_OK)
			end(false);
		number += sent;
	}
}

static void receive_batches(struct shmc_spsc *queue)
{
	struct shmc_message batch[BATCH];
	uint64_t number = 0, count;

	while (number < messages()) {
		if (shmc_spsc_peek_batch(queue, batch, BATCH, SHMC_FOREVER, &count) != SHMC_OK)
			end(false);
		for (uint64_t i = 0; i < count; i++)
			if (*(const uint64_t *)batch[i].data != number++)
				end(false);
		if (shmc_spsc_release(queue, count) != SHMC_OK)
			end(false);
	}
}

static void ask_the_clock(struct shmt_peer *other, void *context)
{
	struct timespec now;

	forbid_the_kernel();
	clock_gettime(CLOCK_MONOTONIC, &now);
	end(true);
}

/* Whoever spins looks at the clock; on a few machines that alone is a system call. */
static bool the_clock_is_in_user_mode(void)
{
	struct shmt_peer asker = shmt_peer_start(ask_the_clock, NULL);
	int status;

	ck_assert_int_eq(waitpid(asker.pid, &status, 0), asker.pid);
	return status == 0;
}

struct side {
	const struct shmt_broker *broker;
	enum shmc_spsc_role role;
	void (*work)(struct shmc_spsc *queue);
};

static void be_side(struct shmt_peer *other, void *context)
{
	const struct side *side = context;
	struct shmc_client *client;
	struct shmc_spsc *queue;

	shmt_peer_await(other);
	client = shmt_connect_as(side->broker, (struct shmc_client_options){ .spin_ns = SPIN_NS });
	queue = shmt_open(client, "queue", side->role);
	shmt_peer_tell(other);
	shmt_peer_await(other);
	forbid_the_kernel();
	side->work(queue);
	end(true);
}

static void exchange(const struct way *way)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct side sides[] = {
		{ &broker, SHMC_SPSC_PRODUCER, way->send },
		{ &broker, SHMC_SPSC_CONSUMER, way->receive },
	};
	struct shmt_peer peer[2];
	struct shmc_client *client;

	for (int i = 0; i < 2; i++)
		peer[i] = shmt_peer_start(be_side, &sides[i]);
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 65536);
	for (int i = 0; i < 2; i++)
		shmt_peer_tell(&peer[i]);
	for (int i = 0; i < 2; i++)
		shmt_peer_await(&peer[i]);
	for (int i = 0; i < 2; i++)
		shmt_peer_tell(&peer[i]);
	for (int i = 0; i < 2; i++)
		shmt_peer_join(&peer[i]);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_million_tries_do_not_enter_the_kernel, .timeout_s = 60)
{
	exchange(&(struct way){ send_by_tries, receive_by_tries });
}

TEST(a_million_waiting_calls_do_not_while_both_sides_spin, .timeout_s = 60)
{
	if (the_clock_is_in_user_mode())
		exchange(&(struct way){ send_waiting, receive_waiting });
}

TEST(a_million_messages_in_place_do_not, .timeout_s = 60)
{
	if (the_clock_is_in_user_mode())
		exchange(&(struct way){ send_in_place, receive_in_place });
}

TEST(a_million_messages_in_batches_do_not, .timeout_s = 60)
{
	if (the_clock_is_in_user_mode())
		exchange(&(struct way){ send_batches, receive_batches });
}

/* The counter-proof: the same filter, and a consumer that is asleep. */

static void be_waker(struct shmt_peer *other, void *context)
{
	struct shmc_client *client;
	struct shmc_spsc *queue;

	shmt_peer_await(other);
	client = shmt_connect(context);
	queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmt_peer_tell(other);
	shmt_await_sleeper(queue, 0);
	usleep(20000); /* it has counted, and is about to sleep or asleep */
	forbid_the_kernel();
	shmc_spsc_push(queue, "wake", 4, SHMC_TRY);
	end(true);
}

TEST(waking_a_sleeper_enters_the_kernel_and_is_noticed, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer waker = shmt_peer_start(be_waker, &broker);
	struct shmc_message message;
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *queue;
	char buffer[8];
	siginfo_t info;

	shmt_create(client, "queue", 4096);
	queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	shmt_peer_tell(&waker);
	shmt_peer_await(&waker);
	/* the message is there before the kernel is asked, and the death wakes instead */
	shmt_assert_ok(shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_FOREVER, &message));
	ck_assert_uint_eq(message.size, 4);
	ck_assert_int_eq(waitid(P_PID, (id_t)waker.pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_code, CLD_KILLED);
	ck_assert_int_eq(info.si_status, SIGSYS);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
