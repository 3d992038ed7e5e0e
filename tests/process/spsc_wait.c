/* Waiting: as long as was asked for, no longer than until something happens, and never missed. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *producer; /* or NULL */
	struct shmc_spsc *consumer; /* or NULL */
	int64_t spin_ns;
};

static struct shmc_client *scene_connect(const struct scene *scene)
{
	return shmt_connect_as(&scene->broker,
			       (struct shmc_client_options){ .spin_ns = scene->spin_ns });
}

/* Two queues, "there" and "back", of 4096 bytes. */
static struct scene scene_open(int64_t spin_ns)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .spin_ns = spin_ns };

	scene.client = scene_connect(&scene);
	shmt_create(scene.client, "there", 4096);
	shmt_create(scene.client, "back", 4096);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_spsc_close(scene->producer);
	shmc_spsc_close(scene->consumer);
	shmc_disconnect(scene->client);
	shmt_broker_stop(&scene->broker);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 * MS_NS + now.tv_nsec;
}

static enum shmc_result pop_nothing(struct shmc_spsc *queue, int64_t timeout_ns)
{
	struct shmc_message message;
	char byte;

	return shmc_spsc_pop(queue, &byte, 1, timeout_ns, &message);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* No try has said EMPTY since: nobody owes a ring, so nobody may wait for one. */
TEST(after_a_timed_wait_the_descriptor_is_readable)
{
	struct scene scene = scene_open(0);
	int fd;

	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(scene.consumer, &fd, NULL));
	shmt_assert_result(pop_nothing(scene.consumer, SHMC_TRY), SHMC_EMPTY);
	ck_assert(!is_readable(fd));
	shmt_assert_result(pop_nothing(scene.consumer, 1), SHMC_TIMEOUT);
	ck_assert(is_readable(fd));
	shmt_assert_result(pop_nothing(scene.consumer, SHMC_TRY), SHMC_EMPTY);
	ck_assert(!is_readable(fd));
	scene_close(&scene);
}

/* Else the consumer's event loop would spin until the end of its days. */
TEST(a_doorbell_that_a_producer_shut_down_is_no_reason_to_spin)
{
	struct scene scene = scene_open(0);
	struct shmt_raw *bad = shmt_raw_open(scene.broker.address);
	struct shmc_message message;
	int fd;

	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(scene.consumer, &fd, NULL));
	shmt_raw_call(bad, "Attach", "{'name':'there','kind':'spsc','role':'producer'}");
	shmt_raw_call(bad, "TakeDoorbell", "{'id':1,'endpoint':1}");
	shmt_assert_result(pop_nothing(scene.consumer, SHMC_TRY), SHMC_EMPTY);
	shutdown(shmt_raw_fd(bad, "ring"), SHUT_RDWR);
	shmt_assert_result(pop_nothing(scene.consumer, SHMC_TRY), SHMC_CORRUPT);
	shmt_assert_result(shmc_spsc_peek(scene.consumer, SHMC_TRY, &message), SHMC_CORRUPT);
	shmc_spsc_close(scene.consumer);
	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(scene.consumer, &fd, NULL));
	shmt_assert_result(pop_nothing(scene.consumer, SHMC_TRY), SHMC_EMPTY);
	ck_assert(!is_readable(fd));
	shmt_raw_close(bad);
	scene_close(&scene);
}

static void expect_timeout(int64_t started_ns, int64_t timeout_ns, enum shmc_result result)
{
	int64_t took_ns = now_ns() - started_ns;

	ck_assert_int_eq(result, SHMC_TIMEOUT);
	ck_assert_int_ge(took_ns, timeout_ns);
	ck_assert_int_le(took_ns, timeout_ns + (int64_t)shmt_scaled(500) * MS_NS);
}

TEST(an_empty_ring_times_out_in_time)
{
	struct scene scene = scene_open(0);
	struct shmc_message message;
	uint64_t count;
	int64_t start;

	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	start = now_ns();
	expect_timeout(start, 50 * MS_NS, pop_nothing(scene.consumer, 50 * MS_NS));
	start = now_ns();
	expect_timeout(start, 1, pop_nothing(scene.consumer, 1));
	start = now_ns();
	expect_timeout(start, 20 * MS_NS, shmc_spsc_peek(scene.consumer, 20 * MS_NS, &message));
	start = now_ns();
	expect_timeout(start, 20 * MS_NS,
		       shmc_spsc_peek_batch(scene.consumer, &message, 1, 20 * MS_NS, &count));
	scene_close(&scene);
}

TEST(a_full_ring_times_out_in_time)
{
	struct scene scene = scene_open(0);
	static const uint8_t payload[4080];
	struct shmc_bytes batch = { payload, 1 };
	uint64_t count;
	int64_t start;
	void *room;

	scene.producer = shmt_open(scene.client, "there", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_push(scene.producer, payload, 4080, 50 * MS_NS));
	start = now_ns();
	expect_timeout(start, 50 * MS_NS, shmc_spsc_push(scene.producer, "", 0, 50 * MS_NS));
	start = now_ns();
	expect_timeout(start, 20 * MS_NS, shmc_spsc_reserve(scene.producer, 1, 20 * MS_NS, &room));
	start = now_ns();
	expect_timeout(start, 20 * MS_NS,
		       shmc_spsc_push_batch(scene.producer, &batch, 1, 20 * MS_NS, &count));
	/* and nothing of it is open */
	shmt_assert_result(shmc_spsc_abort(scene.producer), SHMC_INVALID);
	scene_close(&scene);
}

static void on_signal(int number)
{
	(void)number;
}

/* Signals that interrupt system calls, every millisecond. */
static void send_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval timer = { .it_interval = { .tv_usec = 1000 },
				   .it_value = { .tv_usec = 1000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

TEST(signals_neither_end_nor_lengthen_a_wait)
{
	struct scene scene = scene_open(0);
	int64_t start;

	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	send_signals();
	start = now_ns();
	expect_timeout(start, 50 * MS_NS, pop_nothing(scene.consumer, 50 * MS_NS));
	setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0 } }, NULL);
	scene_close(&scene);
}

TEST(control_calls_do_not_mind_signals)
{
	struct scene scene = scene_open(0);

	send_signals();
	for (int i = 0; i < 200; i++) {
		struct shmc_spsc *queue = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);

		shmc_spsc_close(queue);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0 } }, NULL);
	scene_close(&scene);
}

/* Waits in one call, by the command of the test, and says what came of it. */
struct waiter {
	struct scene *scene;
	enum shmc_spsc_role role;
	int64_t timeout_ns;
};

static void wait_once(struct shmt_peer *other, void *context)
{
	struct waiter *waiter = context;
	struct shmc_client *client = scene_connect(waiter->scene);
	struct shmc_spsc *queue = shmt_open(client, "there", waiter->role);
	struct shmc_message message;
	char buffer[4096];

	shmt_peer_tell(other);
	if (waiter->role == SHMC_SPSC_CONSUMER)
		shmt_assert_ok(
			shmc_spsc_pop(queue, buffer, sizeof(buffer), waiter->timeout_ns, &message));
	else
		shmt_assert_ok(shmc_spsc_push(queue, "", 0, waiter->timeout_ns));
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

static void sleeping_consumer_gets_it(int64_t timeout_ns)
{
	struct scene scene = scene_open(-1);
	struct waiter waiter = { &scene, SHMC_SPSC_CONSUMER, timeout_ns };
	struct shmt_peer peer;

	scene.producer = shmt_open(scene.client, "there", SHMC_SPSC_PRODUCER);
	peer = shmt_peer_start(wait_once, &waiter);
	shmt_await_sleeper(scene.producer, 0);
	shmt_assert_ok(shmc_spsc_try_push(scene.producer, "wake", 4));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(a_sleeping_consumer_is_woken_by_a_message)
{
	sleeping_consumer_gets_it(SHMC_FOREVER);
}

TEST(the_longest_time_there_is_does_not_overflow)
{
	sleeping_consumer_gets_it(INT64_MAX);
}

TEST(any_negative_time_is_for_ever)
{
	sleeping_consumer_gets_it(-2);
	sleeping_consumer_gets_it(INT64_MIN);
}

TEST(a_sleeping_producer_is_woken_by_room)
{
	struct scene scene = scene_open(-1);
	struct waiter waiter = { &scene, SHMC_SPSC_PRODUCER, SHMC_FOREVER };
	static uint8_t payload[4080];
	struct shmc_message message;
	struct shmt_peer peer;

	scene.producer = shmt_open(scene.client, "there", SHMC_SPSC_PRODUCER);
	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_try_push(scene.producer, payload, sizeof(payload)));
	scene.producer = shmc_spsc_close(scene.producer);
	peer = shmt_peer_start(wait_once, &waiter);
	shmt_await_sleeper(scene.consumer, 0);
	shmt_assert_ok(shmc_spsc_try_pop(scene.consumer, payload, sizeof(payload), &message));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void come_later(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = scene_connect(scene);
	struct shmc_spsc *queue;

	shmt_peer_await(other);
	queue = shmt_open(client, "there", SHMC_SPSC_PRODUCER);
	shmt_peer_await(other);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(one_can_wait_for_the_other_side_to_come)
{
	struct scene scene = scene_open(-1);
	struct shmt_peer peer = shmt_peer_start(come_later, &scene);
	int64_t start;

	scene.consumer = shmt_open(scene.client, "there", SHMC_SPSC_CONSUMER);
	ck_assert_int_eq(shmc_spsc_peer(scene.consumer), SHMC_PEER_NONE);
	shmt_assert_result(shmc_spsc_wait_peer(scene.consumer, SHMC_TRY), SHMC_TIMEOUT);
	start = now_ns();
	expect_timeout(start, 20 * MS_NS, shmc_spsc_wait_peer(scene.consumer, 20 * MS_NS));
	shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_spsc_wait_peer(scene.consumer, SHMC_FOREVER));
	shmt_assert_ok(shmc_spsc_wait_peer(scene.consumer, SHMC_TRY));
	ck_assert_int_eq(shmc_spsc_peer(scene.consumer), SHMC_PEER_ACTIVE);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(a_consumer_that_sleeps_before_the_producer_comes_gets_the_first_message)
{
	struct scene scene = scene_open(-1);
	struct waiter waiter = { &scene, SHMC_SPSC_CONSUMER, SHMC_FOREVER };
	struct shmt_peer peer = shmt_peer_start(wait_once, &waiter);

	shmt_peer_await(&peer);
	scene.producer = shmt_open(scene.client, "there", SHMC_SPSC_PRODUCER);
	shmt_await_sleeper(scene.producer, 0);
	shmt_assert_ok(shmc_spsc_try_push(scene.producer, "", 0));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* Round trips, each side asleep or about to be whenever the other one sends. */

struct rally {
	struct scene *scene;
	uint64_t rounds;
	void (*prepare)(void); /* in both processes, before they connect */
	bool only_one;	       /* prepare the peer alone */
};

static void dawdle(struct shmt_random *random)
{
	for (uint64_t i = shmt_random_below(random, 2000); i > 0; i--)
		__asm__ __volatile__("" ::: "memory");
}

static void send_number(struct shmc_spsc *queue, uint64_t number)
{
	shmt_assert_ok(shmc_spsc_push(queue, &number, sizeof(number), SHMC_FOREVER));
}

static void receive_number(struct shmc_spsc *queue, uint64_t number)
{
	struct shmc_message message;
	uint64_t got;

	shmt_assert_ok(shmc_spsc_pop(queue, &got, sizeof(got), SHMC_FOREVER, &message));
	ck_assert_uint_eq(got, number);
}

static void rally_back(struct shmt_peer *other, void *context)
{
	const struct rally *rally = context;
	struct shmt_random random = { .state = 1 };
	struct shmc_client *client;
	struct shmc_spsc *in, *out;

	(void)other;
	if (rally->prepare)
		rally->prepare();
	client = scene_connect(rally->scene);
	in = shmt_open(client, "there", SHMC_SPSC_CONSUMER);
	out = shmt_open(client, "back", SHMC_SPSC_PRODUCER);
	for (uint64_t i = 0; i < rally->rounds; i++) {
		receive_number(in, i);
		dawdle(&random);
		send_number(out, i);
	}
	shmc_spsc_close(in);
	shmc_spsc_close(out);
	shmc_disconnect(client);
}

static void run_rally(uint64_t rounds, int64_t spin_ns, void (*prepare)(void), bool only_one)
{
	struct scene scene = scene_open(spin_ns);
	struct rally rally = { &scene, rounds, prepare, only_one };
	struct shmt_random random = { .state = shmt_seed() };
	struct shmt_peer peer = shmt_peer_start(rally_back, &rally);

	if (prepare && !only_one) {
		scene.client = shmc_disconnect(scene.client);
		prepare();
		scene.client = scene_connect(&scene);
	}
	scene.producer = shmt_open(scene.client, "there", SHMC_SPSC_PRODUCER);
	scene.consumer = shmt_open(scene.client, "back", SHMC_SPSC_CONSUMER);
	for (uint64_t i = 0; i < rounds; i++) {
		send_number(scene.producer, i);
		dawdle(&random);
		receive_number(scene.consumer, i);
	}
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(no_wake_up_is_lost_when_both_sleep_at_once, .timeout_s = 60)
{
	run_rally(50000, -1, NULL, false);
}

TEST(no_wake_up_is_lost_at_the_end_of_spinning, .timeout_s = 60)
{
	run_rally(100000, 1000, NULL, false);
}

TEST(no_wake_up_is_lost_with_the_usual_spinning, .timeout_s = 60)
{
	run_rally(200000, 0, NULL, false);
}

static void use_one_cpu(void)
{
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (int i = 0, found = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &cpus) && found++)
			CPU_CLR(i, &cpus);
	}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

TEST(two_on_one_cpu_take_turns, .timeout_s = 60)
{
	run_rally(20000, 0, use_one_cpu, false);
}

/* From now on this process is refused membarrier, as in some containers. */
static void refuse_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(no_wake_up_is_lost_where_membarrier_is_refused, .timeout_s = 60)
{
	run_rally(50000, -1, refuse_membarrier, false);
}

TEST(no_wake_up_is_lost_where_one_of_two_is_refused_membarrier, .timeout_s = 60)
{
	run_rally(50000, -1, refuse_membarrier, true);
}

SHMT_MAIN
