/* pipe: the kind, the broker's side, and what those who only look see. See pipe.h. */
#include "protocol/pipe.h"

#define PIPE_CAPACITY_MAX (UINT64_C(1) << 32)	    /* so that a length has 32 bits */
#define PIPE_TYPE_MAX	  ((UINT64_C(1) << 53) - 1) /* what JSON numbers hold exactly */

static uint64_t bytes_of(const struct shmp_plan *plan, uint32_t sender)
{
	return plan
		->option[sender == SHMP_PIPE_HOST ? SHMP_PIPE_HOST_BYTES : SHMP_PIPE_CLIENT_BYTES];
}

struct shmp_spsc_ring shmp_pipe_ring(const struct shmp_segment *segment, uint32_t sender)
{
	struct shmp_pipe_control *control = segment->control;
	uint64_t capacity = segment->plan.option[SHMP_PIPE_CAPACITY_BYTES];
	uint64_t typed = bytes_of(&segment->plan, sender);
	/* each ring is mapped twice */
	uint64_t at = 2 * capacity * sender;

	return (struct shmp_spsc_ring){
		.data = segment->data ? segment->data + at : NULL,
		.read_data = segment->read_data ? segment->read_data + at : NULL,
		.capacity = capacity,
		.message_max = typed != 0 ? typed :
					    segment->plan.option[SHMP_PIPE_MESSAGE_BYTES_MAX],
		.tags = SHMP_PIPE_TAGS,
		.producer = &segment->endpoints[sender],
		.consumer = &control->reader[sender],
		.places = segment->endpoints,
		.producer_place = sender,
		.consumer_place = 1 - sender,
		.not_empty = &control->not_empty[sender],
		.not_full = &control->not_full[sender],
	};
}

static int pipe_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t capacity = SHMP_SPSC_CAPACITY_MIN;
	uint64_t message_max = option[SHMP_PIPE_MESSAGE_BYTES_MAX];

	while (capacity < option[SHMP_PIPE_CAPACITY_BYTES])
		capacity <<= 1;
	if (message_max == 0)
		message_max = capacity - SHMP_SPSC_OVERHEAD;
	if (message_max > capacity - SHMP_SPSC_OVERHEAD) {
		*ret_why = "a message and 16 bytes must fit into capacity_bytes";
		return SHMP_PIPE_MESSAGE_BYTES_MAX + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = 2 * capacity,
		.rings = 2,
		.control_bytes = sizeof(struct shmp_pipe_control),
		.endpoint_count = 2,
		.option = { [SHMP_PIPE_CAPACITY_BYTES] = capacity,
			    [SHMP_PIPE_MESSAGE_BYTES_MAX] = message_max,
			    [SHMP_PIPE_HOST_BYTES] = option[SHMP_PIPE_HOST_BYTES],
			    [SHMP_PIPE_HOST_TYPE] = option[SHMP_PIPE_HOST_TYPE],
			    [SHMP_PIPE_CLIENT_BYTES] = option[SHMP_PIPE_CLIENT_BYTES],
			    [SHMP_PIPE_CLIENT_TYPE] = option[SHMP_PIPE_CLIENT_TYPE] },
	};
	for (uint32_t sender = 0; sender < 2; sender++) {
		if (bytes_of(ret_plan, sender) <= message_max)
			continue;
		*ret_why = "a message of this type is larger than message_bytes_max";
		return (sender == SHMP_PIPE_HOST ? SHMP_PIPE_HOST_BYTES : SHMP_PIPE_CLIENT_BYTES) +
		       1;
	}
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void pipe_init(const struct shmp_segment *segment)
{
	/* All zero is two empty rings. */
	(void)segment;
}

static int pipe_validate(const struct shmp_segment *segment, const char **ret_why)
{
	for (uint32_t sender = 0; sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);

		if (shmp_spsc_ring_validate(&ring, ret_why) < 0)
			return -EBADMSG;
	}
	return 0;
}

/* Positions, seen_to and figures stay for the successor; what concerned waiting goes. */
static void pipe_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/* Calls @fn for each of the four. */
static void each_waiter(const struct shmp_segment *segment,
			void (*fn)(struct shmp_waiter *waiter, uint32_t endpoint),
			uint32_t endpoint)
{
	struct shmp_pipe_control *control = segment->control;

	for (uint32_t sender = 0; sender < 2; sender++) {
		fn(&control->not_empty[sender], endpoint);
		fn(&control->not_full[sender], endpoint);
	}
}

/*
 * All that a dead holder leaves is its waiter bits; rings and positions are taken up by the
 * successor's walk, and what is stale is dropped by who would read it.
 */
static int pipe_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	(void)died;
	each_waiter(segment, shmp_waiter_finish, endpoint);
	/* relaxed: a notifier that still sees it rings a bell that nobody hears */
	atomic_store_explicit(&segment->endpoints[endpoint].doorbell, 0, memory_order_relaxed);
	return 0;
}

static void wake_one(struct shmp_waiter *waiter, uint32_t endpoint)
{
	(void)endpoint;
	shmp_waiter_wake_all(waiter);
}

static void pipe_wake(const struct shmp_segment *segment)
{
	each_waiter(segment, wake_one, 0);
}

static bool pipe_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_pipe_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty[1 - endpoint], endpoint) ||
	       shmp_waiter_is_set(&control->not_full[endpoint], endpoint);
}

static int pipe_require_fence(const struct shmp_segment *segment)
{
	struct shmp_pipe_control *control = segment->control;
	int r = 0;

	for (uint32_t sender = 0; r == 0 && sender < 2; sender++) {
		r = shmp_waiter_require_fence(&control->not_empty[sender]);
		if (r == 0)
			r = shmp_waiter_require_fence(&control->not_full[sender]);
	}
	return r;
}

static void pieces_one(struct shmp_waiter *waiter, uint32_t endpoint)
{
	(void)endpoint;
	shmp_waiter_require_pieces(waiter);
}

static void pipe_require_pieces(const struct shmp_segment *segment)
{
	each_waiter(segment, pieces_one, 0);
}

static void pipe_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		       void *context)
{
	for (uint32_t sender = 0; sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);

		shmp_spsc_ring_holds(&ring, endpoint, fn, context);
	}
}

static void pipe_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	for (uint32_t sender = 0; sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);

		shmp_spsc_ring_waits_for(&ring, fn, context);
	}
}

static void pipe_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	static const char *const names[2][3] = {
		{ "to_client_messages", "to_client_bytes", "stale_to_client" },
		{ "to_host_messages", "to_host_bytes", "stale_to_host" },
	};

	for (uint32_t sender = 0; sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);
		uint64_t messages, bytes;

		shmp_spsc_ring_depth(&ring, &messages, &bytes);
		figure(context, names[sender][0], messages);
		figure(context, names[sender][1], bytes);
		/* relaxed: a statistic */
		figure(context, names[sender][2],
		       atomic_load_explicit(&ring.consumer->refused, memory_order_relaxed));
	}
	figure(context, "session", shmp_endpoint_incarnation(&segment->endpoints[SHMP_PIPE_HOST]));
	figure(context, "capacity_bytes", segment->plan.option[SHMP_PIPE_CAPACITY_BYTES]);
}

/*
 * Looking. One look shows the host's messages, then the client's; its position is one of each, the
 * last 32 bits of them in units of 8, the host's above the client's.
 */

struct shown {
	shmp_item_fn fn;
	void *context;
	uint32_t sender;
	uint64_t session;
	bool is_early;	/* it is the next host's */
	uint64_t other; /* the other direction's part of the position */
	uint64_t count;
};

static uint64_t position_of(const struct shown *shown, uint64_t at)
{
	uint64_t part = at / 8 & UINT32_MAX;

	return shown->sender == SHMP_PIPE_HOST ? part << 32 | shown->other :
						 shown->other << 32 | part;
}

static int show(void *context, const struct shmp_item *item, uint64_t tag)
{
	struct shown *shown = context;
	uint64_t client = shown->sender == SHMP_PIPE_CLIENT ? tag >> 32 & 0xffff : 0;
	uint64_t mark = shmp_pipe_mark(shown->sender, shown->session, client);
	struct shmp_item given = *item;

	given.position = position_of(shown, item->position);
	given.endpoint = shown->sender;
	if ((SHMP_SPSC_PUBLISHED | tag) != mark) {
		given.state = "stale";
		given.flags &= ~SHMP_ITEM_REDELIVERED; /* nobody gets it */
	} else if (shown->is_early) {
		given.state = "for the next host";
	}
	shown->count++;
	return shown->fn(shown->context, &given);
}

/* The session whose messages somebody gets: a host's reach its clients also when it has gone, what is
 * sent to nobody the next one. */
static uint64_t session_of(const struct shmp_segment *segment, uint32_t sender, bool *ret_is_next)
{
	/* [endpoint.S] acquire; pairs with shmp_endpoint_set_state */
	uint64_t word = atomic_load_explicit(&segment->endpoints[SHMP_PIPE_HOST].state,
					     memory_order_acquire);

	*ret_is_next = sender == SHMP_PIPE_CLIENT &&
		       shmp_endpoint_is_open(shmp_endpoint_state_of(word));
	return shmp_endpoint_incarnation_of(word) + (*ret_is_next ? 1 : 0);
}

/* Where in a direction the position @from is. */
static uint64_t begin_of(const struct shmp_spsc_ring *ring, uint64_t from)
{
	uint64_t tail = shmp_spsc_load_cursor(ring->consumer);
	uint32_t part = (uint32_t)(ring->producer_place == SHMP_PIPE_HOST ? from >> 32 : from);
	int64_t ahead = (int32_t)(part - (uint32_t)(tail / 8));

	if (from == SHMP_LOOK_OLDEST)
		return tail;
	if (from == SHMP_LOOK_NEWEST)
		return shmp_spsc_load_cursor(ring->producer);
	return tail + (uint64_t)(ahead * 8);
}

static int pipe_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	uint64_t at[2];
	struct shown shown = {
		.fn = fn,
		.context = context,
	};
	bool is_newest = look->from == SHMP_LOOK_NEWEST;
	int r = 0;

	for (uint32_t sender = 0; sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);

		at[sender] = begin_of(&ring, look->from);
	}
	for (uint32_t sender = 0; r == 0 && !is_newest && sender < 2; sender++) {
		struct shmp_spsc_ring ring = shmp_pipe_ring(segment, sender);
		struct shmp_look part = *look;

		shown.sender = sender;
		shown.session = session_of(segment, sender, &shown.is_early);
		shown.other = at[1 - sender] / 8 & UINT32_MAX;
		part.from = at[sender];
		part.max = look->max - shown.count;
		r = shmp_spsc_ring_look(&ring, &part, show, &shown);
		look->missed = part.missed;
		at[sender] = part.from;
	}
	look->from = (at[0] / 8 & UINT32_MAX) << 32 | (at[1] / 8 & UINT32_MAX);
	return r;
}

static const struct shmp_role pipe_roles[] = {
	{ .name = "host",
	  .first = SHMP_PIPE_HOST,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "client",
	  .first = SHMP_PIPE_CLIENT,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option pipe_options[] = {
	[SHMP_PIPE_CAPACITY_BYTES] = { .name = "capacity_bytes",
				       .help = "ring size of each direction, rounded up to a power "
					       "of two",
				       .min = 0,
				       .max = PIPE_CAPACITY_MAX,
				       .preset = 65536 },
	[SHMP_PIPE_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					  .help = "largest message, 0 = capacity_bytes - 16",
					  .min = 0,
					  .max = PIPE_CAPACITY_MAX - SHMP_SPSC_OVERHEAD,
					  .preset = 0 },
	[SHMP_PIPE_HOST_BYTES] = { .name = "host_bytes",
				   .help = "size of all that the host sends, 0 = any",
				   .min = 0,
				   .max = PIPE_CAPACITY_MAX - SHMP_SPSC_OVERHEAD,
				   .preset = 0 },
	[SHMP_PIPE_HOST_TYPE] = { .name = "host_type",
				  .help = "number of the type that the host sends, 0 = none",
				  .min = 0,
				  .max = PIPE_TYPE_MAX,
				  .preset = 0 },
	[SHMP_PIPE_CLIENT_BYTES] = { .name = "client_bytes",
				     .help = "size of all that the client sends, 0 = any",
				     .min = 0,
				     .max = PIPE_CAPACITY_MAX - SHMP_SPSC_OVERHEAD,
				     .preset = 0 },
	[SHMP_PIPE_CLIENT_TYPE] = { .name = "client_type",
				    .help = "number of the type that the client sends, 0 = none",
				    .min = 0,
				    .max = PIPE_TYPE_MAX,
				    .preset = 0 },
};

const struct shmp_kind shmp_pipe_kind = {
	.name = "pipe",
	.id = 8,
	.version = SHMP_PIPE_VERSION,
	.mirrored = true,
	.streams = true,
	.byte_positions = true,
	.ctl_suffices = true,
	.roles = pipe_roles,
	.role_count = sizeof(pipe_roles) / sizeof(pipe_roles[0]),
	.options = pipe_options,
	.option_count = sizeof(pipe_options) / sizeof(pipe_options[0]),
	.plan = pipe_plan,
	.init = pipe_init,
	.validate = pipe_validate,
	.attach = pipe_attach,
	.repair = pipe_repair,
	.wake = pipe_wake,
	.waits = pipe_waits,
	.require_fence = pipe_require_fence,
	.require_pieces = pipe_require_pieces,
	.holds = pipe_holds,
	.waits_for = pipe_waits_for,
	.figures = pipe_figures,
	.look = pipe_look,
};
