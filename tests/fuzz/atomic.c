/*
 * An atomic whose every word a hostile peer writes between any two operations of ours: each does to
 * the value that is there what it says, whatever that is, and telling ends. The input is a list of
 * commands.
 */
#include "protocol/atomic.h"

#include "tests/support/fuzz.h"

enum {
	PLACES = 70, /* two words of attention */
	COMMANDS_MAX = 256,
};

static const enum shmp_type types[] = { SHMP_TYPE_BOOL, SHMP_TYPE_I32, SHMP_TYPE_I64,
					SHMP_TYPE_U32,	SHMP_TYPE_U64, SHMP_TYPE_DOUBLE };

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
	uint64_t value = 0;
	size_t some = bytes < input->left ? bytes : input->left;

	memcpy(&value, input->at, some);
	input->at += some;
	input->left -= some;
	return value;
}

/* On the heap, so that a sanitizer sees the end of each part. */
static struct shmp_segment make(struct input *input)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ATOMIC_TYPE] = types[take(input, 1) % (sizeof(types) / sizeof(types[0]))],
		[SHMP_ATOMIC_ENDPOINTS_MAX] = PLACES,
	};
	struct shmp_segment segment = { .mirrored = false };
	const char *why;

	FUZZ_CHECK(shmp_atomic_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	return segment;
}

/* Any word, in ctl or data; often the waiter's or the value's. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint8_t *part = how & 1 ? segment->data : (uint8_t *)segment->head;
	uint64_t bytes = how & 1 ? segment->plan.data_bytes : segment->plan.ctl_bytes;

	if (how & 4)
		at = how & 1 ? at % 2 : (sizeof(struct shmp_head) / 8) + at % 8;
	if (how & 8)
		memset(part, how & 16 ? 0xff : (int)value, bytes);
	memcpy(part + at * 8 % bytes, &value, sizeof(value));
}

static memory_order order_of(uint8_t how)
{
	static const memory_order orders[] = { memory_order_relaxed, memory_order_acquire,
					       memory_order_release, memory_order_acq_rel,
					       memory_order_seq_cst };

	return orders[how % 5];
}

static uint64_t expected(enum shmp_atomic_op op, uint64_t before, uint64_t word)
{
	switch (op) {
	case SHMP_ATOMIC_ADD:
		return before + word;
	case SHMP_ATOMIC_SUB:
		return before - word;
	case SHMP_ATOMIC_AND:
		return before & word;
	case SHMP_ATOMIC_OR:
		return before | word;
	case SHMP_ATOMIC_XOR:
		return before ^ word;
	default:
		return word;
	}
}

static uint64_t narrowed(const struct shmp_atomic *atomic, uint64_t word)
{
	return atomic->is_narrow ? (uint32_t)word : word;
}

static void change(const struct shmp_atomic *atomic, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	enum shmp_atomic_op op = (enum shmp_atomic_op)(how % 6);
	uint64_t word = take(input, 8);
	uint64_t before = shmp_atomic_load(atomic, memory_order_acquire);

	FUZZ_CHECK(shmp_atomic_change(atomic, op, word, order_of(how >> 4)) == before);
	FUZZ_CHECK(shmp_atomic_load(atomic, memory_order_relaxed) ==
		   narrowed(atomic, expected(op, before, word)));
}

static void exchange(const struct shmp_atomic *atomic, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t before = shmp_atomic_load(atomic, memory_order_seq_cst);
	uint64_t word = take(input, 8), wanted = how & 1 ? before : take(input, 1);
	bool is_done = shmp_atomic_compare_exchange(atomic, &wanted, word);

	FUZZ_CHECK(wanted == before);
	FUZZ_CHECK(is_done || (how & 1) == 0);
	FUZZ_CHECK(shmp_atomic_load(atomic, memory_order_relaxed) ==
		   (is_done ? narrowed(atomic, word) : before));
}

/* Ends whatever the bits of a double are; what is no number stays none. */
static void add_double(const struct shmp_atomic *atomic, struct input *input)
{
	uint64_t bits = take(input, 8), word = shmp_atomic_load(atomic, memory_order_relaxed);
	double more, before, was;

	if (atomic->is_narrow)
		return;
	memcpy(&more, &bits, sizeof(more));
	memcpy(&was, &word, sizeof(was));
	before = shmp_atomic_add_double(atomic, more);
	FUZZ_CHECK(before == was || (before != before && was != was));
}

static void count_ring(void *ringer, uint32_t endpoint)
{
	FUZZ_CHECK(endpoint < PLACES);
	++*(size_t *)ringer;
}

/* Whoever the bits and words name is told, and at most all there are. */
static void tell(struct shmp_atomic *atomic)
{
	size_t rings = 0;

	shmp_atomic_is_watched(atomic);
	shmp_atomic_tell(atomic, count_ring, &rings);
	FUZZ_CHECK(rings <= PLACES);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static int show(void *context, const struct shmp_item *item)
{
	FUZZ_CHECK(item->text && strlen(item->text) < SHMP_TYPE_TEXT);
	++*(size_t *)context;
	return 0;
}

static void look(const struct shmp_segment *segment)
{
	uint8_t room[8];
	struct shmp_look look = { .max = 1, .room = room, .room_bytes = sizeof(room) };
	const char *why;
	size_t shown = 0, names = 0;

	FUZZ_CHECK(shmp_atomic_kind.validate(segment, &why) == 0);
	shmp_atomic_kind.figures(segment, count_figure, &names);
	FUZZ_CHECK(shmp_atomic_kind.look(segment, &look, show, &shown) == 0 && shown == 1);
}

static void succeed(struct shmp_segment *segment, struct shmp_atomic *atomic, uint32_t place)
{
	FUZZ_CHECK(shmp_atomic_kind.repair(segment, place, true) == 0);
	FUZZ_CHECK(!shmp_atomic_kind.waits(segment, place));
	shmp_atomic_kind.wake(segment);
	shmp_atomic_kind.attach(segment, place);
	shmp_atomic_view(segment, atomic);
}

/* On its way to sleep and back: with a key that is over when it looks. */
static void wait_in_vain(struct shmp_segment *segment, struct shmp_atomic *atomic, uint32_t place)
{
	struct shmp_waiter *waiter = &atomic->control->changed;
	uint32_t key = shmp_waiter_prepare(waiter, &segment->endpoints[place], place, false);

	shmp_waiter_wake_all(waiter);
	FUZZ_CHECK(shmp_waiter_sleep(waiter, key, UINT64_MAX) == 0);
	shmp_waiter_finish(waiter, place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = make(&input);
	static struct shmp_atomic atomic;

	shmp_atomic_view(&segment, &atomic);
	for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
		uint8_t command = (uint8_t)take(&input, 1);
		uint32_t place = command >> 3 & 1 ? PLACES - 1 : command >> 4;

		switch (command & 7) {
		case 0:
			scribble(&segment, &input);
			break;
		case 1:
			succeed(&segment, &atomic, place);
			break;
		case 2:
			look(&segment);
			break;
		case 3:
			tell(&atomic);
			break;
		case 4:
			add_double(&atomic, &input);
			break;
		case 5:
			exchange(&atomic, &input);
			break;
		case 6:
			wait_in_vain(&segment, &atomic, place);
			break;
		default:
			change(&atomic, &input);
		}
	}
	free(segment.head);
	free(segment.data);
	return 0;
}
