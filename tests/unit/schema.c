/* Schemas: the layout that follows from a list, paths into it, and images that nobody should believe. */
#include "protocol/schema.h"

#include <errno.h>
#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/schema.h"

static const struct shmt_field fields[] = {
	{ "flag", SHMP_TYPE_BOOL, 0, 0, 0 },	  { "number", SHMP_TYPE_I32, 0, 0, 0 },
	{ "text", SHMP_TYPE_STRING, 0, 5, 0 },	  { "wide", SHMP_TYPE_DOUBLE, 0, 0, 0 },
	{ "samples", SHMP_TYPE_I16, 4, 0, 0 },	  { "wheel", SHMP_TYPE_STRUCT, 3, 0, 0 },
	{ "pressure", SHMP_TYPE_FLOAT, 0, 0, 6 }, { "marks", SHMP_TYPE_U8, 2, 0, 6 },
	{ "id", SHMP_TYPE_UUID, 0, 0, 0 },
};
enum {
	FIELDS = sizeof(fields) / sizeof(fields[0])
};

TEST(fields_lie_in_order_each_on_its_own_alignment)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);
	static const uint64_t offsets[FIELDS] = { 0, 4, 8, 16, 24, 40, 0, 8, 112 };
	const struct shmp_schema_field *at = shmp_schema_fields(schema);

	for (int i = 0; i < FIELDS; i++)
		ck_assert_msg(at[i].offset == offsets[i], "%s at %lu", fields[i].name,
			      at[i].offset);
	ck_assert_uint_eq(at[5].bytes, 24);
	ck_assert_uint_eq(schema->record_bytes, 128);
	free(schema);
}

TEST(paths_lead_to_values_elements_and_arrays)
{
	static const struct {
		const char *path;
		uint64_t offset, length_at;
		uint32_t count, bytes;
	} rows[] = {
		{ "flag", 0, UINT64_MAX, 0, 1 },
		{ "text", 8, UINT64_MAX, 0, 5 },
		{ "samples", 32, 24, 4, 2 },
		{ "samples[3]", 38, 24, 0, 2 },
		{ "wheel", 40, UINT64_MAX, 3, 24 },
		{ "wheel[2]", 88, UINT64_MAX, 0, 24 },
		{ "wheel[2].pressure", 88, UINT64_MAX, 0, 4 },
		{ "wheel[1].marks", 80, 72, 2, 1 },
		{ "wheel[1].marks[1]", 81, 72, 0, 1 },
		{ "id", 112, UINT64_MAX, 0, 16 },
	};
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shmp_place place;

		ck_assert_int_eq(shmp_schema_find(schema, rows[i].path, &place), 0);
		ck_assert_uint_eq(place.offset, rows[i].offset);
		ck_assert_uint_eq(place.length_at, rows[i].length_at);
		ck_assert_uint_eq(place.count, rows[i].count);
		ck_assert_uint_eq(place.bytes, rows[i].bytes);
	}
	free(schema);
}

TEST(what_is_no_path_is_refused)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {
		{ "", -EINVAL },
		{ "nothing", -ENOENT },
		{ "fla", -ENOENT },
		{ "flag.x", -EINVAL },
		{ "flag[0]", -EINVAL },
		{ "samples[4]", -ERANGE },
		{ "samples[", -EINVAL },
		{ "samples[1", -EINVAL },
		{ "samples[]", -EINVAL },
		{ "samples[1]]", -EINVAL },
		{ "wheel.pressure", -EINVAL },
		{ "wheel[3].pressure", -ERANGE },
		{ "wheel[0].", -EINVAL },
		{ "wheel[0].x", -ENOENT },
		{ "pressure", -ENOENT },
		{ "samples[99999999999999999999]", -ERANGE },
		{ " flag", -EINVAL },
	};
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shmp_place place;

		ck_assert_msg(shmp_schema_find(schema, rows[i].path, &place) == rows[i].error, "%s",
			      rows[i].path);
	}
	free(schema);
}

static int note(void *context, const char *path, const struct shmp_place *place)
{
	char *all = context;

	ck_assert_uint_ne(place->type, SHMP_TYPE_STRUCT);
	strcat(all, path);
	strcat(all, " ");
	return strlen(all) > 900;
}

TEST(a_walk_meets_every_value_once)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);
	char all[1024] = "";

	ck_assert_int_eq(shmp_schema_each(schema, note, all), 0);
	ck_assert_str_eq(all, "flag number text wide samples wheel[0].pressure wheel[0].marks "
			      "wheel[1].pressure wheel[1].marks wheel[2].pressure wheel[2].marks "
			      "id ");
	free(schema);
}

TEST(the_deepest_longest_paths_have_room)
{
	struct shmt_field deep[9];
	struct shmp_schema *schema;
	char name[SHMP_SCHEMA_NAME_BYTES], all[2048] = "";
	const char *why;
	uint32_t field;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (uint32_t i = 0; i < 9; i++)
		deep[i] = (struct shmt_field){ name, SHMP_TYPE_STRUCT, 1, 0, i };
	deep[7].type = SHMP_TYPE_BOOL;
	deep[7].count = 0;
	schema = shmt_schema_sealed(deep, 8);
	ck_assert_int_eq(shmp_schema_each(schema, note, all), 0);
	ck_assert_uint_eq(strlen(all), 8 * 47 + 7 * 4 + 1);
	free(schema);
	deep[7].type = SHMP_TYPE_STRUCT;
	deep[8].type = SHMP_TYPE_BOOL;
	deep[8].count = 0;
	schema = shmt_schema_of(deep, 9);
	ck_assert_int_eq(shmp_schema_seal(schema, &why, &field), -EINVAL);
	ck_assert_uint_eq(field, 8);
	free(schema);
}

TEST(the_hash_tells_every_difference_of_layout)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);
	uint64_t hash = schema->layout_hash;

	for (uint32_t i = 0; i < FIELDS; i++) {
		struct shmt_field other[FIELDS];
		struct shmp_schema *changed;

		memcpy(other, fields, sizeof(fields));
		other[i].name = "other";
		changed = shmt_schema_sealed(other, FIELDS);
		ck_assert_uint_ne(changed->layout_hash, hash);
		free(changed);
		memcpy(other, fields, sizeof(fields));
		other[i].count += 2;
		changed = shmt_schema_sealed(other, FIELDS);
		ck_assert_uint_ne(changed->layout_hash, hash);
		free(changed);
	}
	free(schema);
}

TEST(only_an_image_as_it_was_sealed_is_taken)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS), *taken = NULL;
	size_t bytes = shmp_schema_bytes(FIELDS);
	uint64_t *word = (uint64_t *)(void *)schema;
	const char *why;

	ck_assert_int_eq(shmp_schema_take(schema, bytes, &taken, &why), 0);
	ck_assert_mem_eq(schema, taken, bytes);
	free(taken);
	ck_assert_int_eq(shmp_schema_take(schema, bytes - 1, &taken, &why), -EBADMSG);
	ck_assert_int_eq(shmp_schema_take(schema, 0, &taken, &why), -EBADMSG);
	for (size_t i = 0; i < bytes / 8; i++) {
		static const uint64_t values[] = { 0, UINT64_MAX, 1, UINT64_C(1) << 32 };

		/* the application's version, and what is reserved, mean nothing to the layout */
		if (i >= 4 && i < 8)
			continue;
		for (int k = 0; k < 4; k++) {
			uint64_t was = word[i];

			word[i] = values[k];
			if (was != values[k] && (i < 8 || (i - 8) % 10 != 9))
				ck_assert_msg(shmp_schema_take(schema, bytes, &taken, &why) ==
						      -EBADMSG,
					      "word %zu", i);
			word[i] = was;
		}
	}
	free(schema);
}

TEST(texts_of_arrays_are_cut_within_their_room)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, FIELDS);
	uint8_t record[128] = { 0 };
	struct shmp_place place;
	uint64_t length = 4;
	char text[128];

	ck_assert_int_eq(shmp_schema_find(schema, "samples", &place), 0);
	memcpy(record + 24, &length, sizeof(length));
	memcpy(record + 32, (int16_t[]){ -30000, 1, -2, 30000 }, 8);
	for (size_t room = 0; room < 64; room++) {
		memset(text, '#', sizeof(text));
		shmp_schema_text(&place, record, text, room);
		for (size_t i = room; i < sizeof(text); i++)
			ck_assert_int_eq(text[i], '#');
	}
	ck_assert_str_eq((shmp_schema_text(&place, record, text, 64), text),
			 "[-30000, 1, -2, 30000]");
	length = 5;
	memcpy(record + 24, &length, sizeof(length));
	shmp_schema_text(&place, record, text, 64);
	ck_assert_str_eq(text, "?");
	free(schema);
}

SHMT_MAIN
