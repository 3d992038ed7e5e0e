/* lock: what happens seldom, and the broker's part. See lock.h. */
#include "protocol/lock.h"

static uint64_t name_of(const struct shmp_endpoint *self, uint32_t endpoint)
{
	return shmp_lock_name(endpoint, shmp_endpoint_incarnation(self));
}

void shmp_lock_attach(struct shmp_lock *lock, const struct shmp_segment *segment, uint32_t endpoint,
		      struct shmp_locker *ret_locker)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	*ret_locker = (struct shmp_locker){
		.lock = lock,
		.self = self,
		.endpoints = segment->endpoints,
		.name = name_of(self, endpoint),
		.endpoint = endpoint,
		.endpoint_count = segment->plan.endpoint_count,
		.words = shmp_waiter_words(segment->plan.endpoint_count),
	};
}

static bool is_sane(uint64_t word, uint32_t endpoint_count)
{
	uint64_t owner = word >> 8 & 0xff;

	if ((word & SHMP_LOCK_RESERVED) != 0)
		return false;
	if ((word & SHMP_LOCK_UNRECOVERABLE) != 0)
		return word == SHMP_LOCK_UNRECOVERABLE;
	switch (shmp_lock_state_of(word)) {
	case SHMP_LOCK_FREE:
		return word >> 8 == 0;
	case SHMP_LOCK_PENDING:
	case SHMP_LOCK_HELD:
		return owner != 0 && owner <= endpoint_count;
	default:
		return false;
	}
}

int shmp_lock_taken(const struct shmp_locker *locker, uint64_t word)
{
	if (!is_sane(word, locker->endpoint_count))
		return -EBADMSG;
	return word == SHMP_LOCK_UNRECOVERABLE ? SHMP_UNRECOVERABLE : SHMP_HELD;
}

int shmp_lock_read_marked(struct shmp_locker *locker, uint64_t word)
{
	if (word == SHMP_LOCK_NEEDS_RECOVERY) {
		shmp_lock_begin(locker, SHMP_LOCK_READING, 0);
		return SHMP_OWNER_DIED;
	}
	shmp_lock_unmark(locker);
	return shmp_lock_taken(locker, word);
}

int shmp_lock_claim_again(struct shmp_locker *locker, uint64_t word)
{
	for (uint32_t attempt = 0; attempt < SHMP_LOCK_CLAIMS_MAX; attempt++) {
		uint64_t flags = word & SHMP_LOCK_NEEDS_RECOVERY;

		if (word != flags)
			return shmp_lock_taken(locker, word);
		/* [L] seq_cst; pairs with shmp_lock_load
		 * [L] acquire; pairs with shmp_lock_store */
		if (atomic_compare_exchange_strong_explicit(
			    &locker->lock->word, &word, locker->name | flags | SHMP_LOCK_PENDING,
			    memory_order_seq_cst, memory_order_acquire)) {
			locker->hold = SHMP_LOCK_CLAIMING;
			locker->flags = flags;
			return SHMP_DONE;
		}
	}
	return -EBADMSG;
}

void shmp_lock_withdraw(struct shmp_locker *locker)
{
	if (locker->hold == SHMP_LOCK_CLAIMING)
		shmp_lock_let_go(locker, locker->flags);
}

int shmp_lock_mark_consistent(struct shmp_locker *locker)
{
	if (locker->hold != SHMP_LOCK_WRITING)
		return -EINVAL;
	locker->flags = 0;
	/* what was mended is published by it: a death from now on is a new one */
	shmp_lock_store(locker->lock, locker->name | SHMP_LOCK_HELD);
	return SHMP_DONE;
}

void shmp_lock_put_back(struct shmp_locker *locker)
{
	locker->depth = 0;
	if (locker->hold == SHMP_LOCK_READING) {
		locker->hold = SHMP_LOCK_NOTHING;
		shmp_lock_unmark(locker);
	} else if (locker->hold != SHMP_LOCK_NOTHING) {
		shmp_lock_let_go(locker, locker->flags);
	}
}

void shmp_lock_tell_freed(struct shmp_locker *locker)
{
	shmp_waiter_notify_sleepers(&locker->lock->freed, locker->endpoints, locker->endpoint_count,
				    &locker->telling_freed);
}

void shmp_lock_tell_left(struct shmp_locker *locker)
{
	shmp_waiter_notify_sleepers(&locker->lock->left, locker->endpoints, locker->endpoint_count,
				    &locker->telling_left);
}

/* Looking */

static uint32_t count_readers(const struct shmp_segment *segment)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		/* relaxed: right for some moment */
		count += atomic_load_explicit(&segment->endpoints[i].intent[SHMP_LOCK_MARK],
					      memory_order_relaxed) != 0;
	return count;
}

static uint32_t count_waiting(const struct shmp_lock *lock, const struct shmp_segment *segment)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		count += shmp_lock_waits(lock, i);
	return count;
}

int64_t shmp_lock_holder(const struct shmp_lock *lock, const struct shmp_segment *segment)
{
	uint64_t word = shmp_lock_load(lock);

	return is_sane(word, segment->plan.endpoint_count) ? (int64_t)(word >> 8 & 0xff) - 1 : -1;
}

void shmp_lock_look(const struct shmp_lock *lock, const struct shmp_segment *segment,
		    struct shmp_lock_owner *ret_owner)
{
	uint64_t word = shmp_lock_load(lock);
	struct shmp_lock_owner owner = {
		.readers = count_readers(segment),
		.waiting = count_waiting(lock, segment),
		/* relaxed: a statistic */
		.deaths = atomic_load_explicit(&lock->deaths, memory_order_relaxed),
		.needs_recovery = (word & SHMP_LOCK_NEEDS_RECOVERY) != 0,
		.is_unrecoverable = (word & SHMP_LOCK_UNRECOVERABLE) != 0,
	};

	if (is_sane(word, segment->plan.endpoint_count) && word >> 8 != 0) {
		owner.state = shmp_lock_state_of(word);
		owner.endpoint = (uint32_t)(word >> 8 & 0xff) - 1;
		owner.pid = segment->endpoints[owner.endpoint].pid;
	}
	if (owner.state == SHMP_LOCK_HELD) {
		/* relaxed: of this hold, or of a later one by the same */
		owner.tid = atomic_load_explicit(&lock->tid, memory_order_relaxed);
		/* relaxed: as above */
		owner.since_ns = atomic_load_explicit(&lock->since_ns, memory_order_relaxed);
	}
	*ret_owner = owner;
}

/* The broker's part */

void shmp_lock_admit(struct shmp_lock *lock, const struct shmp_segment *segment, uint32_t endpoint)
{
	/* relaxed: only the broker writes it */
	uint32_t reach = atomic_load_explicit(&lock->reach, memory_order_relaxed);

	/* [M] release; pairs with shmp_lock_enter */
	atomic_store_explicit(&segment->endpoints[endpoint].intent[SHMP_LOCK_MARK], 0,
			      memory_order_release);
	if (reach <= endpoint || reach > segment->plan.endpoint_count)
		/* [N] seq_cst; pairs with shmp_lock_is_read */
		atomic_store_explicit(&lock->reach, endpoint + 1, memory_order_seq_cst);
}

/* What is left of the word of one who is dead, or has gone. */
static uint64_t without_owner(uint64_t word)
{
	if (shmp_lock_state_of(word) == SHMP_LOCK_HELD)
		return SHMP_LOCK_NEEDS_RECOVERY;
	return word & SHMP_LOCK_NEEDS_RECOVERY;
}

static void repair_word(struct shmp_lock *lock, uint64_t name)
{
	uint64_t word = shmp_lock_load(lock);

	if ((word & ~UINT64_C(0xff)) != name)
		return;
	/* [L] acq_rel; pairs with shmp_lock_load. A plain store would do, if all were honest */
	if (atomic_compare_exchange_strong_explicit(&lock->word, &word, without_owner(word),
						    memory_order_acq_rel, memory_order_relaxed) &&
	    shmp_lock_state_of(word) == SHMP_LOCK_HELD)
		/* relaxed: a statistic */
		atomic_fetch_add_explicit(&lock->deaths, 1, memory_order_relaxed);
}

void shmp_lock_repair(struct shmp_lock *lock, const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	repair_word(lock, name_of(self, endpoint));
	shmp_waiter_finish(&lock->freed, endpoint);
	shmp_waiter_finish(&lock->left, endpoint);
	/* [M] release; pairs with shmp_lock_enter */
	atomic_store_explicit(&self->intent[SHMP_LOCK_MARK], 0, memory_order_release);
}

void shmp_lock_wake(struct shmp_lock *lock)
{
	shmp_waiter_wake_all(&lock->freed);
	shmp_waiter_wake_all(&lock->left);
}

bool shmp_lock_waits(const struct shmp_lock *lock, uint32_t endpoint)
{
	return shmp_waiter_is_set(&lock->freed, endpoint) ||
	       shmp_waiter_is_set(&lock->left, endpoint);
}

int shmp_lock_require_fence(struct shmp_lock *lock)
{
	int r = shmp_waiter_require_fence(&lock->freed);

	return r < 0 ? r : shmp_waiter_require_fence(&lock->left);
}

void shmp_lock_require_pieces(struct shmp_lock *lock)
{
	shmp_waiter_require_pieces(&lock->freed);
	shmp_waiter_require_pieces(&lock->left);
}

int shmp_lock_validate(const struct shmp_lock *lock, const struct shmp_segment *segment,
		       const char **ret_why)
{
	/* relaxed: only the broker writes it */
	uint32_t reach = atomic_load_explicit(&lock->reach, memory_order_relaxed);

	if (!is_sane(shmp_lock_load(lock), segment->plan.endpoint_count))
		*ret_why = "the lock's word is none that a holder writes";
	else if (reach > segment->plan.endpoint_count)
		*ret_why = "the lock says that there are more places than there are";
	else
		return 0;
	return -EBADMSG;
}

const char *shmp_lock_ailment(const struct shmp_lock *lock)
{
	uint64_t word = shmp_lock_load(lock);

	if ((word & SHMP_LOCK_UNRECOVERABLE) != 0)
		return "given up: a writer let go of what a dead one left without mending it; "
		       "remove it and make it anew";
	if ((word & SHMP_LOCK_NEEDS_RECOVERY) != 0)
		return "half written: a writer died with the lock, the next one has to mend it";
	return NULL;
}

void shmp_lock_figures(const struct shmp_lock *lock, const struct shmp_segment *segment,
		       shmp_figure_fn figure, void *context)
{
	struct shmp_lock_owner owner;

	shmp_lock_look(lock, segment, &owner);
	figure(context, "lock_readers", owner.readers);
	figure(context, "lock_waiting", owner.waiting);
	figure(context, "lock_deaths", owner.deaths);
	figure(context, "lock_needs_recovery", owner.needs_recovery);
	figure(context, "lock_unrecoverable", owner.is_unrecoverable);
	if (owner.state == SHMP_LOCK_PENDING)
		figure(context, "lock_claimed_by_endpoint", owner.endpoint);
	if (owner.state != SHMP_LOCK_HELD)
		return;
	figure(context, "lock_held_by_endpoint", owner.endpoint);
	figure(context, "lock_held_by_pid", owner.pid);
	figure(context, "lock_held_by_tid", owner.tid);
	figure(context, "lock_held_since_ns", owner.since_ns);
}
