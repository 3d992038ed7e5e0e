/* spsc: the kind, which is one ring, and the broker's side. See spsc.h. */
#include "protocol/spsc.h"

#define SPSC_CAPACITY_MAX (UINT64_C(1) << 36)

static struct shmp_spsc_ring ring_of(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;

	return (struct shmp_spsc_ring){
		.data = segment->data,
		.capacity = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES],
		.message_max = segment->plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX],
		.tags = segment->plan.option[SHMP_SPSC_CHECKSUM] ? SHMP_SPSC_SUM_BITS : 0,
		.producer = &segment->endpoints[SHMP_SPSC_PRODUCER],
		.consumer = &segment->endpoints[SHMP_SPSC_CONSUMER],
		.places = segment->endpoints,
		.producer_place = SHMP_SPSC_PRODUCER,
		.consumer_place = SHMP_SPSC_CONSUMER,
		.not_empty = &control->not_empty,
		.not_full = &control->not_full,
	};
}

int shmp_spsc_attach_producer(const struct shmp_segment *segment,
			      struct shmp_spsc_producer *ret_producer)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	return shmp_spsc_ring_attach_producer(&ring, ret_producer);
}

int shmp_spsc_attach_consumer(const struct shmp_segment *segment,
			      struct shmp_spsc_consumer *ret_consumer)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	return shmp_spsc_ring_attach_consumer(&ring, ret_consumer);
}

static int spsc_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t capacity = SHMP_SPSC_CAPACITY_MIN;
	uint64_t message_max = option[SHMP_SPSC_MESSAGE_BYTES_MAX];

	while (capacity < option[SHMP_SPSC_CAPACITY_BYTES])
		capacity <<= 1;
	if (message_max == 0)
		message_max = capacity - SHMP_SPSC_OVERHEAD;
	if (message_max > capacity - SHMP_SPSC_OVERHEAD) {
		*ret_why = "a message and 16 bytes must fit into capacity_bytes";
		return SHMP_SPSC_MESSAGE_BYTES_MAX + 1;
	}
	if (option[SHMP_SPSC_CHECKSUM] && message_max > SHMP_SPSC_SUMMED_MAX) {
		*ret_why = "a message with a checksum is shorter than 2^31 bytes";
		return SHMP_SPSC_MESSAGE_BYTES_MAX + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = capacity,
		.control_bytes = sizeof(struct shmp_spsc_control),
		.endpoint_count = 2,
		.option = { [SHMP_SPSC_CAPACITY_BYTES] = capacity,
			    [SHMP_SPSC_MESSAGE_BYTES_MAX] = message_max,
			    [SHMP_SPSC_CHECKSUM] = option[SHMP_SPSC_CHECKSUM] },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void spsc_init(const struct shmp_segment *segment)
{
	/* All zero is an empty ring: position 0, and its header is not published. */
	(void)segment;
}

static int spsc_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	return shmp_spsc_ring_validate(&ring, ret_why);
}

/* Positions, seen_to and figures stay for the successor; what concerned waiting goes. */
static void spsc_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/*
 * All that a dead holder leaves is its waiter bit; ring and positions are taken up by the
 * successor's walk.
 */
static int spsc_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_spsc_control *control = segment->control;

	(void)died;
	shmp_waiter_finish(&control->not_empty, endpoint);
	shmp_waiter_finish(&control->not_full, endpoint);
	/* relaxed: a notifier that still sees it rings a bell that nobody hears */
	atomic_store_explicit(&segment->endpoints[endpoint].doorbell, 0, memory_order_relaxed);
	return 0;
}

static void spsc_wake(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;

	shmp_waiter_wake_all(&control->not_empty);
	shmp_waiter_wake_all(&control->not_full);
}

static bool spsc_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_spsc_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty, endpoint) ||
	       shmp_waiter_is_set(&control->not_full, endpoint);
}

static int spsc_require_fence(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;
	int r = shmp_waiter_require_fence(&control->not_empty);

	return r < 0 ? r : shmp_waiter_require_fence(&control->not_full);
}

static void spsc_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		       void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	shmp_spsc_ring_holds(&ring, endpoint, fn, context);
}

static void spsc_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	shmp_spsc_ring_waits_for(&ring, fn, context);
}

static void spsc_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	uint64_t messages, bytes;

	shmp_spsc_ring_depth(&ring, &messages, &bytes);
	figure(context, "depth_messages", messages);
	figure(context, "depth_bytes", bytes);
	figure(context, "capacity_bytes", ring.capacity);
}

/* What a kind shows is this, and of a tag it has none. */
struct shown {
	shmp_item_fn fn;
	void *context;
};

static int show(void *context, const struct shmp_item *item, uint64_t tag)
{
	const struct shown *shown = context;

	(void)tag;
	return shown->fn(shown->context, item);
}

static int spsc_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	struct shown shown = { fn, context };

	return shmp_spsc_ring_look(&ring, look, show, &shown);
}

static void spsc_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;

	shmp_waiter_require_pieces(&control->not_empty);
	shmp_waiter_require_pieces(&control->not_full);
}

static const struct shmp_role spsc_roles[] = {
	{ .name = "producer",
	  .first = SHMP_SPSC_PRODUCER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "consumer",
	  .first = SHMP_SPSC_CONSUMER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option spsc_options[] = {
	[SHMP_SPSC_CAPACITY_BYTES] = { .name = "capacity_bytes",
				       .help = "ring size, rounded up to a power of two",
				       .min = 0,
				       .max = SPSC_CAPACITY_MAX,
				       .preset = 65536 },
	[SHMP_SPSC_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					  .help = "largest message, 0 = capacity_bytes - 16",
					  .min = 0,
					  .max = SPSC_CAPACITY_MAX - SHMP_SPSC_OVERHEAD,
					  .preset = 0 },
	[SHMP_SPSC_CHECKSUM] = { .name = "checksum",
				 .help = "1: messages carry a checksum, damaged ones are skipped",
				 .min = 0,
				 .max = 1,
				 .preset = 0 },
};

const struct shmp_kind shmp_spsc_kind = {
	.name = "spsc",
	.id = 1,
	.version = SHMP_SPSC_VERSION,
	.mirrored = true,
	.streams = true,
	.byte_positions = true,
	.ctl_suffices = true,
	.roles = spsc_roles,
	.role_count = sizeof(spsc_roles) / sizeof(spsc_roles[0]),
	.options = spsc_options,
	.option_count = sizeof(spsc_options) / sizeof(spsc_options[0]),
	.plan = spsc_plan,
	.init = spsc_init,
	.validate = spsc_validate,
	.attach = spsc_attach,
	.repair = spsc_repair,
	.wake = spsc_wake,
	.waits = spsc_waits,
	.require_fence = spsc_require_fence,
	.require_pieces = spsc_require_pieces,
	.holds = spsc_holds,
	.waits_for = spsc_waits_for,
	.figures = spsc_figures,
	.look = spsc_look,
};
