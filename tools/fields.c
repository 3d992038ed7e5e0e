#include "tools/fields.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base64.h"
#include "protocol/schema.h"
#include "protocol/varlink.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

#define FILE_BYTES_MAX (1u << 20)

/* One field as it was given; @path is for finding its struct, and for complaints. */
struct given {
	const char *path;
	uint32_t type;
	uint32_t count;
	uint32_t bytes;
};

bool fields_are_given(const struct options *options)
{
	return options->field_count > 0 || options->fields_file;
}

static int refuse(const char *path, const char *why)
{
	return report(EXIT_USAGE, "Usage", "field \"%s\": %s", path, why);
}

/* Building: the list of a schema, parents first. */

/* "pose.x" of a field in the list. */
static char *path_of(const struct shmp_schema *schema, uint32_t index)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(schema);
	char *path = must_print("%s", (const char *)fields[index].name);

	while (fields[index].parent != 0) {
		char *longer;

		index = fields[index].parent - 1;
		longer = must_print("%s.%s", (const char *)fields[index].name, path);
		free(path);
		path = longer;
	}
	return path;
}

/* The index + 1 of the field of that name; 0 = there is none. */
static uint32_t find(const struct shmp_schema *schema, uint32_t parent, const char *name,
		     size_t length)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(schema);

	for (uint32_t i = 0; i < schema->field_count; i++) {
		const char *has = (const char *)fields[i].name;

		if (fields[i].parent == parent && strlen(has) == length &&
		    memcmp(has, name, length) == 0)
			return i + 1;
	}
	return 0;
}

static int append(struct shmp_schema *schema, const struct given *given, uint32_t parent,
		  const char *name, size_t length, uint32_t type)
{
	struct shmp_schema_field *field = &shmp_schema_fields(schema)[schema->field_count];

	if (schema->field_count == SHMP_SCHEMA_FIELDS_MAX)
		return refuse(given->path, "it is one too many: a record has 1 to 500");
	if (length == 0 || length >= SHMP_SCHEMA_NAME_BYTES)
		return refuse(given->path, "a name is 1 to 47 letters, digits and _");
	*field = (struct shmp_schema_field){ .type = type, .parent = parent };
	memcpy(field->name, name, length);
	schema->field_count++;
	return 0;
}

/* The struct named by @name of the path; made where there is none yet. "wheels[]" is "wheels". */
static int enter_struct(struct shmp_schema *schema, const struct given *given, const char *name,
			size_t length, uint32_t *parent)
{
	bool is_array = length > 2 && memcmp(name + length - 2, "[]", 2) == 0;
	uint32_t index;
	int code;

	length -= is_array ? 2 : 0;
	index = find(schema, *parent, name, length);
	if (index == 0 && is_array)
		return refuse(given->path, "say before it how many structs there are: "
					   "wheels:struct[4]");
	if (index == 0) {
		code = append(schema, given, *parent, name, length, SHMP_TYPE_STRUCT);
		if (code)
			return code;
		index = schema->field_count;
	}
	*parent = index;
	return 0;
}

static int add(struct shmp_schema *schema, const struct given *given)
{
	const char *name = given->path;
	uint32_t parent = 0;
	struct shmp_schema_field *field;
	const char *dot;
	int code = 0;

	for (; code == 0 && (dot = strchr(name, '.')) != NULL; name = dot + 1)
		code = enter_struct(schema, given, name, (size_t)(dot - name), &parent);
	if (code == 0)
		code = append(schema, given, parent, name, strlen(name), given->type);
	if (code)
		return code;
	field = &shmp_schema_fields(schema)[schema->field_count - 1];
	field->count = given->count;
	field->bytes = given->bytes;
	return 0;
}

/* What both forms say in the same words. */
static int find_type(const char *path, const char *text, size_t length, uint32_t *ret_type)
{
	char *all, *more;
	int code;

	for (uint32_t type = 0; type < SHMP_TYPE_COUNT; type++) {
		const char *name = shmp_type_name(type);

		*ret_type = type;
		if (strlen(name) == length && memcmp(name, text, length) == 0)
			return 0;
	}
	all = must_print("there is no type \"%.*s\"; types:", (int)length, text);
	for (uint32_t type = 0; type < SHMP_TYPE_COUNT; type++) {
		more = must_print("%s %s", all, shmp_type_name(type));
		free(all);
		all = more;
	}
	code = refuse(path, all);
	free(all);
	return code;
}

/* Words */

/* A number up to @end, which is skipped: false = none, or too large for any field. */
static bool read_number(const char **text, char end, uint32_t *ret_number)
{
	const char *stop = end != '\0' ? strchr(*text, end) : *text + strlen(*text);
	uint64_t number;
	char *digits;
	bool is_good;

	if (!stop || stop == *text)
		return false;
	digits = must_print("%.*s", (int)(stop - *text), *text);
	is_good = units_parse(digits, &number) == 0 && number <= SHMP_SCHEMA_RECORD_MAX;
	free(digits);
	*text = end != '\0' ? stop + 1 : stop;
	*ret_number = is_good ? (uint32_t)number : 0;
	return is_good;
}

/* What stands behind the type: ":32" or "(32)", then "[16]". */
static bool read_sizes(const char *text, struct given *given)
{
	size_t digits = *text == ':' ? strcspn(text + 1, "[") : 0;
	bool is_good = true;
	char *number;
	const char *at;

	if (*text == ':') {
		number = must_print("%.*s", (int)digits, text + 1);
		at = number;
		is_good = read_number(&at, '\0', &given->bytes);
		free(number);
		text += 1 + digits;
	} else if (*text == '(') {
		text++;
		is_good = read_number(&text, ')', &given->bytes);
	}
	if (is_good && *text == '[') {
		text++;
		is_good = read_number(&text, ']', &given->count) && given->count > 0;
	}
	return is_good && *text == '\0';
}

static int add_word(struct shmp_schema *schema, const char *word)
{
	const char *colon = strchr(word, ':');
	size_t length = colon ? strcspn(colon + 1, ":([") : 0;
	struct given given = { .count = 0 };
	char *path;
	int code;

	if (!colon)
		return refuse(word, "it is not NAME:TYPE, NAME:TYPE[COUNT] or NAME:string:BYTES");
	path = must_print("%.*s", (int)(colon - word), word);
	given.path = path;
	code = find_type(path, colon + 1, length, &given.type);
	if (code == 0 && !read_sizes(colon + 1 + length, &given))
		code = refuse(path, "behind its type stands neither [COUNT] nor :BYTES");
	if (code == 0)
		code = add(schema, &given);
	free(path);
	return code;
}

/* JSON */

/* Up to a limit that no list of 500 fields comes near; NULL when it was reported. */
static char *read_file(const char *name)
{
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(name, "re");
	char *text = must(malloc(FILE_BYTES_MAX + 1));
	size_t bytes = file ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
	bool is_good = file && !ferror(file) && bytes <= FILE_BYTES_MAX;

	if (!is_good)
		report(EXIT_USAGE, "Usage", "--fields %s: %s", name,
		       bytes > FILE_BYTES_MAX ? "larger than 1 MiB" : strerror(errno));
	if (file && !is_stdin)
		fclose(file);
	if (is_good) {
		text[bytes] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

static int check_keys(const cJSON *object, const char *path)
{
	static const char *const known[] = { "name", "type", "count", "bytes", "offset", "fields" };
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(*known) && strcmp(item->string, known[i]) != 0)
			i++;
		if (i == sizeof(known) / sizeof(*known))
			return report(EXIT_USAGE, "Usage",
				      "field \"%s\": \"%s\" says nothing about a field", path,
				      item->string);
	}
	return 0;
}

static int read_size(const cJSON *object, const char *path, const char *key, uint32_t *ret_size)
{
	uint64_t size = 0;
	int r = shmp_json_u64(object, key, SHMP_SCHEMA_RECORD_MAX, &size);

	*ret_size = (uint32_t)size;
	if (r == 0 || !cJSON_GetObjectItemCaseSensitive(object, key))
		return 0;
	return report(EXIT_USAGE, "Usage", "field \"%s\": its %s is no number up to 2^26", path,
		      key);
}

static int add_objects(struct shmp_schema *schema, const cJSON *fields, const char *parent);

static int add_object(struct shmp_schema *schema, const cJSON *object, const char *parent)
{
	const char *type = show_string(object, "type");
	const cJSON *inside = cJSON_GetObjectItemCaseSensitive(object, "fields");
	char *path = must_print("%s%s%s", parent, *parent ? "." : "", show_string(object, "name"));
	struct given given = { .path = path };
	int code = check_keys(object, path);

	if (inside && !*type)
		type = "struct";
	if (code == 0)
		code = find_type(path, type, strlen(type), &given.type);
	if (code == 0)
		code = read_size(object, path, "count", &given.count);
	/* that of a struct follows from its fields */
	if (code == 0 && given.type != SHMP_TYPE_STRUCT)
		code = read_size(object, path, "bytes", &given.bytes);
	if (code == 0)
		code = add(schema, &given);
	if (code == 0 && inside && given.type != SHMP_TYPE_STRUCT)
		code = refuse(path, "only a struct has fields");
	if (code == 0 && inside)
		code = add_objects(schema, inside, path);
	free(path);
	return code;
}

static int add_objects(struct shmp_schema *schema, const cJSON *fields, const char *parent)
{
	const cJSON *object;
	int code = 0;

	if (!cJSON_IsArray(fields))
		return report(EXIT_USAGE, "Usage",
			      "--fields: neither an array of fields nor an object with one in "
			      "\"fields\"");
	cJSON_ArrayForEach(object, fields)
	{
		if (code == 0)
			code = add_object(schema, object, parent);
	}
	return code;
}

/* The version that describe printed with them, unless another was chosen. */
static void take_version(const cJSON *document, cJSON *kind_options)
{
	const cJSON *options = cJSON_GetObjectItemCaseSensitive(document, "options");
	uint64_t version;

	if (cJSON_GetObjectItemCaseSensitive(kind_options, "schema_version"))
		return;
	if (shmp_json_u64(document, "schema_version", UINT64_MAX, &version) == 0 ||
	    shmp_json_u64(options, "schema_version", UINT64_MAX, &version) == 0)
		shmp_json_add_u64(kind_options, "schema_version", version);
}

static int add_file(struct shmp_schema *schema, const char *name, cJSON *kind_options)
{
	char *text = read_file(name);
	cJSON *document;
	int code;

	if (!text)
		return EXIT_USAGE;
	document = cJSON_Parse(text);
	free(text);
	if (!document)
		return report(EXIT_USAGE, "Usage", "--fields %s: no JSON", name);
	if (cJSON_IsObject(document)) {
		take_version(document, kind_options);
		code = add_objects(schema, cJSON_GetObjectItemCaseSensitive(document, "fields"),
				   "");
	} else {
		code = add_objects(schema, document, "");
	}
	cJSON_Delete(document);
	return code;
}

/* What follows from the fields cannot be chosen beside them. */
static int check_options(const cJSON *kind_options)
{
	static const char *const derived[] = { "record_bytes", "schema_bytes", "layout_hash" };

	for (size_t i = 0; i < sizeof(derived) / sizeof(*derived); i++)
		if (cJSON_GetObjectItemCaseSensitive(kind_options, derived[i]))
			return report(EXIT_USAGE, "Usage", "%s follows from the fields",
				      derived[i]);
	return 0;
}

/* What was chosen stands there as plain digits already. */
static uint64_t version_of(const cJSON *kind_options)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(kind_options, "schema_version");
	uint64_t version = 0;

	if (item && item->valuestring)
		units_parse(item->valuestring, &version);
	return version;
}

static int seal(struct shmp_schema *schema, const cJSON *kind_options)
{
	const char *why;
	uint32_t wrong;
	char *path;
	int code;

	schema->version = version_of(kind_options);
	if (shmp_schema_seal(schema, &why, &wrong) == 0)
		return 0;
	if (wrong >= schema->field_count)
		return report(EXIT_USAGE, "Usage", "fields: %s", why);
	path = path_of(schema, wrong);
	code = refuse(path, why);
	free(path);
	return code;
}

static void put(const struct shmp_schema *schema, cJSON *parameters, cJSON *kind_options)
{
	size_t bytes = shmp_schema_bytes(schema->field_count);
	char *text = must(malloc(SHMP_BASE64_BYTES(bytes)));

	shmp_base64_encode(schema, bytes, text);
	must(cJSON_AddStringToObject(parameters, "init", text));
	free(text);
	shmp_json_add_u64(kind_options, "record_bytes", schema->record_bytes);
	shmp_json_add_u64(kind_options, "schema_bytes", bytes);
	shmp_json_add_u64(kind_options, "layout_hash", schema->layout_hash);
}

int fields_add(const struct options *options, cJSON *parameters, cJSON *kind_options)
{
	struct shmp_schema *schema = must(calloc(1, SHMP_SCHEMA_BYTES_MAX));
	int code = check_options(kind_options);

	if (code == 0 && options->fields_file)
		code = add_file(schema, options->fields_file, kind_options);
	for (size_t i = 0; code == 0 && i < options->field_count; i++)
		code = add_word(schema, options->fields[i]);
	if (code == 0)
		code = seal(schema, kind_options);
	if (code == 0)
		put(schema, parameters, kind_options);
	free(schema);
	return code;
}

int fields_add_list(const cJSON *fields, cJSON *parameters, cJSON *kind_options)
{
	struct shmp_schema *schema = must(calloc(1, SHMP_SCHEMA_BYTES_MAX));
	int code = add_objects(schema, fields, "");

	if (code == 0)
		code = seal(schema, kind_options);
	if (code == 0)
		put(schema, parameters, kind_options);
	free(schema);
	return code;
}
