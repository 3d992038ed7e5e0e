/* record: versions, what a reader sees of hostile words, and what a looker is shown. */
#include "protocol/record.h"

#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/schema.h"

static const struct shmt_field fields[] = { { "a", SHMP_TYPE_U64, 0, 0, 0 },
					    { "b", SHMP_TYPE_U64, 3, 0, 0 } };
enum {
	ROOM = 16 /* words: more than the record, for the copies that compilers imagine */
};

static struct shmt_segment segment;
static struct shmp_record record;
static struct shmp_locker locker;

static void open_record(void)
{
	shmt_record_make(&segment, fields, 2, 3);
	shmt_place_assign(&segment, 0);
	shmp_record_view(&segment.map, &record);
	shmp_lock_attach(&record.control->lock, &segment.map, 0, &locker);
}

static void commit(uint64_t value)
{
	ck_assert_int_eq(shmp_lock_try_write(&locker), SHMP_DONE);
	shmp_record_begin(&record);
	shmp_record_keep(&record);
	memcpy(record.draft, &value, sizeof(value));
	shmp_record_commit(&record);
	shmp_lock_unlock(&locker);
}

static uint64_t read_first(uint64_t *ret_number)
{
	uint64_t words[ROOM];

	ck_assert_int_eq(shmp_record_read(&record, words, ret_number), SHMP_DONE);
	return words[0];
}

TEST(each_commit_is_read_and_keeps_the_other_fields)
{
	uint64_t number, words[ROOM] = { 0, 2, 77, 78, 0 };

	open_record();
	ck_assert_uint_eq(read_first(&number), 0);
	ck_assert_uint_eq(number, 1);
	shmp_lock_try_write(&locker);
	shmp_record_begin(&record);
	memcpy(record.draft, words, record.bytes);
	shmp_record_commit(&record);
	shmp_lock_unlock(&locker);
	for (uint64_t i = 1; i < 20; i++) {
		commit(i);
		ck_assert_uint_eq(read_first(&number), i);
		ck_assert_uint_eq(number, i + 2);
		ck_assert_int_eq(shmp_record_read(&record, words, &number), SHMP_DONE);
		ck_assert_uint_eq(words[3], 78);
	}
	shmt_segment_free(&segment);
}

TEST(a_draft_is_not_seen_and_spoils_nothing)
{
	uint64_t number, words[ROOM];

	open_record();
	for (uint64_t i = 1; i < 10; i++) {
		commit(i);
		shmp_lock_try_write(&locker);
		shmp_record_begin(&record);
		memset(record.draft, 0xee, record.bytes);
		ck_assert_uint_eq(read_first(&number), i);
		/* the version that the draft lies over is told to be spoilt */
		if (record.number > 4)
			ck_assert(!shmp_record_try_read(&record, record.number - 4, words));
		shmp_lock_unlock(&locker);
		ck_assert_uint_eq(read_first(&number), i);
	}
	shmt_segment_free(&segment);
}

TEST(a_slow_reader_notices_that_his_slot_was_used_again)
{
	uint64_t words[ROOM], number;

	open_record();
	commit(1);
	number = shmp_record_newest(&record);
	commit(2);
	commit(3);
	commit(4);
	ck_assert(shmp_record_try_read(&record, number, words));
	commit(5);
	ck_assert(!shmp_record_try_read(&record, number, words));
	shmt_segment_free(&segment);
}

static int count_item(void *context, const struct shmp_item *item)
{
	ck_assert_str_eq(item->what, "field");
	ck_assert_uint_le(item->payload_bytes, item->size);
	ck_assert(item->text && item->name);
	return ++*(int *)context == 100;
}

static int look(void)
{
	struct shmp_segment map;
	struct shmp_look all = { .max = UINT64_MAX };
	int count = 0, r;

	shmt_segment_map(&segment, "observer", &map);
	r = shmp_record_kind.look(&map, &all, count_item, &count);
	shmp_segment_unmap(&map);
	return r < 0 ? r : count;
}

static void ignore(void *context, const char *name, uint64_t value)
{
	(void)context;
	(void)name;
	(void)value;
}

/* Every call there is; none may leave the mapping, loop or say what it has no word for. */
static void call_everything(void)
{
	uint64_t words[ROOM], number;
	const char *why;
	int r = shmp_record_read(&record, words, &number);

	ck_assert(r == SHMP_DONE || r == -EBADMSG);
	r = look();
	ck_assert(r == 2 || r == -EBADMSG);
	shmp_record_kind.figures(&segment.map, ignore, NULL);
	shmp_record_kind.validate(&segment.map, &why);
	shmp_record_kind.waits(&segment.map, 1);
	r = shmp_lock_try_write(&locker);
	if (r == SHMP_DONE || r == SHMP_OWNER_DIED) {
		shmp_record_begin(&record);
		shmp_record_keep(&record);
		shmp_record_commit(&record);
		shmp_lock_unlock(&locker);
	}
	ck_assert_int_eq(shmp_record_kind.repair(&segment.map, 0, true), 0);
	shmp_record_kind.attach(&segment.map, 0);
	shmp_lock_attach(&record.control->lock, &segment.map, 0, &locker);
}

TEST(random_bytes_and_ones_everywhere_lead_nowhere)
{
	uint64_t seed = 88172645463325252u;

	for (int round = 0; round < 40; round++) {
		uint64_t *ctl, *data;

		open_record();
		ctl = (uint64_t *)(void *)segment.map.head;
		data = (uint64_t *)(void *)segment.map.data;
		for (uint64_t i = 0; i < segment.map.plan.ctl_bytes / 8; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			ctl[i] = round == 0 ? UINT64_MAX : seed;
		}
		for (uint64_t i = 0; round % 2 == 0 && i < segment.map.plan.data_bytes / 8; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			data[i] = round == 0 ? UINT64_MAX : seed;
		}
		call_everything();
		shmt_segment_free(&segment);
	}
}

/* The control words, the schema and the versions; the rest of the pages nobody reads. */
TEST(any_single_word_replaced_leads_nowhere, .timeout_s = 60)
{
	static const uint64_t values[] = { UINT64_MAX, 1, 0 };

	open_record();
	commit(5);
	for (uint64_t i = 0; i < 512 + 64; i++) {
		uint64_t *word = i < 512 ? (uint64_t *)(void *)segment.map.data + i :
					   (uint64_t *)segment.map.control + (i - 512);
		uint8_t ctl[SHMP_PAGE], data[SHMP_PAGE];

		memcpy(ctl, segment.map.head, sizeof(ctl));
		memcpy(data, segment.map.data, sizeof(data));
		for (int k = 0; k < 3; k++) {
			*word = values[k];
			call_everything();
			memcpy(segment.map.head, ctl, sizeof(ctl));
			memcpy(segment.map.data, data, sizeof(data));
		}
	}
	shmt_segment_free(&segment);
}

TEST(sizes_that_contradict_the_schema_are_refused)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, 2);
	uint64_t option[SHMP_OPTIONS_MAX] = { schema->record_bytes, shmp_schema_bytes(2),
					      schema->layout_hash, 0, 3 };
	struct shmp_plan plan;
	const char *why;

	ck_assert_int_eq(shmp_record_kind.plan(option, &plan, &why), 0);
	ck_assert_int_eq(shmp_record_kind.check_init(&plan, schema, shmp_schema_bytes(2), &why), 0);
	ck_assert_int_lt(shmp_record_kind.check_init(&plan, schema, shmp_schema_bytes(1), &why), 0);
	ck_assert_int_lt(shmp_record_kind.check_init(&plan, NULL, 0, &why), 0);
	for (int i = 0; i < 4; i++) {
		if (i == SHMP_RECORD_SCHEMA_BYTES)
			continue;
		plan.option[i] += 8;
		ck_assert_int_lt(
			shmp_record_kind.check_init(&plan, schema, shmp_schema_bytes(2), &why), 0);
		plan.option[i] -= 8;
	}
	option[SHMP_RECORD_BYTES] = 9;
	ck_assert_int_eq(shmp_record_kind.plan(option, &plan, &why), SHMP_RECORD_BYTES + 1);
	option[SHMP_RECORD_BYTES] = 8;
	option[SHMP_RECORD_SCHEMA_BYTES] = 150;
	ck_assert_int_eq(shmp_record_kind.plan(option, &plan, &why), SHMP_RECORD_SCHEMA_BYTES + 1);
	free(schema);
}

SHMT_MAIN
