#include "protocol/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/support/runner.h"

#define MS UINT64_C(1000000)

/* Three endpoints far apart, in different words of the attention. */
enum {
	NEAR = 1,
	FAR = 70,
	LAST = 254
};

struct fixture {
	struct shmp_waiter waiter;
	struct shmp_endpoint endpoints[256];
	struct shmp_waiter_memory memory;
	struct shmp_waiter_memory memories[256];
	int rings;
};

static struct fixture *make(void)
{
	struct fixture *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(f, MAP_FAILED);
	for (uint32_t i = 0; i < 256; i++)
		shmp_endpoint_set_state(&f->endpoints[i], 1, SHMP_ENDPOINT_ACTIVE);
	return f;
}

static void count_ring(void *ringer, uint32_t endpoint)
{
	struct fixture *f = ringer;

	ck_assert_uint_eq(endpoint, FAR);
	f->rings++;
}

static void notify(struct fixture *f, uint32_t endpoint)
{
	shmp_waiter_notify(&f->waiter, f->endpoints, endpoint, &f->memory, count_ring, f);
}

static uint32_t prepare(struct fixture *f, uint32_t endpoint)
{
	return shmp_waiter_prepare(&f->waiter, &f->endpoints[endpoint], endpoint, false);
}

static void arm(struct fixture *f, uint32_t arming)
{
	shmp_waiter_arm(&f->waiter, &f->endpoints[FAR], FAR, arming, false);
}

static uint32_t sequence(struct fixture *f)
{
	return atomic_load(&f->waiter.sequence);
}

/* The question */

TEST(nobody_waits_at_first)
{
	struct fixture *f = make();

	for (uint32_t i = 0; i < 255; i++)
		ck_assert(!shmp_waiter_wanted_by(&f->waiter, i));
}

TEST(each_waits_for_itself)
{
	static const uint32_t all[] = { NEAR, FAR, LAST };
	struct fixture *f = make();

	for (size_t i = 0; i < 3; i++)
		prepare(f, all[i]);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(shmp_waiter_wanted_by(&f->waiter, all[i]));
		ck_assert(!shmp_waiter_wanted_by(&f->waiter, all[i] - 1));
		shmp_waiter_finish(&f->waiter, all[i]);
		ck_assert(!shmp_waiter_wanted_by(&f->waiter, all[i]));
		for (size_t j = i + 1; j < 3; j++)
			ck_assert(shmp_waiter_wanted_by(&f->waiter, all[j]));
	}
}

TEST(with_fences_every_publisher_looks_closer)
{
	struct fixture *f = make();

	ck_assert_int_eq(shmp_waiter_require_fence(&f->waiter), 0);
	ck_assert_uint_eq(atomic_load(&f->waiter.mode), SHMP_WAITER_FENCE);
	ck_assert(shmp_waiter_wanted_by(&f->waiter, NEAR));
	notify(f, NEAR);
	ck_assert_uint_eq(sequence(f), 0);
	prepare(f, NEAR);
	notify(f, NEAR);
	ck_assert_uint_eq(sequence(f), 1);
}

/* Telling */

TEST(one_who_does_not_wait_is_not_told)
{
	struct fixture *f = make();

	prepare(f, FAR);
	notify(f, NEAR);
	ck_assert_uint_eq(sequence(f), 0);
	ck_assert_int_eq(f->rings, 0);
}

TEST(a_slow_riser_is_woken_once)
{
	struct fixture *f = make();
	uint32_t key = prepare(f, NEAR);

	for (int i = 0; i < 10; i++)
		notify(f, NEAR);
	ck_assert_uint_eq(sequence(f), key + 1);
	key = prepare(f, NEAR);
	notify(f, NEAR);
	notify(f, NEAR);
	ck_assert_uint_eq(sequence(f), key + 1);
}

TEST(a_publisher_does_not_rely_on_the_bump_of_another)
{
	struct shmp_waiter_memory other = { 0 };
	struct fixture *f = make();

	prepare(f, NEAR);
	notify(f, NEAR);
	shmp_waiter_notify(&f->waiter, f->endpoints, NEAR, &other, count_ring, f);
	ck_assert_uint_eq(sequence(f), 2);
}

TEST(telling_works_where_the_sequence_wraps)
{
	struct fixture *f = make();

	atomic_store(&f->waiter.sequence, UINT32_MAX - 2);
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(prepare(f, NEAR), UINT32_MAX - 2 + i);
		notify(f, NEAR);
		notify(f, NEAR);
		ck_assert_uint_eq(sequence(f), UINT32_MAX - 1 + i);
	}
}

/* Others bumped it while this publisher had nothing to say, half a round and more. */
TEST(a_publisher_who_was_silent_for_long_is_heard)
{
	static const uint32_t bumps[] = { 1u << 30, 1u << 31, 3u << 30, UINT32_MAX };

	for (size_t i = 0; i < sizeof(bumps) / sizeof(bumps[0]); i++) {
		struct fixture *f = make();
		uint32_t key;

		prepare(f, NEAR);
		notify(f, NEAR);
		atomic_fetch_add(&f->waiter.sequence, bumps[i]);
		key = prepare(f, NEAR);
		notify(f, NEAR);
		ck_assert_uint_eq(sequence(f), key + 1);
		notify(f, NEAR);
		ck_assert_uint_eq(sequence(f), key + 1);
	}
}

TEST(telling_leaves_the_bit_to_its_owner)
{
	struct fixture *f = make();

	prepare(f, NEAR);
	notify(f, NEAR);
	ck_assert(shmp_waiter_wanted_by(&f->waiter, NEAR));
	shmp_waiter_wake_all(&f->waiter);
	ck_assert(shmp_waiter_wanted_by(&f->waiter, NEAR));
}

TEST(a_bell_is_rung_once_for_each_arming)
{
	struct fixture *f = make();

	for (uint32_t arming = 5; arming < 8; arming++) {
		arm(f, arming);
		notify(f, FAR);
		notify(f, FAR);
		ck_assert_int_eq(f->rings, (int)arming - 4);
	}
	ck_assert_uint_eq(sequence(f), 0);
}

TEST(a_successor_s_bell_is_rung_even_if_it_counts_from_the_start)
{
	struct fixture *f = make();

	arm(f, 1);
	notify(f, FAR);
	shmp_waiter_finish(&f->waiter, FAR);
	shmp_endpoint_set_state(&f->endpoints[FAR], 2, SHMP_ENDPOINT_ACTIVE);
	arm(f, 1);
	notify(f, FAR);
	ck_assert_int_eq(f->rings, 2);
}

TEST(one_who_sleeps_after_a_bell_is_woken)
{
	struct fixture *f = make();

	arm(f, 1);
	notify(f, FAR);
	shmp_waiter_finish(&f->waiter, FAR);
	atomic_store(&f->endpoints[FAR].doorbell, 0);
	prepare(f, FAR);
	notify(f, FAR);
	ck_assert_int_eq(f->rings, 1);
	ck_assert_uint_eq(sequence(f), 1);
}

/* Many */

static void notify_all(struct fixture *f, uint32_t count)
{
	shmp_waiter_notify_all(&f->waiter, f->endpoints, count, &f->memory, f->memories, count_ring,
			       f);
}

TEST(any_of_many_is_seen_in_as_many_words_as_they_need)
{
	struct fixture *f = make();

	ck_assert_uint_eq(shmp_waiter_words(1), 1);
	ck_assert_uint_eq(shmp_waiter_words(64), 1);
	ck_assert_uint_eq(shmp_waiter_words(65), 2);
	ck_assert_uint_eq(shmp_waiter_words(255), 4);
	ck_assert(!shmp_waiter_wanted(&f->waiter, 4));
	prepare(f, FAR);
	ck_assert(!shmp_waiter_wanted(&f->waiter, 1));
	ck_assert(shmp_waiter_wanted(&f->waiter, 2));
	shmp_waiter_finish(&f->waiter, FAR);
	prepare(f, LAST);
	ck_assert(!shmp_waiter_wanted(&f->waiter, 3));
	ck_assert(shmp_waiter_wanted(&f->waiter, 4));
}

TEST(all_sleepers_cost_one_wake_and_every_bell_its_ring)
{
	struct fixture *f = make();

	prepare(f, NEAR);
	prepare(f, LAST);
	arm(f, 1);
	for (int again = 0; again < 3; again++)
		notify_all(f, 255);
	ck_assert_uint_eq(sequence(f), 1);
	ck_assert_int_eq(f->rings, 1);
	prepare(f, LAST);
	arm(f, 2);
	notify_all(f, 255);
	ck_assert_uint_eq(sequence(f), 2);
	ck_assert_int_eq(f->rings, 2);
}

TEST(a_bit_of_no_endpoint_is_nobody_s)
{
	struct fixture *f = make();

	prepare(f, LAST);
	arm(f, 1);
	notify_all(f, FAR);
	ck_assert_uint_eq(sequence(f), 0);
	ck_assert_int_eq(f->rings, 0);
}

/* Sleeping */

TEST(a_deadline_is_kept)
{
	static const uint64_t waits[] = { 1, 5, 20, 50 };
	struct fixture *f = make();

	for (size_t i = 0; i < 4; i++) {
		uint64_t deadline = shmp_clock_ns() + waits[i] * MS;

		ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, deadline), -ETIMEDOUT);
		ck_assert_uint_ge(shmp_clock_ns(), deadline);
		ck_assert_uint_lt(shmp_clock_ns(), deadline + shmt_scaled(500) * MS);
	}
}

TEST(a_deadline_that_has_passed_returns_at_once)
{
	struct fixture *f = make();

	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, shmp_clock_ns()), -ETIMEDOUT);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, 0), -ETIMEDOUT);
}

TEST(an_old_key_returns_at_once)
{
	struct fixture *f = make();
	uint32_t key = prepare(f, NEAR);

	notify(f, NEAR);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, key, UINT64_MAX), 0);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, key, shmp_clock_ns() + 60000 * MS), 0);
}

static void do_nothing(int number)
{
}

TEST(a_signal_is_no_reason_to_return)
{
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	struct sigaction action = { .sa_handler = do_nothing }; /* without SA_RESTART */
	struct fixture *f = make();
	uint64_t deadline = shmp_clock_ns() + 100 * MS;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, deadline), -ETIMEDOUT);
	ck_assert_uint_ge(shmp_clock_ns(), deadline);
}

TEST(in_pieces_a_sleep_ends_after_a_second)
{
	struct fixture *f = make();
	uint64_t before = shmp_clock_ns();

	atomic_store(&f->waiter.mode, SHMP_WAITER_PIECES);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, UINT64_MAX), 0);
	ck_assert_uint_ge(shmp_clock_ns(), before + 1000 * MS);
	ck_assert_uint_lt(shmp_clock_ns(), before + 1000 * MS + shmt_scaled(500) * MS);
}

TEST(in_pieces_a_nearer_deadline_is_kept)
{
	struct fixture *f = make();
	uint64_t deadline = shmp_clock_ns() + 20 * MS;

	atomic_store(&f->waiter.mode, SHMP_WAITER_PIECES);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 0, deadline), -ETIMEDOUT);
	ck_assert_uint_ge(shmp_clock_ns(), deadline);
}

/* A peer that writes to the sequence without end keeps nobody beyond his time. */
TEST(a_deadline_that_has_passed_is_said_whatever_the_sequence_is)
{
	struct fixture *f = make();

	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 1, shmp_clock_ns()), -ETIMEDOUT);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 1, shmp_clock_ns() + 60000 * MS), 0);
	ck_assert_int_eq(shmp_waiter_sleep(&f->waiter, 1, UINT64_MAX), 0);
}

struct sleeper {
	struct shmp_waiter *waiter;
	_Atomic int slept;
};

static void *sleep_once(void *context)
{
	struct sleeper *sleeper = context;

	shmp_waiter_sleep(sleeper->waiter, 0, UINT64_MAX);
	atomic_fetch_add(&sleeper->slept, 1);
	return NULL;
}

TEST(all_sleepers_are_woken)
{
	struct fixture *f = make();
	struct sleeper sleeper = { &f->waiter, 0 };
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, sleep_once, &sleeper);
	shmp_waiter_wake_all(&f->waiter);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(atomic_load(&sleeper.slept), 4);
}

TEST(one_who_may_only_read_can_sleep_too)
{
	int fd = memfd_create("waiter", MFD_CLOEXEC);
	struct shmp_waiter *writable, *readable;
	struct sleeper sleeper = { 0 };
	pthread_t thread;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	readable = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_int_eq(shmp_waiter_sleep(readable, 0, shmp_clock_ns() + 5 * MS), -ETIMEDOUT);
	sleeper.waiter = readable;
	pthread_create(&thread, NULL, sleep_once, &sleeper);
	shmp_waiter_wake_all(writable);
	pthread_join(thread, NULL);
}

TEST(membarrier_is_to_be_had_here)
{
	ck_assert(shmp_membarrier_register());
	ck_assert(shmp_membarrier_register());
	shmp_membarrier();
}

TEST(the_clock_does_not_go_back)
{
	uint64_t last = shmp_clock_ns();

	for (int i = 0; i < 10000; i++) {
		uint64_t now = shmp_clock_ns();

		ck_assert_uint_ge(now, last);
		last = now;
	}
}

SHMT_MAIN
