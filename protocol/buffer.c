/* buffer: taking up a place, and the broker's part. See buffer.h. */
#include "protocol/buffer.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 40)
#define CHECKSUMS_MAX  4096u

static struct shmp_lock *lock_of(const struct shmp_segment *segment)
{
	struct shmp_buffer_control *control = segment->control;

	return &control->lock;
}

static struct shmp_buffer_checksum *checksums_of(const struct shmp_segment *segment)
{
	return (void *)((uint8_t *)segment->control + sizeof(struct shmp_buffer_control));
}

int shmp_buffer_attach(const struct shmp_segment *segment, uint32_t endpoint,
		       struct shmp_buffer *ret_buffer)
{
	const char *why;
	int r = shmp_buffer_kind.validate(segment, &why);

	if (r < 0)
		return r;
	ret_buffer->data = segment->data;
	ret_buffer->size = segment->plan.option[SHMP_BUFFER_SIZE_BYTES];
	ret_buffer->checksums = checksums_of(segment);
	ret_buffer->checksum_count = segment->plan.option[SHMP_BUFFER_CHECKSUMS_MAX];
	shmp_lock_attach(lock_of(segment), segment, endpoint, &ret_buffer->locker);
	return 0;
}

/* The broker's side */

static int buffer_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t checksums = option[SHMP_BUFFER_CHECKSUMS_MAX];

	(void)ret_why; /* any size goes with any number */
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(option[SHMP_BUFFER_SIZE_BYTES], SHMP_PAGE),
		.control_bytes =
			shmp_round_up(sizeof(struct shmp_buffer_control) +
					      checksums * sizeof(struct shmp_buffer_checksum),
				      2 * SHMP_LINE),
		.endpoint_count = (uint32_t)option[SHMP_BUFFER_ENDPOINTS_MAX],
		.option = { [SHMP_BUFFER_SIZE_BYTES] = option[SHMP_BUFFER_SIZE_BYTES],
			    [SHMP_BUFFER_ENDPOINTS_MAX] = option[SHMP_BUFFER_ENDPOINTS_MAX],
			    [SHMP_BUFFER_CHECKSUMS_MAX] = checksums },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void buffer_init(const struct shmp_segment *segment)
{
	/* All zero is a free lock, no checksum, and a buffer of zeroes. */
	(void)segment;
}

static int buffer_validate(const struct shmp_segment *segment, const char **ret_why)
{
	return shmp_lock_validate(lock_of(segment), segment, ret_why);
}

static const char *buffer_ailment(const struct shmp_segment *segment)
{
	return shmp_lock_ailment(lock_of(segment));
}

/* What the kind itself leaves in a place; the lock's mark is the lock's. */
static void clear_place(struct shmp_endpoint *self)
{
	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

static void buffer_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	clear_place(&segment->endpoints[endpoint]);
	shmp_lock_admit(lock_of(segment), segment, endpoint);
}

static int buffer_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	(void)died; /* who left in good order while he held it has left his work half done, too */
	clear_place(&segment->endpoints[endpoint]);
	shmp_lock_repair(lock_of(segment), segment, endpoint);
	return 0;
}

static void buffer_wake(const struct shmp_segment *segment)
{
	shmp_lock_wake(lock_of(segment));
}

static bool buffer_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	return shmp_lock_waits(lock_of(segment), endpoint);
}

static int buffer_require_fence(const struct shmp_segment *segment)
{
	return shmp_lock_require_fence(lock_of(segment));
}

static void buffer_require_pieces(const struct shmp_segment *segment)
{
	shmp_lock_require_pieces(lock_of(segment));
}

static void buffer_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
			 void *context)
{
	shmp_lock_holds(lock_of(segment), segment, endpoint,
			"freed; the next one is told, and has to mend the bytes", fn, context);
}

static void buffer_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	shmp_lock_waits_for(lock_of(segment), segment, fn, context);
}

static uint64_t count_checksums(const struct shmp_segment *segment)
{
	const struct shmp_buffer_checksum *checksums = checksums_of(segment);
	uint64_t count = 0;

	for (uint64_t i = 0; i < segment->plan.option[SHMP_BUFFER_CHECKSUMS_MAX]; i++)
		/* relaxed: right for some moment */
		count += atomic_load_explicit(&checksums[i].sum, memory_order_relaxed) != 0;
	return count;
}

static void buffer_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	figure(context, "size_bytes", segment->plan.option[SHMP_BUFFER_SIZE_BYTES]);
	figure(context, "checksums", count_checksums(segment));
	shmp_lock_figures(lock_of(segment), segment, figure, context);
}

static const struct shmp_role buffer_roles[] = {
	/* its mark, and those who wait for it, are in ctl */
	[SHMP_BUFFER_READER] = { .name = "reader",
				 .ctl = SHMP_ACCESS_WRITE,
				 .data = SHMP_ACCESS_READ },
	[SHMP_BUFFER_WRITER] = { .name = "writer",
				 .ctl = SHMP_ACCESS_WRITE,
				 .data = SHMP_ACCESS_WRITE,
				 .writes = true },
	[SHMP_BUFFER_OBSERVER] = SHMP_ROLE_OBSERVER,
};

static const struct shmp_option buffer_options[] = {
	[SHMP_BUFFER_SIZE_BYTES] = { .name = "size_bytes",
				     .help = "bytes in it",
				     .min = 1,
				     .max = SIZE_MAX_BYTES,
				     .preset = 65536 },
	[SHMP_BUFFER_ENDPOINTS_MAX] = { .name = "endpoints_max",
					.help = "readers and writers together",
					.min = 1,
					.max = SHMP_ENDPOINTS_MAX,
					.preset = 64 },
	[SHMP_BUFFER_CHECKSUMS_MAX] = { .name = "checksums_max",
					.help = "ranges whose checksum can be stored",
					.min = 1,
					.max = CHECKSUMS_MAX,
					.preset = 16 },
};

const struct shmp_kind shmp_buffer_kind = {
	.name = "buffer",
	.id = 4,
	.version = SHMP_BUFFER_VERSION,
	.ctl_suffices = true,
	.roles = buffer_roles,
	.role_count = sizeof(buffer_roles) / sizeof(buffer_roles[0]),
	.options = buffer_options,
	.option_count = sizeof(buffer_options) / sizeof(buffer_options[0]),
	.plan = buffer_plan,
	.init = buffer_init,
	.validate = buffer_validate,
	.ailment = buffer_ailment,
	.attach = buffer_attach,
	.repair = buffer_repair,
	.wake = buffer_wake,
	.waits = buffer_waits,
	.require_fence = buffer_require_fence,
	.require_pieces = buffer_require_pieces,
	.holds = buffer_holds,
	.waits_for = buffer_waits_for,
	.figures = buffer_figures,
	.look = shmp_buffer_look,
};
