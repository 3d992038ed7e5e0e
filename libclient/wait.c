#include "libclient/wait.h"

#include <errno.h>
#include <stdbool.h>

#include "protocol/endpoint.h"
#include "protocol/outcome.h"

enum {
	WAIT_CLOSE_LOOKS = 128,	    /* without a pause: longer than a round trip takes */
	WAIT_PAUSES_MAX = 16,	    /* between two looks */
	WAIT_PAUSES_PER_CLOCK = 32, /* some microseconds */
	WAIT_FRUITLESS_MAX = 4,	    /* then a pinned process seldom spins */
	WAIT_PINNED_TRIES = 64,	    /* one in so many */
};

static bool wait_goes_on(int r)
{
	return r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_HELD;
}

static uint64_t wait_deadline(uint64_t now, int64_t timeout_ns)
{
	if (timeout_ns < 0 || (uint64_t)timeout_ns > UINT64_MAX - 1 - now)
		return UINT64_MAX;
	return now + (uint64_t)timeout_ns;
}

/* The clock is looked at only now and then: a look at it costs more than one at the ring. */
static int wait_spin(uint64_t until, shmc__move_fn move, void *context)
{
	unsigned int pauses = 1, since_clock = 0;

	for (;;) {
		int r = move(context);

		if (!wait_goes_on(r))
			return r;
		if (since_clock >= WAIT_PAUSES_PER_CLOCK) {
			if (shmp_clock_ns() >= until)
				return r;
			since_clock = 0;
		}
		for (unsigned int i = 0; i < pauses; i++)
			shmc__wait_pause();
		since_clock += pauses;
		if (pauses < WAIT_PAUSES_MAX)
			pauses++;
	}
}

static int wait_park(struct shmc__object *object, struct shmp_waiter *waiter, uint64_t deadline_ns,
		     shmc__move_fn move, void *context)
{
	struct shmp_endpoint *self = shmc__object_self(object);
	bool has_membarrier = object->client->has_membarrier;

	for (;;) {
		uint32_t key = shmp_waiter_prepare(waiter, self, object->endpoint, has_membarrier);
		int timed_out = 0;
		int r = move(context);

		if (wait_goes_on(r)) {
			/* relaxed: a statistic; only this thread writes it */
			uint32_t waits = atomic_load_explicit(&self->waits, memory_order_relaxed);

			/* relaxed: as above */
			atomic_store_explicit(&self->waits, waits + 1, memory_order_relaxed);
			timed_out = shmp_waiter_sleep(waiter, key, deadline_ns);
			r = move(context);
		}
		shmp_waiter_finish(waiter, object->endpoint);
		if (!wait_goes_on(r))
			return r;
		if (timed_out == -ETIMEDOUT)
			return SHMC__WAIT_TIMEOUT;
	}
}

/* The whole of spinning. Leaves the deadline of the call; FULL or EMPTY: now park. */
static int wait_spin_first(struct shmc__object *object, int64_t timeout_ns, shmc__move_fn move,
			   void *context, uint64_t *ret_deadline_ns)
{
	uint64_t spin_ns = object->client->spin_ns;
	uint64_t now;
	int r;

	for (int i = 0; i < WAIT_CLOSE_LOOKS; i++) {
		r = move(context);
		if (!wait_goes_on(r))
			return r;
	}
	now = shmp_clock_ns();
	*ret_deadline_ns = wait_deadline(now, timeout_ns);
	return wait_spin(spin_ns < *ret_deadline_ns - now ? now + spin_ns : *ret_deadline_ns, move,
			 context);
}

static bool wait_may_spin(struct shmc__object *object)
{
	if (object->client->spin_ns == 0)
		return false;
	if (!object->client->is_pinned || object->fruitless < WAIT_FRUITLESS_MAX)
		return true;
	return ++object->fruitless % WAIT_PINNED_TRIES == 0;
}

int shmc__wait(struct shmc__object *object, struct shmp_waiter *waiter, int64_t timeout_ns,
	       shmc__move_fn move, void *context)
{
	uint64_t deadline_ns;
	int r;

	if (wait_may_spin(object)) {
		r = wait_spin_first(object, timeout_ns, move, context, &deadline_ns);
		if (!wait_goes_on(r)) {
			object->fruitless = 0;
			return r;
		}
		object->fruitless++;
	} else {
		deadline_ns = wait_deadline(shmp_clock_ns(), timeout_ns);
	}
	return wait_park(object, waiter, deadline_ns, move, context);
}
