/* record: geometry, and the broker's side. See record.h. */
#include "protocol/record.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 1024u /* of one field, for who looks */

static uint64_t stride_of(uint64_t bytes)
{
	return shmp_round_up(bytes, SHMP_LINE);
}

void shmp_record_view(const struct shmp_segment *segment, struct shmp_record *ret_record)
{
	const uint64_t *option = segment->plan.option;
	uint64_t schema_bytes = shmp_round_up(option[SHMP_RECORD_SCHEMA_BYTES], SHMP_LINE);

	*ret_record = (struct shmp_record){
		.schema = segment->data,
		.slots = segment->data ? segment->data + schema_bytes : NULL,
		.control = segment->control,
		.bytes = option[SHMP_RECORD_BYTES],
		.stride = stride_of(option[SHMP_RECORD_BYTES]),
		.endpoints = segment->endpoints,
		.endpoint_count = segment->plan.endpoint_count,
		.words = shmp_waiter_words(segment->plan.endpoint_count),
	};
}

void shmp_record_tell(struct shmp_record *record, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&record->control->committed, record->endpoints,
			       record->endpoint_count, &record->telling, record->ringing, ring,
			       ringer);
}

static struct shmp_lock *lock_of(const struct shmp_segment *segment)
{
	struct shmp_record_control *control = segment->control;

	return &control->lock;
}

static struct shmp_waiter *committed_of(const struct shmp_segment *segment)
{
	struct shmp_record_control *control = segment->control;

	return &control->committed;
}

static int record_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t schema = option[SHMP_RECORD_SCHEMA_BYTES];
	uint64_t bytes = option[SHMP_RECORD_BYTES];

	if (bytes % 8 != 0) {
		*ret_why = "a record is a multiple of 8 bytes";
		return SHMP_RECORD_BYTES + 1;
	}
	if ((schema - sizeof(struct shmp_schema)) % sizeof(struct shmp_schema_field) != 0) {
		*ret_why = "a schema is 64 bytes, and 80 for each field";
		return SHMP_RECORD_SCHEMA_BYTES + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(shmp_round_up(schema, SHMP_LINE) +
						    SHMP_RECORD_SLOTS * stride_of(bytes),
					    SHMP_PAGE),
		.control_bytes = sizeof(struct shmp_record_control),
		.endpoint_count = (uint32_t)option[SHMP_RECORD_ENDPOINTS_MAX],
	};
	memcpy(ret_plan->option, option, (SHMP_RECORD_ENDPOINTS_MAX + 1) * sizeof(*option));
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static int record_check_init(const struct shmp_plan *plan, const void *init, size_t bytes,
			     const char **ret_why)
{
	const uint64_t *option = plan->option;
	struct shmp_schema *schema;
	int r;

	*ret_why = "a record is made with the schema of its fields";
	if (bytes != option[SHMP_RECORD_SCHEMA_BYTES])
		return -EINVAL;
	r = shmp_schema_take(init, bytes, &schema, ret_why);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	if (schema->record_bytes != option[SHMP_RECORD_BYTES] ||
	    schema->layout_hash != option[SHMP_RECORD_LAYOUT_HASH] ||
	    schema->version != option[SHMP_RECORD_SCHEMA_VERSION]) {
		*ret_why = "the schema is another than the options say";
		r = -EINVAL;
	}
	free(schema);
	return r;
}

static void record_load_init(const struct shmp_segment *segment, const void *init, size_t bytes)
{
	memcpy(segment->data, init, bytes);
}

static void record_init(const struct shmp_segment *segment)
{
	struct shmp_record_control *control = segment->control;

	/* relaxed: nobody else can see it yet */
	atomic_store_explicit(&control->version[1], 1, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&control->newest, 1, memory_order_relaxed);
}

static int record_validate(const struct shmp_segment *segment, const char **ret_why)
{
	/* any number is one, and any bytes are a version */
	return shmp_lock_validate(lock_of(segment), segment, ret_why);
}

static void clear_place(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

static void record_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	clear_place(segment, endpoint);
	shmp_lock_admit(lock_of(segment), segment, endpoint);
}

static int record_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	(void)died; /* who left in the middle of a transaction has given it up as well */
	clear_place(segment, endpoint);
	shmp_waiter_finish(committed_of(segment), endpoint);
	shmp_lock_repair(lock_of(segment), segment, endpoint);
	return 0;
}

static void record_wake(const struct shmp_segment *segment)
{
	shmp_lock_wake(lock_of(segment));
	shmp_waiter_wake_all(committed_of(segment));
}

static int record_require_fence(const struct shmp_segment *segment)
{
	int r = shmp_lock_require_fence(lock_of(segment));

	return r < 0 ? r : shmp_waiter_require_fence(committed_of(segment));
}

static void record_require_pieces(const struct shmp_segment *segment)
{
	shmp_lock_require_pieces(lock_of(segment));
	shmp_waiter_require_pieces(committed_of(segment));
}

static bool record_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	return shmp_lock_waits(lock_of(segment), endpoint) ||
	       shmp_waiter_is_set(committed_of(segment), endpoint);
}

static void record_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
			 void *context)
{
	shmp_lock_holds(lock_of(segment), segment, endpoint, "freed; nothing was committed", fn,
			context);
}

static void record_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	shmp_lock_waits_for(lock_of(segment), segment, fn, context);
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (shmp_waiter_is_set(committed_of(segment), i))
			fn(context, &(struct shmp_wait){ .endpoint = i,
							 .is_idle = true,
							 .by = -1,
							 .role = "writer",
							 .what = "version",
							 .why = "has committed nothing new" });
	}
}

static void record_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_record record;

	shmp_record_view(segment, &record);
	figure(context, "commits", shmp_record_newest(&record) - 1);
	shmp_lock_figures(lock_of(segment), segment, figure, context);
}

/* Looking */

struct show {
	struct shmp_look *look;
	const uint8_t *record;
	uint64_t number;
	uint64_t position;
	uint64_t shown;
	shmp_item_fn fn;
	void *context;
	char *text;
};

static int show_field(void *context, const char *path, const struct shmp_place *place)
{
	struct show *show = context;
	struct shmp_look *look = show->look;
	struct shmp_item item = { .what = "field",
				  .name = path,
				  .position = show->position,
				  .number = show->number - 1,
				  .endpoint = -1,
				  .text = show->text };
	uint64_t length = 1;
	int r;

	if (show->position++ < look->from || show->shown == look->max)
		return 0;
	if (place->count != 0 && shmp_schema_length(place, show->record, &length) < 0)
		length = 0;
	shmp_look_take(look, show->record + place->offset, length * place->bytes, &item);
	shmp_schema_text(place, show->record, show->text, TEXT_BYTES);
	r = show->fn(show->context, &item);
	if (r != 0)
		return r;
	show->shown++;
	look->from = item.position + 1;
	return 0;
}

static int record_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		       void *context)
{
	struct show show = { .look = look, .fn = fn, .context = context };
	struct shmp_schema *schema = NULL;
	struct shmp_record record;
	const char *why;
	uint8_t *copy;
	int r;

	shmp_record_view(segment, &record);
	copy = malloc(record.bytes + TEXT_BYTES);
	if (!copy)
		return -ENOMEM;
	show.record = copy;
	show.text = (char *)copy + record.bytes;
	r = shmp_schema_take(record.schema, segment->plan.option[SHMP_RECORD_SCHEMA_BYTES], &schema,
			     &why);
	if (r == 0 && schema->record_bytes != record.bytes)
		r = -EBADMSG;
	if (r == 0)
		r = shmp_record_read(&record, copy, &show.number);
	if (r == 0)
		r = shmp_schema_each(schema, show_field, &show);
	if (r == 0 && look->from > show.position)
		look->from = show.position;
	free(schema);
	free(copy);
	return r;
}

static const struct shmp_role record_roles[] = {
	{ .name = "writer", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_WRITE, .writes = true },
	/* who waits writes that he does */
	{ .name = "watcher", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option record_options[] = {
	[SHMP_RECORD_BYTES] = { .name = "record_bytes",
				.help = "size of one version; follows from the schema",
				.min = 8,
				.max = SHMP_SCHEMA_RECORD_MAX,
				.preset = 8 },
	[SHMP_RECORD_SCHEMA_BYTES] = { .name = "schema_bytes",
				       .help = "size of the schema",
				       .min = sizeof(struct shmp_schema) +
					      sizeof(struct shmp_schema_field),
				       .max = SHMP_SCHEMA_BYTES_MAX,
				       .preset = sizeof(struct shmp_schema) +
						 sizeof(struct shmp_schema_field) },
	[SHMP_RECORD_LAYOUT_HASH] = { .name = "layout_hash",
				      .help = "of names, types and places; follows from the schema",
				      .min = 1,
				      .max = (UINT64_C(1) << 53) - 1,
				      .preset = 1 },
	[SHMP_RECORD_SCHEMA_VERSION] = { .name = "schema_version",
					 .help = "the application's number of this schema",
					 .min = 0,
					 .max = (UINT64_C(1) << 53) - 1 },
	[SHMP_RECORD_ENDPOINTS_MAX] = { .name = "endpoints_max",
					.help = "writers and watchers; readers take no place",
					.min = 1,
					.max = SHMP_ENDPOINTS_MAX,
					.preset = 16 },
};

const struct shmp_kind shmp_record_kind = {
	.name = "record",
	.id = 5,
	.version = SHMP_RECORD_VERSION,
	.ctl_suffices = true,
	.roles = record_roles,
	.role_count = sizeof(record_roles) / sizeof(record_roles[0]),
	.options = record_options,
	.option_count = sizeof(record_options) / sizeof(record_options[0]),
	.init_bytes_max = SHMP_SCHEMA_BYTES_MAX,
	.plan = record_plan,
	.check_init = record_check_init,
	.init = record_init,
	.load_init = record_load_init,
	.validate = record_validate,
	.attach = record_attach,
	.repair = record_repair,
	.wake = record_wake,
	.require_pieces = record_require_pieces,
	.waits = record_waits,
	.require_fence = record_require_fence,
	.holds = record_holds,
	.waits_for = record_waits_for,
	.figures = record_figures,
	.look = record_look,
};
