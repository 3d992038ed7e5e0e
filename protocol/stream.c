/* stream: what is not on the fast path, and the broker's side. See stream.h. */
#include "protocol/stream.h"

#include <string.h>

#define STREAM_CAPACITY_MAX ((UINT64_C(1) << 36) - SHMP_STREAM_OVERHEAD)
#define STREAM_METADATA_MAX (UINT64_C(1) << 24)

static struct shmp_spsc_ring ring_of(const struct shmp_segment *segment)
{
	uint64_t capacity = segment->plan.option[SHMP_STREAM_CAPACITY_BYTES];
	struct shmp_stream_control *control = segment->control;

	return (struct shmp_spsc_ring){
		.data = segment->data,
		.capacity = capacity + SHMP_STREAM_OVERHEAD,
		.message_max = shmp_stream_message_bytes(capacity),
		.producer = &segment->endpoints[SHMP_STREAM_WRITER],
		.consumer = &segment->endpoints[SHMP_STREAM_READER],
		.places = segment->endpoints,
		.producer_place = SHMP_STREAM_WRITER,
		.consumer_place = SHMP_STREAM_READER,
		.not_empty = &control->ring.not_empty,
		.not_full = &control->ring.not_full,
	};
}

/* Metadata */

static uint8_t *metadata_of(struct shmp_stream_control *control)
{
	return (uint8_t *)(control + 1);
}

int shmp_stream_set_metadata(struct shmp_stream_writer *writer, const void *bytes, uint64_t size)
{
	_Atomic uint64_t *word = &writer->control->metadata;

	if (size > writer->metadata_max)
		return SHMP_TOO_BIG;
	/* relaxed: written by writers only, and a predecessor's is published by the place */
	if (atomic_load_explicit(word, memory_order_relaxed) != 0)
		return SHMP_FULL;
	shmp_copy(metadata_of(writer->control), bytes, size);
	/* [M] release; pairs with shmp_stream_metadata */
	atomic_store_explicit(word, SHMP_STREAM_PUBLISHED | size, memory_order_release);
	return SHMP_DONE;
}

int shmp_stream_metadata(const struct shmp_segment *segment, const void **ret_bytes,
			 uint64_t *ret_size)
{
	struct shmp_stream_control *control = segment->control;
	/* [M] acquire; pairs with shmp_stream_set_metadata */
	uint64_t word = atomic_load_explicit(&control->metadata, memory_order_acquire);
	uint64_t size = word ^ SHMP_STREAM_PUBLISHED;

	if (word == 0)
		return SHMP_EMPTY;
	if (size > segment->plan.option[SHMP_STREAM_METADATA_BYTES])
		return -EBADMSG;
	*ret_bytes = metadata_of(control);
	*ret_size = size;
	return SHMP_DONE;
}

/* Writing */

int shmp_stream_attach_writer(const struct shmp_segment *segment,
			      struct shmp_stream_writer *ret_writer)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	struct shmp_stream_control *control = segment->control;
	struct shmp_stream_writer writer = {
		.control = control,
		.frame_max = segment->plan.option[SHMP_STREAM_CAPACITY_BYTES],
		.metadata_max = segment->plan.option[SHMP_STREAM_METADATA_BYTES],
	};
	int r = shmp_spsc_ring_attach_producer(&ring, &writer.ring);

	if (r == 0 && shmp_spsc_head(&writer.ring) % SHMP_STREAM_ALIGN != 0)
		r = -EBADMSG;
	if (r < 0)
		return r;
	/* [K] acquire; pairs with shmp_stream_skip */
	writer.sequence = atomic_load_explicit(&control->skipped, memory_order_acquire);
	writer.sequence = (writer.sequence + shmp_spsc_items(&writer.ring, 1)) &
			  SHMP_STREAM_SEQUENCES;
	*ret_writer = writer;
	return 0;
}

void shmp_stream_skip(struct shmp_stream_writer *writer, uint64_t count)
{
	_Atomic uint64_t *skipped = &writer->control->skipped;
	/* relaxed: written by this thread only */
	uint64_t before = atomic_load_explicit(skipped, memory_order_relaxed);

	/* [K] release; pairs with shmp_stream_attach_writer */
	atomic_store_explicit(skipped, before + count, memory_order_release);
	writer->sequence = (writer->sequence + count) & SHMP_STREAM_SEQUENCES;
}

/* Reading */

/* The mark that holds for the position, and the number expected there; 0: any. */
static uint64_t find_mark(struct shmp_stream_control *control, uint64_t position,
			  uint32_t *ret_mark)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct shmp_stream_mark *mark = &control->marks[i];

		/* [G] acquire; pairs with shmp_stream_take */
		if (atomic_load_explicit(&mark->position, memory_order_acquire) != position)
			continue;
		*ret_mark = i;
		/* [G] acquire; pairs with shmp_stream_take */
		return (atomic_load_explicit(&mark->sequence, memory_order_acquire) + 1) &
		       SHMP_STREAM_SEQUENCES;
	}
	*ret_mark = 0;
	return 0;
}

int shmp_stream_attach_reader(const struct shmp_segment *segment,
			      struct shmp_stream_reader *ret_reader)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	struct shmp_spsc_consumer consumer;
	int r = shmp_spsc_ring_attach_consumer(&ring, &consumer);

	if (r == 0 && consumer.tail % SHMP_STREAM_ALIGN != 0)
		r = -EBADMSG;
	if (r < 0)
		return r;
	/* not the table: no loan is looked at before it was entered */
	ret_reader->ring = consumer;
	ret_reader->control = segment->control;
	ret_reader->front = consumer.tail;
	ret_reader->first = 0;
	ret_reader->next = 0;
	ret_reader->expected = find_mark(segment->control, consumer.tail, &ret_reader->mark);
	return 0;
}

static struct shmp_stream_loan *loan_of(struct shmp_stream_reader *reader, uint64_t number)
{
	return &reader->loans[number % SHMP_STREAM_LOANS];
}

/*
 * Moves the position over what is given back at the front; at the back, makes one of what is given
 * back in a row, so that whoever holds one frame and goes on never runs out of loans.
 */
void shmp_stream_settle(struct shmp_stream_reader *reader)
{
	struct shmp_stream_loan *last = NULL;
	uint64_t items = 0, bytes = 0;

	while (reader->first != reader->next && !loan_of(reader, reader->first)->is_held) {
		last = loan_of(reader, reader->first++);
		items += last->items;
		bytes += last->bytes;
	}
	if (last)
		shmp_stream_take(reader, last->end, last->sequence, items, bytes);
	while (reader->next - reader->first > 1) {
		struct shmp_stream_loan *before = loan_of(reader, reader->next - 2);

		last = loan_of(reader, reader->next - 1);
		if (last->is_held || before->is_held)
			break;
		before->end = last->end;
		before->sequence = last->sequence;
		before->items += last->items;
		before->bytes += last->bytes;
		reader->next--;
	}
}

int shmp_stream_read(struct shmp_stream_reader *reader, void *buffer, uint64_t buffer_bytes,
		     struct shmp_stream_frame *ret_frame)
{
	uint64_t end;
	int r;

	if (shmp_stream_is_lent_out(reader))
		return SHMP_FULL;
	r = shmp_stream_next(reader, ret_frame, &end);
	if (r != SHMP_DONE)
		return r;
	if (ret_frame->size > buffer_bytes)
		return SHMP_TOO_BIG;
	shmp_stream_enter(reader, ret_frame, end);
	shmp_copy(buffer, ret_frame->data, ret_frame->size);
	ret_frame->data = buffer;
	return shmp_stream_give_back(reader, ret_frame->loan, ret_frame->position);
}

/* The broker's side */

static int stream_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t ring = SHMP_SPSC_CAPACITY_MIN;
	uint64_t metadata = option[SHMP_STREAM_METADATA_BYTES];

	(void)ret_why;
	while (ring < option[SHMP_STREAM_CAPACITY_BYTES] + SHMP_STREAM_OVERHEAD)
		ring <<= 1;
	*ret_plan = (struct shmp_plan){
		.data_bytes = ring,
		.control_bytes = shmp_round_up(sizeof(struct shmp_stream_control) + metadata, 128),
		.endpoint_count = 2,
		.option = { [SHMP_STREAM_CAPACITY_BYTES] = ring - SHMP_STREAM_OVERHEAD,
			    [SHMP_STREAM_METADATA_BYTES] = metadata },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void stream_init(const struct shmp_segment *segment)
{
	struct shmp_stream_control *control = segment->control;

	for (uint32_t i = 0; i < 2; i++)
		/* relaxed: nobody else can see it yet */
		atomic_store_explicit(&segment->endpoints[i].cursor, SHMP_STREAM_START,
				      memory_order_relaxed);
	/* relaxed: as above; the first number expected is 1 */
	atomic_store_explicit(&control->marks[0].position, SHMP_STREAM_START, memory_order_relaxed);
}

static int stream_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	const void *bytes;
	uint64_t size;

	if (shmp_stream_metadata(segment, &bytes, &size) < 0) {
		*ret_why = "there are more metadata than there is room for";
		return -EBADMSG;
	}
	return shmp_spsc_ring_validate(&ring, ret_why);
}

/* What concerns waiting is as in spsc, whose control area this one begins with. */

static void stream_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	shmp_spsc_kind.attach(segment, endpoint);
}

static int stream_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	return shmp_spsc_kind.repair(segment, endpoint, died);
}

static void stream_wake(const struct shmp_segment *segment)
{
	shmp_spsc_kind.wake(segment);
}

static bool stream_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	return shmp_spsc_kind.waits(segment, endpoint);
}

static int stream_require_fence(const struct shmp_segment *segment)
{
	return shmp_spsc_kind.require_fence(segment);
}

static void stream_require_pieces(const struct shmp_segment *segment)
{
	shmp_spsc_kind.require_pieces(segment);
}

static void stream_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
			 void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	shmp_spsc_ring_holds(&ring, endpoint, fn, context);
}

static void stream_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);

	shmp_spsc_ring_waits_for(&ring, fn, context);
}

void shmp_stream_status(const struct shmp_segment *segment, struct shmp_stream_status *ret_status)
{
	const struct shmp_endpoint *reader = &segment->endpoints[SHMP_STREAM_READER];
	const struct shmp_endpoint *writer = &segment->endpoints[SHMP_STREAM_WRITER];
	const struct shmp_stream_control *control = segment->control;
	struct shmp_spsc_ring ring = ring_of(segment);
	uint64_t capacity = segment->plan.option[SHMP_STREAM_CAPACITY_BYTES];
	struct shmp_stream_status status = { .metadata_bytes = 0 };
	const void *metadata;

	status.has_metadata = shmp_stream_metadata(segment, &metadata, &status.metadata_bytes) ==
			      SHMP_DONE;
	shmp_spsc_ring_depth(&ring, &status.depth_frames, &status.depth_bytes);
	status.free_bytes = status.depth_bytes < capacity ? capacity - status.depth_bytes : 0;
	status.read_position = shmp_spsc_load_cursor(reader);
	status.write_position = shmp_spsc_load_cursor(writer);
	/* relaxed: statistics, each right for some moment */
	status.read = atomic_load_explicit(&reader->items, memory_order_relaxed);
	/* relaxed: as above */
	status.written = atomic_load_explicit(&writer->items, memory_order_relaxed);
	/* relaxed: as above */
	status.skipped = atomic_load_explicit(&control->skipped, memory_order_relaxed);
	status.last_sequence = (status.written + status.skipped) & SHMP_STREAM_SEQUENCES;
	*ret_status = status;
}

static void stream_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_stream_status status;

	shmp_stream_status(segment, &status);
	figure(context, "depth_messages", status.depth_frames);
	figure(context, "depth_bytes", status.depth_bytes);
	figure(context, "free_bytes", status.free_bytes);
	figure(context, "capacity_bytes", segment->plan.option[SHMP_STREAM_CAPACITY_BYTES]);
	figure(context, "metadata_bytes", status.metadata_bytes);
	figure(context, "last_sequence", status.last_sequence);
	figure(context, "skipped_frames", status.skipped);
}

/* Looking */

struct frame_look {
	const struct shmp_segment *segment;
	struct shmp_look *look; /* the caller's */
	shmp_item_fn fn;
	void *context;
	uint64_t missed;
	_Alignas(8) uint8_t word[SHMP_STREAM_WORD];
};

/* The ring's message, found whole with its first word, as a frame. */
static int show_frame(void *context, const struct shmp_item *item, uint64_t tag)
{
	struct frame_look *frame = context;
	const struct shmp_segment *segment = frame->segment;
	const struct shmp_endpoint *reader = &segment->endpoints[SHMP_STREAM_READER];
	uint64_t ring = segment->plan.option[SHMP_STREAM_CAPACITY_BYTES] + SHMP_STREAM_OVERHEAD;
	const uint8_t *at = segment->data + (item->position & (ring - 1)) + SHMP_SPSC_HEADER;
	struct shmp_spsc_message message = { .data = frame->word, .size = item->size };
	struct shmp_item shown = *item;
	struct shmp_stream_frame parsed;
	uint64_t tail;

	(void)tag;
	if (item->payload_bytes < SHMP_STREAM_WORD ||
	    shmp_stream_parse(&message, &parsed) != SHMP_DONE)
		return -EBADMSG;
	shown.what = "frame";
	shown.number = parsed.sequence;
	shown.size = parsed.size;
	shown.payload = NULL;
	shown.payload_bytes = 0;
	shmp_look_take(frame->look, at + SHMP_STREAM_WORD, parsed.size, &shown);
	/* the copy comes before the look at the cursor */
	atomic_thread_fence(
		memory_order_acquire); /* [spsc.P] fence; pairs with shmp_spsc_take_to */
	tail = shmp_spsc_load_cursor(reader);
	if (item->position - tail <= ring)
		return frame->fn(frame->context, &shown);
	frame->missed += shmp_spsc_need(item->size);
	return 0;
}

/*
 * Shown ahead of the first frame, once: the next look begins with a frame, whose positions are all
 * behind that of the metadata.
 */
static int show_metadata(const struct shmp_segment *segment, struct shmp_look *look,
			 shmp_item_fn fn, void *context)
{
	struct shmp_item item = {
		.what = "metadata", .name = "metadata", .number = UINT64_MAX, .endpoint = -1
	};
	const void *bytes;
	int r = shmp_stream_metadata(segment, &bytes, &item.size);

	if (r != SHMP_DONE)
		return r == SHMP_EMPTY ? 0 : r;
	shmp_look_take(look, bytes, item.size, &item);
	r = fn(context, &item);
	if (r != 0)
		return r;
	/* relaxed: a hint where to begin; who looks there checks it */
	look->from = atomic_load_explicit(&segment->endpoints[SHMP_STREAM_READER].cursor,
					  memory_order_relaxed);
	look->max--;
	return 0;
}

static int stream_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		       void *context)
{
	struct shmp_spsc_ring ring = ring_of(segment);
	struct frame_look frame = {
		.segment = segment, .look = look, .fn = fn, .context = context
	};
	struct shmp_look inner;
	int r;

	if (look->from == SHMP_LOOK_OLDEST && look->max > 0) {
		r = show_metadata(segment, look, fn, context);
		if (r != 0)
			return r;
	}
	inner = *look;
	inner.room = frame.word;
	inner.room_bytes = sizeof(frame.word);
	r = shmp_spsc_ring_look(&ring, &inner, show_frame, &frame);
	look->from = inner.from;
	look->missed = inner.missed + frame.missed;
	return r;
}

static const struct shmp_role stream_roles[] = {
	{ .name = "writer",
	  .first = SHMP_STREAM_WRITER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "reader",
	  .first = SHMP_STREAM_READER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option stream_options[] = {
	[SHMP_STREAM_CAPACITY_BYTES] = { .name = "capacity_bytes",
					 .help = "largest frame; with 32 bytes more the ring, a "
						 "power of two",
					 .min = 0,
					 .max = STREAM_CAPACITY_MAX,
					 .preset = 65536 - SHMP_STREAM_OVERHEAD },
	[SHMP_STREAM_METADATA_BYTES] = { .name = "metadata_bytes_max",
					 .help = "room for the metadata",
					 .min = 0,
					 .max = STREAM_METADATA_MAX,
					 .preset = 1024 },
};

const struct shmp_kind shmp_stream_kind = {
	.name = "stream",
	.id = 9,
	.version = SHMP_STREAM_VERSION,
	.mirrored = true,
	.streams = true,
	.byte_positions = true,
	.ctl_suffices = true,
	.roles = stream_roles,
	.role_count = sizeof(stream_roles) / sizeof(stream_roles[0]),
	.options = stream_options,
	.option_count = sizeof(stream_options) / sizeof(stream_options[0]),
	.plan = stream_plan,
	.init = stream_init,
	.validate = stream_validate,
	.attach = stream_attach,
	.repair = stream_repair,
	.wake = stream_wake,
	.waits = stream_waits,
	.require_fence = stream_require_fence,
	.require_pieces = stream_require_pieces,
	.holds = stream_holds,
	.waits_for = stream_waits_for,
	.figures = stream_figures,
	.look = stream_look,
};
