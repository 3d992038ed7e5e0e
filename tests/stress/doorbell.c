/*
 * No ring is lost: a consumer that does nothing but poll() its doorbell and take what is there, a
 * producer that sends at all moments, as two processes. A lost ring is a test that hangs.
 */
#include "protocol/doorbell.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/random.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define MESSAGES 200000

struct bells {
	struct shmt_ring ring;
	int ring_fd, poll_fd;
	uint64_t total, armings;
	struct shmt_random random;
};

static void ring_bell(void *ringer, uint32_t endpoint)
{
	shmp_doorbell_ring(((struct bells *)ringer)->ring_fd);
}

static void produce(struct bells *bells)
{
	struct shmp_spsc_producer *producer = &bells->ring.producer;

	for (uint64_t number = 0; number < bells->total;) {
		if (shmt_ring_push(&bells->ring, 8, number) != SHMP_DONE) {
			sched_yield();
			continue;
		}
		number++;
		if (shmp_spsc_consumer_waits(producer))
			shmp_spsc_tell_consumer(producer, ring_bell, bells);
		/* short and long enough for the other to come to the end */
		for (uint64_t i = shmt_random_below(&bells->random, 2000); i > 0; i--)
			atomic_signal_fence(memory_order_seq_cst);
	}
}

static void await_ring(const struct bells *bells)
{
	struct pollfd at = { .fd = bells->poll_fd, .events = POLLIN };

	while (poll(&at, 1, -1) != 1)
		;
}

/* The library's way: EMPTY arms and looks again; a message takes the arming back. */
static void consume(struct bells *bells, bool has_membarrier)
{
	struct shmt_ring *ring = &bells->ring;
	struct shmp_spsc_control *control = ring->segment.map.control;
	struct shmp_endpoint *self = &ring->segment.map.endpoints[SHMP_SPSC_CONSUMER];
	uint64_t number = 0;
	int r;

	while (number < bells->total) {
		r = shmt_ring_pop(ring, 8, number, NULL);
		if (r == SHMP_EMPTY) {
			shmp_doorbell_arm(bells->poll_fd, &control->not_empty, self,
					  SHMP_SPSC_CONSUMER, (uint32_t)++bells->armings,
					  has_membarrier);
			r = shmt_ring_pop(ring, 8, number, NULL);
			if (r == SHMP_EMPTY) {
				await_ring(bells);
				continue;
			}
			shmp_doorbell_disarm(&control->not_empty, self, SHMP_SPSC_CONSUMER);
		}
		SHMT_REQUIRE(r == SHMP_DONE);
		number++;
	}
}

static void run(bool has_membarrier)
{
	struct bells *bells = calloc(1, sizeof(*bells));
	int status = 0;
	pid_t pid;

	ck_assert(shmp_membarrier_register());
	shmt_ring_open(&bells->ring, 4096, 0);
	bells->total = MESSAGES / shmt_scaled(1);
	bells->random.state = shmt_seed();
	ck_assert_int_eq(shmp_doorbell_make(true, &bells->ring_fd, &bells->poll_fd), 0);
	if (!has_membarrier)
		ck_assert_int_eq(bells->ring.segment.kind->require_fence(&bells->ring.segment.map),
				 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		produce(bells);
		_exit(0);
	}
	consume(bells, has_membarrier);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	printf("# %llu messages, %llu armings\n", (unsigned long long)bells->total,
	       (unsigned long long)bells->armings);
	shmt_ring_free(&bells->ring);
	free(bells);
}

TEST(with_membarrier_no_ring_is_lost, .timeout_s = 60)
{
	run(true);
}

TEST(with_fences_no_ring_is_lost, .timeout_s = 60)
{
	run(false);
}

SHMT_MAIN
