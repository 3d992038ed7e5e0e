/* array: geometry, and the broker's side. See array.h. */
#include "protocol/array.h"

#include <string.h>

#include "protocol/copy.h"
#include "protocol/element.h"

#define ELEMENTS_MAX   (UINT64_C(1) << 40)
#define DATA_BYTES_MAX (UINT64_C(1) << 40)

void shmp_array_view(const struct shmp_segment *segment, struct shmp_array *ret_array)
{
	*ret_array = (struct shmp_array){
		.data = segment->data,
		.element_bytes = segment->plan.option[SHMP_ARRAY_ELEMENT_BYTES],
		.count = segment->plan.option[SHMP_ARRAY_ELEMENTS],
	};
}

void shmp_array_fill(const struct shmp_array *array, uint64_t first, uint64_t count,
		     const void *element)
{
	uint64_t all = count * array->element_bytes;
	uint64_t done = array->element_bytes;
	uint8_t *to = shmp_array_at(array, first);

	if (count == 0)
		return;
	/* from here on a shared copy is copied: @element may lie in the array itself */
	memmove(to, element, done);
	while (done < all) {
		uint64_t step = done < all - done ? done : all - done;

		memcpy(to + done, to, step);
		done += step;
	}
}

static int array_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t type = option[SHMP_ARRAY_ELEMENT_TYPE];
	uint64_t count = option[SHMP_ARRAY_ELEMENTS];
	uint64_t endpoints = option[SHMP_ARRAY_ENDPOINTS_MAX];
	uint64_t bytes = 1;
	int r = shmp_element_plan(type, option[SHMP_ARRAY_ELEMENT_BYTES], &bytes, ret_why);

	if (r != 0)
		return (r == SHMP_ELEMENT_TYPE_WRONG ? SHMP_ARRAY_ELEMENT_TYPE :
						       SHMP_ARRAY_ELEMENT_BYTES) +
		       1;
	if (count > DATA_BYTES_MAX / bytes) {
		*ret_why = "elements of element_bytes make more than 2^40 bytes";
		return SHMP_ARRAY_ELEMENTS + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(count * bytes, SHMP_PAGE),
		.endpoint_count = (uint32_t)endpoints,
		.option = { [SHMP_ARRAY_ELEMENT_BYTES] = bytes,
			    [SHMP_ARRAY_ELEMENTS] = count,
			    [SHMP_ARRAY_ELEMENT_TYPE] = type,
			    [SHMP_ARRAY_ENDPOINTS_MAX] = endpoints },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void array_init(const struct shmp_segment *segment)
{
	(void)segment; /* elements begin as zeroes */
}

static int array_validate(const struct shmp_segment *segment, const char **ret_why)
{
	/* any bytes are elements */
	(void)segment;
	(void)ret_why;
	return 0;
}

static void array_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

static int array_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	(void)died; /* nobody holds anything */
	array_attach(segment, endpoint);
	return 0;
}

static void array_wake(const struct shmp_segment *segment)
{
	(void)segment; /* nobody waits */
}

static int array_require_fence(const struct shmp_segment *segment)
{
	(void)segment;
	return 0;
}

static bool array_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	(void)segment;
	(void)endpoint;
	return false;
}

static void array_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	uint64_t written = 0;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		/* relaxed: a statistic */
		written += atomic_load_explicit(&segment->endpoints[i].items, memory_order_relaxed);
	figure(context, "elements", segment->plan.option[SHMP_ARRAY_ELEMENTS]);
	figure(context, "element_bytes", segment->plan.option[SHMP_ARRAY_ELEMENT_BYTES]);
	figure(context, "written_elements", written);
}

/*
 * Nothing tells whether an element was written meanwhile: what is shown of one that is larger than a
 * word may be of two moments, as for anybody who reads it.
 */
static int array_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		      void *context)
{
	uint64_t type = segment->plan.option[SHMP_ARRAY_ELEMENT_TYPE];
	uint32_t typed = shmp_element_typed_bytes(type);
	uint64_t shown = 0;
	struct shmp_array array;

	shmp_array_view(segment, &array);
	if (look->from > array.count)
		look->from = array.count;
	for (; look->from < array.count && shown < look->max; look->from++, shown++) {
		uint64_t value[2] = { 0 };
		char text[SHMP_TYPE_TEXT];
		struct shmp_item item = { .what = "element",
					  .position = look->from,
					  .number = UINT64_MAX,
					  .endpoint = -1 };
		int r;

		shmp_look_take(look, shmp_array_at(&array, look->from), array.element_bytes, &item);
		if (typed != 0)
			shmp_look_copy(value, shmp_array_at(&array, look->from), typed);
		shmp_element_show(type, value, text, &item);
		r = fn(context, &item);
		if (r != 0)
			return r;
	}
	return 0;
}

static const struct shmp_role array_roles[] = {
	{ .name = "writer", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_WRITE, .writes = true },
	{ .name = "reader", .ctl = SHMP_ACCESS_READ, .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option array_options[] = {
	[SHMP_ARRAY_ELEMENT_BYTES] = { .name = "element_bytes",
				       .help = "size of one element; 0 = that of element_type",
				       .min = 0,
				       .max = SHMP_ELEMENT_BYTES_MAX },
	[SHMP_ARRAY_ELEMENTS] = { .name = "elements",
				  .help = "how many there are",
				  .min = 1,
				  .max = ELEMENTS_MAX,
				  .preset = 1024 },
	[SHMP_ARRAY_ELEMENT_TYPE] = { .name = "element_type",
				      .help = SHMP_ELEMENT_TYPES,
				      .min = 0,
				      .max = SHMP_ELEMENT_TYPE_MAX },
	[SHMP_ARRAY_ENDPOINTS_MAX] = { .name = "endpoints_max",
				       .help = "writers and readers together",
				       .min = 1,
				       .max = SHMP_ENDPOINTS_MAX,
				       .preset = 64 },
};

const struct shmp_kind shmp_array_kind = {
	.name = "array",
	.id = 6,
	.version = SHMP_ARRAY_VERSION,
	.ctl_suffices = true,
	.roles = array_roles,
	.role_count = sizeof(array_roles) / sizeof(array_roles[0]),
	.options = array_options,
	.option_count = sizeof(array_options) / sizeof(array_options[0]),
	.plan = array_plan,
	.init = array_init,
	.validate = array_validate,
	.attach = array_attach,
	.repair = array_repair,
	.wake = array_wake,
	.waits = array_waits,
	.require_fence = array_require_fence,
	.figures = array_figures,
	.look = array_look,
};
