/*
 * What the broker and observers do to segments of any kind, with bytes in them that nobody honest
 * writes: random ones, ones only, and an honest segment of which any one word was replaced. It must
 * end, stay inside, and say what it may say. A kind that is added to the table is in it.
 */
#include "protocol/kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/schema.h"
#include "protocol/record.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	WORDS_MAX = 600, /* of each part that are replaced, from its beginning and from its end */
	ROOM = 100,
};

/* One segment, mapped twice between pages that nobody may touch: for the broker, and read-only. */
struct subject {
	const struct shmp_kind *kind;
	struct shmt_segment segment;
	struct shmp_segment broker;
	struct shmp_segment observer;
	uint8_t *ctl_before, *data_before;
};

/* The smallest one there is, or the usual one where the least of all is too little together. */
static void choose_options(const struct shmp_kind *kind, uint64_t *ret_option)
{
	struct shmp_plan plan;
	const char *why;

	for (size_t i = 0; i < kind->option_count; i++) {
		bool counts_places = strstr(kind->options[i].name, "endpoints") ||
				     strstr(kind->options[i].name, "readers");

		ret_option[i] = counts_places && kind->options[i].max >= 4 ? 4 :
									     kind->options[i].min;
	}
	if (kind->plan(ret_option, &plan, &why) == 0)
		return;
	for (size_t i = 0; i < kind->option_count; i++)
		ret_option[i] = kind->options[i].preset;
}

/* A record brings its fields; its options follow from them. */
static void make_record(struct shmt_segment *segment)
{
	static const struct shmc_field inner[] = {
		{ .name = "x", .type = SHMC_TYPE_DOUBLE },
		{ .name = "tags", .type = SHMC_TYPE_U8, .count = 3 },
	};
	static const struct shmc_field fields[] = {
		{ .name = "flag", .type = SHMC_TYPE_BOOL },
		{ .name = "numbers", .type = SHMC_TYPE_I32, .count = 10 },
		{ .name = "name", .type = SHMC_TYPE_STRING, .bytes = 16 },
		{ .name = "point", .type = SHMC_TYPE_STRUCT, .fields = inner, .field_count = 2 },
		{ .name = "uuid", .type = SHMC_TYPE_UUID },
		{ .name = "decimal", .type = SHMC_TYPE_DECIMAL128 },
		{ .name = "time", .type = SHMC_TYPE_TIME },
	};
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_RECORD_ENDPOINTS_MAX] = 4 };
	struct shmp_schema *schema = NULL;

	SHMT_REQUIRE(shmc__schema_build(fields, sizeof(fields) / sizeof(fields[0]), 1, &schema,
					NULL) == SHMC_OK);
	option[SHMP_RECORD_BYTES] = schema->record_bytes;
	option[SHMP_RECORD_SCHEMA_BYTES] = shmp_schema_bytes(schema->field_count);
	option[SHMP_RECORD_LAYOUT_HASH] = schema->layout_hash;
	option[SHMP_RECORD_SCHEMA_VERSION] = schema->version;
	shmt_segment_make_with(segment, "record", option, schema, option[SHMP_RECORD_SCHEMA_BYTES]);
	free(schema);
}

/* Bytes of data as mapped: all of it, and of rings the mirror of each, too. */
static uint64_t room_of(const struct subject *subject)
{
	return shmp_segment_data_room(&subject->segment.plan, subject->kind->mirrored);
}

static struct subject make(const struct shmp_kind *kind)
{
	struct subject subject = { .kind = kind };
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const struct shmp_plan *plan = &subject.segment.plan;

	if (kind == &shmp_record_kind) {
		make_record(&subject.segment);
	} else {
		choose_options(kind, option);
		shmt_segment_make(&subject.segment, kind->name, option);
	}
	for (uint32_t place = 0; place < plan->endpoint_count && place < 2; place++)
		shmt_place_assign(&subject.segment, place);
	subject.broker = shmt_segment_map_guarded(&subject.segment, PROT_READ | PROT_WRITE);
	subject.observer = shmt_segment_map_guarded(&subject.segment, PROT_READ);
	subject.ctl_before = malloc(plan->ctl_bytes);
	subject.data_before = malloc(room_of(&subject) + 1);
	memcpy(subject.ctl_before, subject.broker.head, plan->ctl_bytes);
	if (plan->data_bytes > 0)
		memcpy(subject.data_before, subject.broker.data, room_of(&subject));
	return subject;
}

static void restore(struct subject *subject)
{
	const struct shmp_plan *plan = &subject->segment.plan;

	memcpy(subject->broker.head, subject->ctl_before, plan->ctl_bytes);
	if (plan->data_bytes > 0)
		memcpy(subject->broker.data, subject->data_before, room_of(subject));
}

static void done(struct subject *subject)
{
	free(subject->ctl_before);
	free(subject->data_before);
	shmt_segment_free(&subject->segment);
}

/* What is done to it */

static int show(void *context, const struct shmp_item *item)
{
	uint64_t *left = context;

	SHMT_REQUIRE(item->what && item->payload_bytes <= ROOM);
	SHMT_REQUIRE(!item->name || strlen(item->name) < 4096);
	SHMT_REQUIRE(!item->text || strlen(item->text) < 65536);
	SHMT_REQUIRE(*left > 0);
	*left -= 1;
	return 0;
}

static void look(struct subject *subject, uint64_t from, bool gone)
{
	uint8_t room[ROOM];
	uint64_t left = 1000;
	struct shmp_look look = {
		.from = from, .max = left, .gone = gone, .room = room, .room_bytes = ROOM
	};
	int r = subject->kind->look(&subject->observer, &look, show, &left);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	SHMT_REQUIRE(*name);
	*(uint64_t *)context += value;
}

/* What is told is one of the constants, and of places that there are. */
static void show_hold(void *context, const struct shmp_hold *hold)
{
	SHMT_REQUIRE(strlen(hold->what) < SHMP_HOLD_TEXT && strlen(hold->fate) < SHMP_HOLD_TEXT);
	SHMT_REQUIRE(*hold->what && *hold->fate && hold->count > 0);
	*(uint64_t *)context += hold->count;
}

static void show_wait(void *context, const struct shmp_wait *wait)
{
	const struct subject *subject = context;

	SHMT_REQUIRE(wait->endpoint < subject->segment.plan.endpoint_count);
	SHMT_REQUIRE(wait->by < (int64_t)subject->segment.plan.endpoint_count);
	SHMT_REQUIRE((wait->by < 0) == (wait->role != NULL));
	SHMT_REQUIRE(!wait->role || shmp_kind_role(subject->kind, wait->role));
	SHMT_REQUIRE(*wait->what && *wait->why);
}

static void observe_holders(struct subject *subject)
{
	const struct shmp_kind *kind = subject->kind;
	uint64_t sum = 0;

	SHMT_REQUIRE((kind->waits != NULL && kind != shmp_kind_find("array") &&
		      kind != shmp_kind_find("arena")) == (kind->waits_for != NULL));
	for (uint32_t i = 0; kind->holds && i < subject->segment.plan.endpoint_count; i++)
		kind->holds(&subject->observer, i, show_hold, &sum);
	if (kind->waits_for)
		kind->waits_for(&subject->observer, show_wait, subject);
}

static void observe(struct subject *subject)
{
	const struct shmp_kind *kind = subject->kind;
	const char *why = NULL;
	uint64_t sum = 0;
	int r = kind->validate(&subject->observer, &why);

	SHMT_REQUIRE(r == 0 || (r == -EBADMSG && why));
	kind->figures(&subject->observer, add_figure, &sum);
	look(subject, SHMP_LOOK_OLDEST, false);
	look(subject, SHMP_LOOK_NEWEST, false);
	look(subject, 3, true);
	for (uint32_t i = 0; i < subject->segment.plan.endpoint_count; i++)
		sum += kind->waits && kind->waits(&subject->observer, i);
	observe_holders(subject);
}

/* As after a death, and once more as after a death of the broker meanwhile. */
static void bury(struct subject *subject)
{
	const struct shmp_kind *kind = subject->kind;

	for (uint32_t place = 0; place < subject->segment.plan.endpoint_count && place < 3;
	     place++) {
		for (int times = 0; times < 2; times++) {
			int r = kind->repair(&subject->broker, place, true);

			SHMT_REQUIRE(r == 0 || r == 1);
		}
		kind->attach(&subject->broker, place);
	}
	kind->wake(&subject->broker);
	observe(subject);
}

static void do_all(struct subject *subject)
{
	observe(subject);
	bury(subject);
	restore(subject);
}

/* The bytes */

static const uint64_t numbers[] = {
	0,
	1,
	2,
	8,
	0x100,
	0x700,
	4096,
	UINT64_C(1) << 31,
	UINT64_C(1) << 32,
	UINT64_C(1) << 33 | 1,
	UINT64_C(1) << 62,
	UINT64_C(1) << 63,
	UINT64_C(1) << 63 | 8,
	UINT64_C(1) << 63 | 0x101,
	UINT64_C(3) << 62 | 0x501,
	0 - UINT64_C(8),
	UINT64_MAX - 0xff,
	UINT64_MAX,
};

static void replace_each(struct subject *subject, uint8_t *part, uint64_t bytes)
{
	uint64_t words = bytes / 8;

	for (uint64_t at = 0; at < words; at++) {
		if (at == WORDS_MAX && words > 2 * (uint64_t)WORDS_MAX)
			at = words - WORDS_MAX;
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			memcpy(part + at * 8, &numbers[i], 8);
			do_all(subject);
		}
	}
}

TEST(any_word_replaced_in_any_kind_harms_nobody, .timeout_s = 60)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		struct subject subject = make(shmp_kinds[i]);

		do_all(&subject);
		replace_each(&subject, (uint8_t *)subject.broker.head,
			     subject.segment.plan.ctl_bytes);
		done(&subject);
	}
}

TEST(any_word_replaced_in_the_data_of_any_kind_harms_nobody, .timeout_s = 60)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		struct subject subject = make(shmp_kinds[i]);

		if (subject.segment.plan.data_bytes > 0)
			replace_each(&subject, subject.broker.data, room_of(&subject));
		done(&subject);
	}
}

TEST(nothing_but_ones_in_any_kind_harms_nobody)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		struct subject subject = make(shmp_kinds[i]);

		memset(subject.broker.head, 0xff, subject.segment.plan.ctl_bytes);
		do_all(&subject);
		memset(subject.broker.head, 0xff, subject.segment.plan.ctl_bytes);
		if (subject.segment.plan.data_bytes > 0)
			memset(subject.broker.data, 0xff, room_of(&subject));
		do_all(&subject);
		done(&subject);
	}
}

static void fill(struct shmt_random *random, uint8_t *part, uint64_t bytes)
{
	for (uint64_t at = 0; at + 8 <= bytes; at += 8) {
		uint64_t word = shmt_random_next(random);

		/* small numbers get further than large ones */
		word >>= shmt_random_next(random) % 64;
		memcpy(part + at, &word, sizeof(word));
	}
}

TEST(random_bytes_in_any_kind_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };

	for (size_t i = 0; i < shmp_kind_count; i++) {
		struct subject subject = make(shmp_kinds[i]);

		for (int round = 0; round < 200; round++) {
			if (round % 2)
				fill(&random, (uint8_t *)subject.broker.head,
				     subject.segment.plan.ctl_bytes);
			if (round % 3 && subject.segment.plan.data_bytes > 0)
				fill(&random, subject.broker.data, room_of(&subject));
			do_all(&subject);
		}
		done(&subject);
	}
}

SHMT_MAIN
