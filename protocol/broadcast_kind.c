/* broadcast: the broker's side. See broadcast.h. */
#include <string.h>
#include <sys/random.h>

#include "protocol/broadcast.h"
#include "protocol/broadcast_scan.h"

#define CAPACITY_MIN	UINT64_C(4096)
#define CAPACITY_MAX	(UINT64_C(1) << 36)
#define MESSAGE_MAX_MAX (UINT64_C(1) << 31)
#define WRITERS_PRESET	UINT64_C(16)

/* Fifteen sixteenths: the boundary before what is longer could be of the lap before. */
static uint64_t longest(uint64_t capacity)
{
	uint64_t bytes = capacity / SHMP_BROADCAST_BOUNDARIES * (SHMP_BROADCAST_BOUNDARIES - 1) -
			 SHMP_BROADCAST_HEADER;

	return bytes < MESSAGE_MAX_MAX ? bytes : MESSAGE_MAX_MAX;
}

static int plan_counts(const uint64_t *option, struct shmp_plan *plan, const char **ret_why)
{
	bool is_exclusive = option[SHMP_BROADCAST_EXCLUSIVE] != 0;
	uint64_t writers = option[SHMP_BROADCAST_WRITERS_MAX];
	uint64_t readers = option[SHMP_BROADCAST_READERS_MAX];

	if (writers == 0)
		writers = is_exclusive ? 1 : WRITERS_PRESET;
	if (is_exclusive && writers != 1) {
		*ret_why = "an exclusive writer is the only one: writers_max = 1";
		return SHMP_BROADCAST_WRITERS_MAX + 1;
	}
	if (writers + readers > SHMP_ENDPOINTS_MAX) {
		*ret_why = "writers_max and readers_max together are at most 255";
		return SHMP_BROADCAST_READERS_MAX + 1;
	}
	plan->option[SHMP_BROADCAST_WRITERS_MAX] = writers;
	plan->option[SHMP_BROADCAST_READERS_MAX] = readers;
	plan->endpoint_count = (uint32_t)(writers + readers);
	return 0;
}

static int broadcast_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t capacity = CAPACITY_MIN;
	uint64_t message_max = option[SHMP_BROADCAST_MESSAGE_BYTES_MAX];
	struct shmp_plan plan = { .control_bytes = sizeof(struct shmp_broadcast_control) };
	int r;

	while (capacity < option[SHMP_BROADCAST_CAPACITY_BYTES])
		capacity <<= 1;
	if (message_max == 0)
		message_max = longest(capacity);
	if (message_max > longest(capacity)) {
		*ret_why = "a message and 24 bytes take more than 15/16 of capacity_bytes";
		return SHMP_BROADCAST_MESSAGE_BYTES_MAX + 1;
	}
	r = plan_counts(option, &plan, ret_why);
	if (r != 0)
		return r;
	plan.data_bytes = capacity;
	plan.option[SHMP_BROADCAST_CAPACITY_BYTES] = capacity;
	plan.option[SHMP_BROADCAST_MESSAGE_BYTES_MAX] = message_max;
	plan.option[SHMP_BROADCAST_BLOCK] = option[SHMP_BROADCAST_BLOCK];
	plan.option[SHMP_BROADCAST_EXCLUSIVE] = option[SHMP_BROADCAST_EXCLUSIVE];
	plan.ctl_bytes = shmp_segment_ctl_bytes(&plan);
	*ret_plan = plan;
	return 0;
}

/* Fresh memory is zero: the secret must not make that the tag of a position that comes soon. */
static void broadcast_init(const struct shmp_segment *segment)
{
	struct shmp_broadcast_control *control = segment->control;
	uint64_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = shmp_clock_ns() * UINT64_C(0x9e3779b97f4a7c15);
	control->secret = random >> 1 | 1;
}

static int broadcast_validate(const struct shmp_segment *segment, const char **ret_why)
{
	const struct shmp_broadcast_control *control = segment->control;
	struct shmp_broadcast ring = { .control = segment->control,
				       .tail = shmp_broadcast_tail(segment) };
	/* in this order: both only grow, and the horizon is raised first */
	uint64_t tail = shmp_broadcast_load_tail(&ring) >> 8;
	uint64_t horizon = shmp_broadcast_load_horizon(&ring);

	if (control->secret == 0)
		*ret_why = "the secret is gone";
	else if (tail > horizon)
		*ret_why = "more was claimed than was announced";
	else if (tail > SHMP_BROADCAST_POSITION_MAX)
		*ret_why = "a position is beyond all that can have been sent";
	else
		return 0;
	return -EBADMSG;
}

static bool is_writer(const struct shmp_segment *segment, uint32_t endpoint)
{
	return endpoint < segment->plan.option[SHMP_BROADCAST_WRITERS_MAX];
}

/*
 * The count of messages stays: a writer's sequence goes on with the next holder of its place. So does
 * the tail.
 */
static void broadcast_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	if (is_writer(segment, endpoint)) {
		shmp_broadcast_intend(self, 0);
		/* relaxed: means nothing without an intent */
		atomic_store_explicit(&self->intent[1], 0, memory_order_relaxed);
	}
	if (&self->cursor != shmp_broadcast_tail(segment))
		/* [broadcast.C] release; pairs with shmp_broadcast_load_cursor */
		atomic_store_explicit(&self->cursor, 0, memory_order_release);
	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/* Owner of what ends at @position, told by whoever claimed what begins there; 0 when nobody has. */
static uint64_t told_by_next(const struct shmp_broadcast *ring, uint64_t position)
{
	const struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);

	for (uint32_t i = 0; i < ring->writers; i++) {
		struct shmp_broadcast_intent intent;

		if (shmp_broadcast_load_intent(&ring->endpoints[i], &intent) &&
		    intent.position == position)
			return intent.prev;
	}
	/* the intents first: they are cleared after the header is there */
	if (!shmp_broadcast_is_tagged(ring, position))
		return 0;
	/* relaxed: published by the tag */
	return atomic_load_explicit(&header->about, memory_order_relaxed) >> 40 & 0xff;
}

/* Whether @owner has claimed from @intent on. */
static bool is_owned(const struct shmp_broadcast *ring, const struct shmp_broadcast_intent *intent,
		     uint64_t owner)
{
	uint64_t word = shmp_broadcast_load_tail(ring);
	uint64_t tail = word >> 8, end = intent->position + intent->need;

	if (intent->need < 2 || intent->need > ring->capacity)
		return false;
	/* beyond the gate only hostile bytes say so: nothing of it is the dead one's any more */
	if (tail < end || tail > intent->position + ring->capacity)
		return false;
	return (tail == end ? word & 0xff : told_by_next(ring, end)) == owner;
}

/* The dead one had published: it counts as sent. */
static void repair_count(const struct shmp_broadcast *ring, uint32_t endpoint, uint64_t position)
{
	const struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);
	/* relaxed: published by the tag */
	uint64_t about = atomic_load_explicit(&header->about, memory_order_relaxed);
	/* relaxed: as above */
	uint64_t sequence = atomic_load_explicit(&header->sequence, memory_order_relaxed);

	if ((about >> 48 & SHMP_BROADCAST_PAD) != 0 || (about >> 32 & 0xff) != endpoint)
		return;
	/* [broadcast.I] release; pairs with shmp_broadcast_load_intent: before the intent is cleared */
	atomic_store_explicit(&ring->endpoints[endpoint].items, sequence + 1, memory_order_release);
}

/* Goes over what the dead one had published of its claim: where the rest begins. */
static uint64_t skip_published(const struct shmp_broadcast *ring, uint32_t endpoint,
			       uint64_t position, uint64_t end)
{
	while (position < end && shmp_broadcast_is_tagged(ring, position)) {
		/* relaxed: published by the tag */
		uint64_t about = atomic_load_explicit(&shmp_broadcast_header(ring, position)->about,
						      memory_order_relaxed);
		uint64_t need = shmp_broadcast_about_need(about);

		/* bytes that no writer wrote */
		if (need < 2 || need > end - position)
			return end;
		repair_count(ring, endpoint, position);
		position += need;
	}
	return position;
}

static void repair_writer(const struct shmp_broadcast *ring, uint32_t endpoint)
{
	const struct shmp_endpoint *self = &ring->endpoints[endpoint];
	uint64_t owner = endpoint + UINT64_C(1);
	struct shmp_broadcast_intent intent;
	uint64_t position, end, bytes;

	if (!shmp_broadcast_load_intent(self, &intent) || !is_owned(ring, &intent, owner))
		return;
	end = intent.position + intent.need;
	position = skip_published(ring, endpoint, intent.position, end);
	/* no message is of one unit */
	if (end - position < 2)
		return;
	bytes = (end - position) << SHMP_BROADCAST_UNIT_SHIFT;
	/* relaxed: the dead one's, and its place is not given out before this is done */
	shmp_broadcast_publish(
		ring, position, end - position,
		shmp_broadcast_about(bytes, endpoint,
				     position == intent.position ? intent.prev : owner,
				     SHMP_BROADCAST_PAD),
		atomic_load_explicit(&self->items, memory_order_relaxed));
}

static int broadcast_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_broadcast ring;

	(void)died; /* who left in good order may have had a reservation as well */
	/* what cannot be believed is not touched; the place is cleared all the same */
	if (shmp_broadcast_view(segment, &ring) == 0 && is_writer(segment, endpoint))
		repair_writer(&ring, endpoint);
	shmp_waiter_finish(&ring.control->not_empty, endpoint);
	shmp_waiter_finish(&ring.control->not_full, endpoint);
	/* the intent last: until then, repair is repeated */
	broadcast_attach(segment, endpoint);
	return 0;
}

static void broadcast_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
			    void *context)
{
	struct shmp_broadcast_intent intent;
	struct shmp_broadcast ring;

	if (shmp_broadcast_view(segment, &ring) < 0 || !is_writer(segment, endpoint) ||
	    !shmp_broadcast_load_intent(&ring.endpoints[endpoint], &intent) ||
	    !is_owned(&ring, &intent, endpoint + UINT64_C(1)) ||
	    shmp_broadcast_is_tagged(&ring, intent.position))
		return;
	fn(context, &(struct shmp_hold){ "claimed bytes", "passed over by readers",
					 intent.need << SHMP_BROADCAST_UNIT_SHIFT, false });
}

static void broadcast_wake(const struct shmp_segment *segment)
{
	struct shmp_broadcast_control *control = segment->control;

	shmp_waiter_wake_all(&control->not_empty);
	shmp_waiter_wake_all(&control->not_full);
}

static bool broadcast_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_broadcast_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty, endpoint) ||
	       shmp_waiter_is_set(&control->not_full, endpoint);
}

static int broadcast_require_fence(const struct shmp_segment *segment)
{
	struct shmp_broadcast_control *control = segment->control;
	int r = shmp_waiter_require_fence(&control->not_empty);

	return r < 0 ? r : shmp_waiter_require_fence(&control->not_full);
}

static void broadcast_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_broadcast_control *control = segment->control;

	shmp_waiter_require_pieces(&control->not_empty);
	shmp_waiter_require_pieces(&control->not_full);
}

static uint64_t load_items(const struct shmp_endpoint *endpoint)
{
	/* relaxed: a statistic */
	return atomic_load_explicit(&endpoint->items, memory_order_relaxed);
}

/* The writer that holds the others up: the furthest back that has claimed. False when none does. */
static bool find_unpublished(const struct shmp_broadcast *ring, uint32_t *ret_writer)
{
	struct shmp_broadcast_intent intent, oldest = { .position = UINT64_MAX };
	uint32_t who = 0;

	for (uint32_t i = 0; i < ring->writers; i++) {
		if (!shmp_broadcast_load_intent(&ring->endpoints[i], &intent) ||
		    intent.position >= oldest.position)
			continue;
		oldest = intent;
		who = i;
	}
	*ret_writer = who;
	return oldest.position < shmp_broadcast_load_tail(ring) >> 8;
}

/* The reader furthest back of those who have joined, and how many bytes. False when there is none. */
static bool find_slowest(const struct shmp_broadcast *ring, uint32_t *ret_reader,
			 uint64_t *ret_behind)
{
	uint64_t position, tail, slowest = UINT64_MAX;

	for (uint32_t i = ring->writers; i < ring->writers + ring->readers; i++) {
		if (!shmp_broadcast_load_cursor(&ring->endpoints[i], &position) ||
		    position >= slowest)
			continue;
		slowest = position;
		*ret_reader = i;
	}
	tail = shmp_broadcast_load_tail(ring) >> 8;
	if (slowest >= tail)
		return false;
	*ret_behind = (tail - slowest) << SHMP_BROADCAST_UNIT_SHIFT;
	return true;
}

static void show_readers(const struct shmp_broadcast *ring, shmp_figure_fn figure, void *context)
{
	uint64_t received = 0, lost = 0, behind;
	uint32_t who;

	for (uint32_t i = ring->writers; i < ring->writers + ring->readers; i++) {
		received += load_items(&ring->endpoints[i]);
		lost += shmp_broadcast_total_lost(&ring->endpoints[i]);
	}
	figure(context, "received_messages", received);
	figure(context, "lost_messages", lost);
	if (!find_slowest(ring, &who, &behind))
		return;
	figure(context, "slowest_reader_endpoint", who);
	figure(context, "slowest_reader_behind_bytes", behind);
}

/* Fills in whose move it takes. */
static void say_whose(const struct shmp_broadcast *ring, bool reads, struct shmp_wait *wait)
{
	uint32_t who = 0;

	wait->what = reads ? "message" : "room";
	if (find_unpublished(ring, &who)) {
		wait->by = who;
		wait->why = "has claimed room and published nothing there";
	} else if (!reads && find_slowest(ring, &who, &wait->count)) {
		wait->by = who;
		wait->why = "is the slowest reader, by bytes";
	} else {
		wait->by = -1;
		wait->is_idle = true;
		wait->role = reads ? "writer" : "reader";
		wait->why = reads ? "has sent nothing more" : "holds up nobody";
	}
}

static void broadcast_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	struct shmp_wait of_writers = { .by = -1 }, of_readers = { .by = -1 };
	struct shmp_broadcast ring;

	if (shmp_broadcast_view(segment, &ring) < 0)
		return;
	say_whose(&ring, false, &of_writers);
	say_whose(&ring, true, &of_readers);
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		struct shmp_wait wait = is_writer(segment, i) ? of_writers : of_readers;

		wait.endpoint = i;
		/* his own claim holds up nobody but others */
		if (broadcast_waits(segment, i) && wait.by != (int64_t)i)
			fn(context, &wait);
	}
}

static void broadcast_figures(const struct shmp_segment *segment, shmp_figure_fn figure,
			      void *context)
{
	struct shmp_broadcast ring;
	uint64_t sent = 0;
	uint32_t who;

	(void)shmp_broadcast_view(segment, &ring); /* status shows what is there, sane or not */
	for (uint32_t i = 0; i < ring.writers; i++)
		sent += load_items(&ring.endpoints[i]);
	figure(context, "capacity_bytes", segment->plan.option[SHMP_BROADCAST_CAPACITY_BYTES]);
	figure(context, "position", shmp_broadcast_load_tail(&ring) >> 8);
	figure(context, "sent_messages", sent);
	show_readers(&ring, figure, context);
	if (find_unpublished(&ring, &who))
		figure(context, "unpublished_by_endpoint", who);
}

static const struct shmp_role broadcast_roles[] = {
	{ .name = "writer",
	  .count_option = SHMP_BROADCAST_WRITERS_MAX + 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "reader",
	  .first_option = SHMP_BROADCAST_WRITERS_MAX + 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option broadcast_options[] = {
	[SHMP_BROADCAST_CAPACITY_BYTES] = { .name = "capacity_bytes",
					    .help = "ring size, rounded up to a power of two",
					    .min = 0,
					    .max = CAPACITY_MAX,
					    .preset = 65536 },
	[SHMP_BROADCAST_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					       .help = "largest message, 0 = 15/16 of "
						       "capacity_bytes - 24",
					       .min = 0,
					       .max = MESSAGE_MAX_MAX,
					       .preset = 0 },
	[SHMP_BROADCAST_WRITERS_MAX] = { .name = "writers_max",
					 .help = "writers at a time, 0 = 16, or 1 if exclusive",
					 .min = 0,
					 .max = SHMP_ENDPOINTS_MAX - 1,
					 .preset = 0 },
	[SHMP_BROADCAST_READERS_MAX] = { .name = "readers_max",
					 .help = "readers at a time",
					 .min = 1,
					 .max = SHMP_ENDPOINTS_MAX - 1,
					 .preset = 64 },
	[SHMP_BROADCAST_BLOCK] = { .name = "block",
				   .help = "1 = writers wait for the slowest reader, 0 = they "
					   "overwrite",
				   .min = 0,
				   .max = 1,
				   .preset = 0 },
	[SHMP_BROADCAST_EXCLUSIVE] = { .name = "exclusive",
				       .help = "1 = one writer at a time, which is quicker",
				       .min = 0,
				       .max = 1,
				       .preset = 0 },
};

const struct shmp_kind shmp_broadcast_kind = {
	.name = "broadcast",
	.id = 3,
	.version = SHMP_BROADCAST_VERSION,
	.mirrored = true,
	.streams = true,
	.byte_positions = true,
	.roles = broadcast_roles,
	.role_count = sizeof(broadcast_roles) / sizeof(broadcast_roles[0]),
	.options = broadcast_options,
	.option_count = sizeof(broadcast_options) / sizeof(broadcast_options[0]),
	.plan = broadcast_plan,
	.init = broadcast_init,
	.validate = broadcast_validate,
	.attach = broadcast_attach,
	.repair = broadcast_repair,
	.wake = broadcast_wake,
	.waits = broadcast_waits,
	.require_fence = broadcast_require_fence,
	.require_pieces = broadcast_require_pieces,
	.holds = broadcast_holds,
	.waits_for = broadcast_waits_for,
	.figures = broadcast_figures,
	.look = shmp_broadcast_look,
};
