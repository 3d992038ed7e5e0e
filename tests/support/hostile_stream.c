#include "tests/support/hostile_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/segment.h"

#define PAGE  4096u
#define MOVES 12

/* Maps @fd @times in a row, with an untouchable page on either side. */
static uint8_t *map_guarded(int fd, uint64_t bytes, uint64_t times)
{
	uint8_t *room = mmap(NULL, bytes * times + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	SHMT_REQUIRE(room != MAP_FAILED);
	for (uint64_t i = 0; i < times; i++)
		SHMT_REQUIRE(mmap(room + PAGE + i * bytes, bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	return room + PAGE;
}

static void make(struct hostile_stream *stream)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { HOSTILE_STREAM_FRAME, HOSTILE_STREAM_METADATA };
	struct shmt_segment segment;
	uint8_t *ctl;

	shmt_segment_make(&segment, "stream", option);
	SHMT_REQUIRE(segment.plan.ctl_bytes == HOSTILE_STREAM_WORDS / 2 * 8);
	ctl = map_guarded(segment.fds.ctl, segment.plan.ctl_bytes, 1);
	stream->segment = segment.map;
	stream->segment.head = (void *)ctl;
	stream->segment.control = ctl + sizeof(struct shmp_head);
	stream->segment.endpoints =
		(void *)(ctl + sizeof(struct shmp_head) + segment.plan.control_bytes);
	stream->segment.data = map_guarded(segment.fds.data, HOSTILE_STREAM_RING, 2);
	shmt_segment_free(&segment);
}

struct hostile_stream *hostile_stream(void)
{
	static struct hostile_stream stream;

	if (!stream.segment.head)
		make(&stream);
	return &stream;
}

void hostile_stream_write(struct hostile_stream *stream, uint32_t word, uint64_t value)
{
	uint8_t *base = (uint8_t *)stream->segment.head;

	word %= HOSTILE_STREAM_WORDS;
	if (word >= HOSTILE_STREAM_WORDS / 2)
		base = stream->segment.data;
	atomic_store((_Atomic uint64_t *)(void *)(base + word % (HOSTILE_STREAM_WORDS / 2) * 8),
		     value);
}

/* What the moves may say */

static bool is_outcome(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == -EBADMSG;
}

/* A compiler may not leave the reading out. */
static void check_frame(const struct hostile_stream *stream, const struct shmp_stream_frame *frame)
{
	static volatile uint8_t sum;
	const uint8_t *at = frame->data, *data = stream->segment.data;

	SHMT_REQUIRE(frame->size <= HOSTILE_STREAM_FRAME && at >= data);
	SHMT_REQUIRE(at + frame->size <= data + 2 * HOSTILE_STREAM_RING);
	for (uint64_t i = 0; i < frame->size; i++)
		sum = (uint8_t)(sum + at[i]);
}

static void attach_writer(struct hostile_stream *stream)
{
	int r = shmp_stream_attach_writer(&stream->segment, &stream->writer);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	stream->has_writer = r == 0;
}

static void attach_reader(struct hostile_stream *stream)
{
	int r = shmp_stream_attach_reader(&stream->segment, &stream->reader);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	stream->has_reader = r == 0;
}

static void write_frame(struct hostile_stream *stream, uint64_t size)
{
	static uint8_t payload[HOSTILE_STREAM_RING];

	SHMT_REQUIRE(is_outcome(shmp_stream_write(&stream->writer, payload, size)));
}

static void reserve_and_commit(struct hostile_stream *stream, uint64_t size)
{
	uint8_t *room = NULL;
	int r = shmp_stream_reserve(&stream->writer, size, &room);

	SHMT_REQUIRE(is_outcome(r));
	if (r != SHMP_DONE)
		return;
	memset(room, 0x55, size);
	shmp_stream_commit(&stream->writer, size / 2);
}

static void lend(struct hostile_stream *stream, uint64_t index)
{
	struct shmp_stream_frame *frame = &stream->held[index % HOSTILE_STREAM_HELD];
	int r = shmp_stream_lend(&stream->reader, frame);

	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		check_frame(stream, frame);
}

static void give_back(struct hostile_stream *stream, uint64_t index)
{
	const struct shmp_stream_frame *frame = &stream->held[index % HOSTILE_STREAM_HELD];
	int r = shmp_stream_give_back(&stream->reader, frame->loan, frame->position);

	SHMT_REQUIRE(r == SHMP_DONE || r == -EINVAL);
}

static void read_frame(struct hostile_stream *stream, uint64_t room)
{
	struct shmp_stream_frame frame = { .size = 0 };
	uint8_t *buffer = malloc(room + 1);
	int r = shmp_stream_read(&stream->reader, buffer, room, &frame);

	SHMT_REQUIRE(is_outcome(r));
	SHMT_REQUIRE(r != SHMP_DONE || (frame.size <= room && frame.data == buffer));
	free(buffer);
}

static void metadata(struct hostile_stream *stream)
{
	const void *bytes = NULL;
	uint64_t size = 0;
	int r = shmp_stream_metadata(&stream->segment, &bytes, &size);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == -EBADMSG);
	SHMT_REQUIRE(size <= HOSTILE_STREAM_METADATA);
	r = stream->has_writer ? shmp_stream_set_metadata(&stream->writer, "hello", 5) : 0;
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL);
}

static int show(void *context, const struct shmp_item *item)
{
	uint64_t *left = context;

	SHMT_REQUIRE(item->size <= HOSTILE_STREAM_FRAME && item->payload_bytes <= 500);
	SHMT_REQUIRE(*left > 0);
	*left -= 1;
	return 0;
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	*(uint64_t *)context += value;
	SHMT_REQUIRE(name[0] != '\0');
}

static void look(struct hostile_stream *stream, uint64_t from)
{
	uint8_t room[500];
	uint64_t left = HOSTILE_STREAM_RING / 8, sum = 0;
	struct shmp_look look = {
		.from = from, .max = left, .room = room, .room_bytes = sizeof(room)
	};
	int r = shmp_stream_kind.look(&stream->segment, &look, show, &left);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	shmp_stream_kind.figures(&stream->segment, add_figure, &sum);
}

/* The broker's part, in the order of a death. */
static void bury(struct hostile_stream *stream, uint32_t place)
{
	const struct shmp_kind *kind = &shmp_stream_kind;
	const char *why = NULL;
	int r = kind->validate(&stream->segment, &why);

	SHMT_REQUIRE(r == 0 || (r == -EBADMSG && why));
	SHMT_REQUIRE(kind->repair(&stream->segment, place, true) == 0);
	kind->wake(&stream->segment);
	kind->attach(&stream->segment, place);
}

static void move_writer(struct hostile_stream *stream, uint8_t what, uint64_t argument)
{
	if (!stream->has_writer)
		return;
	if (what == 0)
		write_frame(stream, argument % (HOSTILE_STREAM_RING + 100));
	else if (what == 1)
		write_frame(stream, argument % 40);
	else if (what == 2)
		reserve_and_commit(stream, argument % 1100);
	else
		shmp_stream_skip(&stream->writer, argument);
}

static void move_reader(struct hostile_stream *stream, uint8_t what, uint64_t argument)
{
	if (!stream->has_reader)
		return;
	if (what == 0)
		read_frame(stream, argument % 1100);
	else if (what == 1)
		read_frame(stream, HOSTILE_STREAM_FRAME);
	else if (what == 2)
		lend(stream, argument);
	else
		give_back(stream, argument);
}

void hostile_stream_move(struct hostile_stream *stream, uint8_t what, uint16_t argument)
{
	what %= MOVES;
	if (what < 4) {
		move_writer(stream, what, argument);
	} else if (what < 8) {
		move_reader(stream, what - 4, argument);
	} else if (what == 8) {
		metadata(stream);
	} else if (what == 9) {
		look(stream, argument % 3 == 0 ? SHMP_LOOK_OLDEST : argument);
	} else if (what == 10) {
		bury(stream, SHMP_STREAM_WRITER);
		attach_writer(stream);
	} else {
		bury(stream, SHMP_STREAM_READER);
		attach_reader(stream);
	}
}

void hostile_stream_all_moves(struct hostile_stream *stream)
{
	static const struct {
		uint8_t what;
		uint16_t argument;
	} moves[] = {
		{ 9, 0 },
		{ 6, 0 },
		{ 6, 1 },
		{ 1, 7 },
		{ 7, 1 },
		{ 8, 0 },
		{ 5, 0 },
		{ 2, 100 },
		{ 6, 2 },
		{ 7, 2 },
		{ 7, 0 },
		{ 0, 2000 },
		{ 3, 9 },
		{ 4, 50 },
		{ 9, 16 },
		{ 10, 0 },
		{ 1, 3 },
		{ 9, 0 },
		{ 11, 0 },
		{ 6, 3 },
		{ 5, 0 },
		{ 7, 3 },
		{ 0, HOSTILE_STREAM_FRAME },
		{ 10, 0 },
		{ 11, 0 },
		{ 5, 0 },
		{ 2, 1000 },
	};

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		hostile_stream_move(stream, moves[i].what, moves[i].argument);
}

/* Honest states */

static void activate(struct hostile_stream *stream, uint32_t place)
{
	shmp_stream_kind.attach(&stream->segment, place);
	shmp_endpoint_set_state(&stream->segment.endpoints[place], 1, SHMP_ENDPOINT_ACTIVE);
}

/* So many times a frame goes through, so that the next one wraps. */
static void go_round(struct hostile_stream *stream, int times)
{
	for (int i = 0; i < times; i++) {
		write_frame(stream, 1000);
		read_frame(stream, 1000);
	}
}

void hostile_stream_reset(struct hostile_stream *stream, unsigned int state)
{
	struct shmp_segment *segment = &stream->segment;

	memset(segment->control, 0, segment->plan.ctl_bytes - sizeof(struct shmp_head));
	memset(segment->data, 0, HOSTILE_STREAM_RING);
	memset(stream->held, 0, sizeof(stream->held));
	shmp_stream_kind.init(segment);
	activate(stream, SHMP_STREAM_WRITER);
	activate(stream, SHMP_STREAM_READER);
	attach_writer(stream);
	attach_reader(stream);
	state %= HOSTILE_STREAM_STATES;
	if (state == 0)
		return;
	metadata(stream);
	go_round(stream, state == 1 ? 0 : 3);
	write_frame(stream, 100);
	write_frame(stream, 700);
	if (state == 3)
		lend(stream, 0);
	if (state == 4)
		write_frame(stream, 3000);
}
