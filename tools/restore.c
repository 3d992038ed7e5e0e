/*
 * Command restore: what save has written, made anew. The file is read twice: to its end before
 * anything is made, and then to make it; what has failed by then is unlinked again, by a guardian
 * if this process is killed.
 */
#include "tools/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/kinds.h"
#include "protocol/name.h"
#include "protocol/varlink.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/fields.h"
#include "tools/guardian.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/stop.h"
#include "tools/text.h"

#define GROUPS_MAX 65536
#define NAME_ROOM  1024

struct restore {
	const struct options *options;
	const char *file;
	int fd;
	struct shmc_client *client;
	cJSON *root;	   /* the first description */
	const char *saved; /* its name */
	const char *name;  /* what it is to be */
	bool is_made;
	struct guardian guardian;
	struct restoring now;
	char name_now[NAME_ROOM];
	cJSON *description_now;
	uint64_t objects;
	uint64_t count; /* of the root */
};

int restore_refuse(const struct restoring *restoring, enum shmc_result result, const char *what)
{
	return report(EXIT_REFUSED, shmc_result_name(result), "'%s': %s: %s", restoring->name, what,
		      shmc_result_text(result));
}

static int bad(const struct restore *restore, const char *why)
{
	return report(EXIT_DATA, "BadFile", "'%s': %s; nothing was restored", restore->file, why);
}

/* First reading: what is in it */

static int open_file(struct restore *restore)
{
	struct stat status;

	restore->fd = open(restore->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (restore->fd < 0)
		return report(EXIT_REFUSED, "File", "cannot read '%s': %s", restore->file,
			      strerror(errno));
	if (fstat(restore->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return bad(restore, "it is no file");
	return 0;
}

static bool is_inside(const struct restore *restore, const char *name)
{
	size_t length = strlen(restore->saved);

	return strncmp(name, restore->saved, length) == 0 && name[length] == ':';
}

/* Whether this program can make it. */
static int check_description(const struct restore *restore, const cJSON *description)
{
	const char *name = show_string(description, "name");
	const char *kind_name = show_string(description, "kind");
	const struct shmp_kind *kind = shmp_kind_find(kind_name);
	uint64_t version = 0;

	if (!cJSON_IsObject(description) || shmp_name_check(name))
		return bad(restore, "a description of a segment in it makes no sense");
	if (!kind || !restore_kind_find(kind_name))
		return report(
			EXIT_DATA, "BadFile",
			"'%s': '%s' in it is of kind \"%s\", which this program does not know; "
			"nothing was restored",
			restore->file, name, kind_name);
	shmp_json_u64(description, "kind_version", UINT32_MAX, &version);
	if (version == kind->version)
		return 0;
	return report(EXIT_DATA, "MISMATCH",
		      "'%s': '%s' in it is a %s of layout version %" PRIu64
		      ", this program knows version %" PRIu32 "; nothing was restored",
		      restore->file, name, kind_name, version, kind->version);
}

static int read_description(const struct restore *restore, const struct archive_piece *piece,
			    cJSON **ret_description)
{
	cJSON *description = NULL;
	int code;

	if (shmp_json_parse(piece->data, piece->bytes, &description) < 0)
		return bad(restore, "a description of a segment in it is no JSON");
	code = check_description(restore, description);
	if (code)
		cJSON_Delete(description);
	else
		*ret_description = description;
	return code;
}

/* One that is not the first must be an object in it. */
static int check_part(struct restore *restore, const struct archive_piece *piece)
{
	cJSON *description = NULL;
	int code = read_description(restore, piece, &description);

	if (code)
		return code;
	if (!restore->root) {
		restore->root = description;
		restore->saved = show_string(description, "name");
		return 0;
	}
	if (strcmp(show_string(restore->root, "kind"), "arena") != 0 ||
	    !is_inside(restore, show_string(description, "name")) ||
	    strcmp(show_string(description, "kind"), "arena") == 0)
		code = bad(restore, "an object in it is in no arena");
	restore->objects++;
	cJSON_Delete(description);
	return code;
}

static int check_file(struct restore *restore)
{
	struct archive_reader reader;
	struct archive_piece piece;
	int r = archive_read(restore->fd, &reader);
	int code = 0;

	while (r == 0 && code == 0 && (r = archive_next(&reader, false, &piece)) == 0) {
		if (piece.type == ARCHIVE_SEGMENT)
			code = check_part(restore, &piece);
		if (code == 0)
			code = stop_code();
	}
	if (code == 0 && r < 0)
		code = r == -EBADMSG ?
			       bad(restore, reader.why) :
			       report(EXIT_REFUSED, "File", "'%s': %s", restore->file, reader.why);
	else if (code == 0 && !restore->root)
		code = bad(restore, "there is no segment in it");
	archive_close_reader(&reader);
	return code;
}

/* Making */

static bool is_member(uint64_t group)
{
	static gid_t groups[GROUPS_MAX];
	int count = getgroups(GROUPS_MAX, groups);

	if (geteuid() == 0 || getegid() == group)
		return true;
	for (int i = 0; i < count; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

/* Owner, group and mode as they were, as far as the caller may say. */
static void add_rights(const struct restore *restore, cJSON *parameters)
{
	uint64_t mode = SHMC_MODE_PRIVATE, owner = 0, group = 0;
	bool is_known = shmp_json_u64(restore->root, "mode", 0777, &mode) == 0 &&
			shmp_json_u64(restore->root, "owner", UINT32_MAX, &owner) == 0 &&
			shmp_json_u64(restore->root, "group", UINT32_MAX, &group) == 0;

	if (is_known && geteuid() == 0)
		shmp_json_add_u64(parameters, "owner", owner);
	if (is_known && is_member(group)) {
		shmp_json_add_u64(parameters, "group", group);
	} else if ((mode & 070) != 0) {
		report(0, "Rights",
		       "'%s': you are not in its group, %" PRIu64 ": the group's rights are taken "
		       "away",
		       restore->name, group);
		mode &= ~UINT64_C(070);
	}
	shmp_json_add_u64(parameters, "mode", mode);
}

static void add_choices(cJSON *parameters, const cJSON *description)
{
	static const char *const choices[] = { "huge_pages", "prefault", "mlock" };

	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++) {
		if (show_bool(description, choices[i]))
			must(cJSON_AddTrueToObject(parameters, choices[i]));
	}
}

/* What of a record follows from its fields is made from them. */
static bool is_derived(const struct shmp_kind *kind, const char *option)
{
	return strcmp(kind->name, "record") == 0 &&
	       (strcmp(option, "record_bytes") == 0 || strcmp(option, "schema_bytes") == 0 ||
		strcmp(option, "layout_hash") == 0);
}

static void add_options(cJSON *kind_options, const struct shmp_kind *kind, const cJSON *description)
{
	const cJSON *options = cJSON_GetObjectItemCaseSensitive(description, "options");

	for (size_t i = 0; i < kind->option_count; i++) {
		const char *name = kind->options[i].name;
		uint64_t value;

		if (!is_derived(kind, name) &&
		    shmp_json_u64(options, name, UINT64_MAX, &value) == 0)
			shmp_json_add_u64(kind_options, name, value);
	}
}

/* What the broker made must be what was saved: sizes rounded twice, or a schema read anew. */
static int compare_options(const struct restore *restore, const struct shmp_kind *kind,
			   const cJSON *made)
{
	const cJSON *options = cJSON_GetObjectItemCaseSensitive(restore->description_now,
								"options");

	for (size_t i = 0; i < kind->option_count; i++) {
		const char *name = kind->options[i].name;
		uint64_t was = 0, is = 0;

		shmp_json_u64(options, name, UINT64_MAX, &was);
		shmp_json_u64(made, name, UINT64_MAX, &is);
		if (was != is)
			return report(EXIT_REFUSED, "MISMATCH",
				      "'%s': %s was %" PRIu64 ", and this broker makes it %" PRIu64,
				      restore->name_now, name, was, is);
	}
	return 0;
}

static int make(struct restore *restore)
{
	const cJSON *description = restore->description_now;
	const char *kind_name = show_string(description, "kind");
	const struct shmp_kind *kind = shmp_kind_find(kind_name);
	cJSON *parameters = must(cJSON_CreateObject());
	cJSON *kind_options = must(cJSON_AddObjectToObject(parameters, "options"));
	const cJSON *fields = cJSON_GetObjectItemCaseSensitive(description, "fields");
	struct shmp_varlink_reply reply;
	int code = 0;

	must(cJSON_AddStringToObject(parameters, "name", restore->name_now));
	must(cJSON_AddStringToObject(parameters, "kind", kind_name));
	add_options(kind_options, kind, description);
	add_choices(parameters, description);
	if (!shmp_name_object(restore->name_now))
		add_rights(restore, parameters);
	if (strcmp(restore->name_now, restore->name) == 0)
		shmp_json_add_u64(parameters, "tag", restore->guardian.tag);
	if (fields)
		code = fields_add_list(fields, parameters, kind_options);
	if (code) {
		cJSON_Delete(parameters);
		return EXIT_DATA;
	}
	code = control_ask(restore->options, CONTROL_SOCKET_CLIENT, "org.shmbroker.Create",
			   parameters, &reply);
	if (code)
		return code;
	restore->is_made = true;
	code = compare_options(restore, kind,
			       cJSON_GetObjectItemCaseSensitive(reply.parameters, "options"));
	shmp_varlink_reply_deinit(&reply);
	return code;
}

/* The segment or object that the last description began. */
static int finish_one(struct restore *restore)
{
	struct restoring *now = &restore->now;
	int code = now->kind && now->kind->end ? now->kind->end(now) : 0;

	if (now->kind && now->kind->close)
		now->kind->close(now);
	if (restore->description_now &&
	    strcmp(show_string(restore->description_now, "name"), restore->saved) == 0)
		restore->count = now->count;
	free(now->room);
	*now = (struct restoring){ .kind = NULL };
	cJSON_Delete(restore->description_now);
	restore->description_now = NULL;
	return code;
}

/* The same without putting anything in. */
static void drop_one(struct restore *restore)
{
	struct restoring *now = &restore->now;

	if (now->kind && now->kind->close)
		now->kind->close(now);
	free(now->room);
	cJSON_Delete(restore->description_now);
}

static int begin_one(struct restore *restore, const struct archive_piece *piece)
{
	const char *name;
	int code = finish_one(restore);

	if (code == 0)
		code = read_description(restore, piece, &restore->description_now);
	if (code)
		return code;
	name = show_string(restore->description_now, "name");
	snprintf(restore->name_now, sizeof(restore->name_now), "%s%s", restore->name,
		 is_inside(restore, name) ? name + strlen(restore->saved) : "");
	code = make(restore);
	if (code)
		return code;
	restore->now = (struct restoring){
		.options = restore->options,
		.client = restore->client,
		.kind = restore_kind_find(show_string(restore->description_now, "kind")),
		.name = restore->name_now,
		.description = restore->description_now,
	};
	return restore->now.kind->begin ? restore->now.kind->begin(&restore->now) : 0;
}

static int put(struct restore *restore, const struct archive_piece *piece)
{
	if (piece->type == ARCHIVE_SEGMENT)
		return begin_one(restore, piece);
	if ((restore->now.kind->pieces >> piece->type & 1) == 0)
		return bad(restore, "it has content that a segment of this kind cannot have");
	return restore->now.kind->put(&restore->now, piece);
}

static int make_all(struct restore *restore)
{
	struct archive_reader reader;
	struct archive_piece piece;
	int r = archive_read(restore->fd, &reader);
	int code = 0;

	while (r == 0 && code == 0 && (r = archive_next(&reader, true, &piece)) == 0) {
		code = put(restore, &piece);
		if (code == 0)
			code = stop_code();
	}
	if (code == 0 && r < 0)
		code = bad(restore, reader.why); /* it has changed since it was checked */
	archive_close_reader(&reader);
	return code ? code : finish_one(restore);
}

static int tell(const struct restore *restore)
{
	const struct options *options = restore->options;
	const char *kind = show_string(restore->root, "kind");
	const char *counts = restore_kind_find(kind)->counts;
	uint64_t count = strcmp(kind, "arena") == 0 ? restore->objects : restore->count;
	cJSON *object;

	if (!options->json) {
		printf("restored %s (%s", restore->name, kind);
		if (counts)
			printf(", %" PRIu64 " %s", count, counts);
		printf("), saved %s\n", show_string(restore->root, "saved"));
		return report_flush();
	}
	object = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(object, "name", restore->name));
	must(cJSON_AddStringToObject(object, "kind", kind));
	if (counts)
		shmp_json_add_u64(object, counts, count);
	must(cJSON_AddStringToObject(object, "saved_name", restore->saved));
	must(cJSON_AddStringToObject(object, "saved", show_string(restore->root, "saved")));
	return report_json_take(object);
}

/* Nothing half-made stays. */
static void undo(struct restore *restore)
{
	struct shmc_error error;

	drop_one(restore);
	if (restore->is_made && shmc_unlink(restore->client, restore->name, &error) != SHMC_OK)
		report(0, "Left", "'%s' is there in part: %s", restore->name, error.text);
}

static int check_name(struct restore *restore)
{
	const char *wrong;

	restore->name = restore->options->argument_count > 1 ? restore->options->arguments[1] :
							       restore->saved;
	wrong = shmp_name_check(restore->name);
	if (!wrong && strcmp(show_string(restore->root, "kind"), "arena") == 0 &&
	    shmp_name_object(restore->name))
		wrong = "an arena cannot be in another";
	return wrong ? report(EXIT_USAGE, "Usage", "'%s': %s", restore->name, wrong) : 0;
}

int run_restore(const struct options *options)
{
	char room[CONTROL_PATH_BYTES];
	struct shmc_client_options how = { .address = control_client_path(options, room),
					   .name = "shmbrokerctl" };
	struct restore restore = { .options = options,
				   .file = options->arguments[0],
				   .fd = -1,
				   .guardian = GUARDIAN_NULL };
	struct shmc_error error;
	int code;

	stop_catch();
	code = open_file(&restore);
	if (code == 0)
		code = check_file(&restore);
	if (code == 0)
		code = check_name(&restore);
	if (code == 0)
		code = guardian_start(options, restore.name, show_string(restore.root, "kind"),
				      &restore.guardian);
	if (code == 0 && shmc_connect(&how, &restore.client, &error) != SHMC_OK)
		code = queue_report_error(&error);
	if (code == 0) {
		code = make_all(&restore);
		if (code)
			undo(&restore);
	}
	guardian_dismiss(&restore.guardian);
	if (code == 0)
		code = tell(&restore);
	if (restore.client)
		shmc_disconnect(restore.client);
	cJSON_Delete(restore.root);
	if (restore.fd >= 0)
		close(restore.fd);
	return code;
}
