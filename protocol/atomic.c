/* atomic: what is not on the fast path, and the broker's side. See atomic.h. */
#include "protocol/atomic.h"

void shmp_atomic_view(const struct shmp_segment *segment, struct shmp_atomic *ret_atomic)
{
	uint64_t type = segment->plan.option[SHMP_ATOMIC_TYPE];

	*ret_atomic = (struct shmp_atomic){
		.value = (struct shmp_atomic_value *)(void *)segment->data,
		.control = segment->control,
		.endpoints = segment->endpoints,
		.endpoint_count = segment->plan.endpoint_count,
		.words = shmp_waiter_words(segment->plan.endpoint_count),
		.is_narrow = type == SHMP_TYPE_BOOL || type == SHMP_TYPE_I32 ||
			     type == SHMP_TYPE_U32,
	};
}

double shmp_atomic_add_double(const struct shmp_atomic *atomic, double more)
{
	uint64_t before = shmp_atomic_load(atomic, memory_order_relaxed), after;
	double value, sum;

	do {
		memcpy(&value, &before, sizeof(value));
		sum = value + more;
		memcpy(&after, &sum, sizeof(after));
	} while (!shmp_atomic_compare_exchange(atomic, &before, after));
	return value;
}

void shmp_atomic_tell(struct shmp_atomic *atomic, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&atomic->control->changed, atomic->endpoints, atomic->endpoint_count,
			       &atomic->telling, atomic->ringing, ring, ringer);
}

/* The broker's side */

static bool is_type(uint64_t type)
{
	return type == SHMP_TYPE_BOOL || type == SHMP_TYPE_I32 || type == SHMP_TYPE_I64 ||
	       type == SHMP_TYPE_U32 || type == SHMP_TYPE_U64 || type == SHMP_TYPE_DOUBLE;
}

static int atomic_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	if (!is_type(option[SHMP_ATOMIC_TYPE])) {
		*ret_why = "one of 1 bool, 4 i32, 5 i64, 8 u32, 9 u64, 11 double";
		return SHMP_ATOMIC_TYPE + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = SHMP_PAGE,
		.control_bytes = sizeof(struct shmp_atomic_control),
		.endpoint_count = (uint32_t)option[SHMP_ATOMIC_ENDPOINTS_MAX],
		.option = { [SHMP_ATOMIC_TYPE] = option[SHMP_ATOMIC_TYPE],
			    [SHMP_ATOMIC_ENDPOINTS_MAX] = option[SHMP_ATOMIC_ENDPOINTS_MAX] },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void atomic_init_zero(const struct shmp_segment *segment)
{
	(void)segment; /* all zero is 0, false and 0.0 */
}

static int atomic_validate(const struct shmp_segment *segment, const char **ret_why)
{
	/* any bytes are a value */
	(void)segment;
	(void)ret_why;
	return 0;
}

static void atomic_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

static int atomic_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_atomic_control *control = segment->control;

	(void)died;
	shmp_waiter_finish(&control->changed, endpoint);
	atomic_attach(segment, endpoint);
	return 0;
}

static void atomic_wake(const struct shmp_segment *segment)
{
	struct shmp_atomic_control *control = segment->control;

	shmp_waiter_wake_all(&control->changed);
}

static int atomic_require_fence(const struct shmp_segment *segment)
{
	struct shmp_atomic_control *control = segment->control;

	return shmp_waiter_require_fence(&control->changed);
}

static bool atomic_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_atomic_control *control = segment->control;

	return shmp_waiter_is_set(&control->changed, endpoint);
}

static void atomic_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (atomic_waits(segment, i))
			fn(context, &(struct shmp_wait){ .endpoint = i,
							 .is_idle = true,
							 .by = -1,
							 .role = "writer",
							 .what = "change",
							 .why = "has changed nothing" });
	}
}

static void atomic_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	uint64_t changes = 0;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		/* relaxed: a statistic */
		changes += atomic_load_explicit(&segment->endpoints[i].items, memory_order_relaxed);
	figure(context, "changes", changes);
}

static void atomic_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_atomic_control *control = segment->control;

	shmp_waiter_require_pieces(&control->changed);
}

static int atomic_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		       void *context)
{
	uint32_t type = (uint32_t)segment->plan.option[SHMP_ATOMIC_TYPE];
	uint32_t bytes = shmp_type_bytes(type);
	struct shmp_item item = { .what = "value", .number = UINT64_MAX, .endpoint = -1 };
	struct shmp_atomic atomic;
	char text[SHMP_TYPE_TEXT];
	uint8_t value[8];
	uint64_t wide;
	uint32_t narrow;
	int r;

	if (look->from != 0 || look->max == 0)
		return 0;
	shmp_atomic_view(segment, &atomic);
	wide = shmp_atomic_load(&atomic, memory_order_acquire);
	narrow = (uint32_t)wide;
	if (type == SHMP_TYPE_BOOL)
		value[0] = wide != 0;
	else if (atomic.is_narrow)
		memcpy(value, &narrow, sizeof(narrow));
	else
		memcpy(value, &wide, sizeof(wide));
	shmp_look_take(look, value, bytes, &item);
	shmp_type_format(type, value, bytes, text, sizeof(text));
	item.text = text;
	r = fn(context, &item);
	if (r == 0)
		look->from = 1;
	return r;
}

static const struct shmp_role atomic_roles[] = {
	{ .name = "writer", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_WRITE, .writes = true },
	/* who waits writes that he does */
	{ .name = "reader", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option atomic_options[] = {
	[SHMP_ATOMIC_TYPE] = { .name = "type",
			       .help = "1 bool, 4 i32, 5 i64, 8 u32, 9 u64, 11 double",
			       .min = SHMP_TYPE_BOOL,
			       .max = SHMP_TYPE_DOUBLE,
			       .preset = SHMP_TYPE_I64 },
	[SHMP_ATOMIC_ENDPOINTS_MAX] = { .name = "endpoints_max",
					.help = "writers and readers together",
					.min = 1,
					.max = SHMP_ENDPOINTS_MAX,
					.preset = 64 },
};

const struct shmp_kind shmp_atomic_kind = {
	.name = "atomic",
	.id = 7,
	.version = SHMP_ATOMIC_VERSION,
	.ctl_suffices = true,
	.roles = atomic_roles,
	.role_count = sizeof(atomic_roles) / sizeof(atomic_roles[0]),
	.options = atomic_options,
	.option_count = sizeof(atomic_options) / sizeof(atomic_options[0]),
	.plan = atomic_plan,
	.init = atomic_init_zero,
	.validate = atomic_validate,
	.attach = atomic_attach,
	.repair = atomic_repair,
	.wake = atomic_wake,
	.waits = atomic_waits,
	.require_fence = atomic_require_fence,
	.require_pieces = atomic_require_pieces,
	.waits_for = atomic_waits_for,
	.figures = atomic_figures,
	.look = atomic_look,
};
