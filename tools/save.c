/*
 * Command save: all that is in a segment, as a file. What is meant by that for something that others
 * go on using is said by each row of save_kind.c, and in docs/save.md.
 */
#include "tools/save.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/varlink.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/text.h"
#include "tools/units.h"

static void add_option(void *context, const char *name, uint64_t value)
{
	shmp_json_add_u64(context, name, value);
}

static void add_time(cJSON *description)
{
	time_t now = time(NULL);
	struct tm parts;
	char text[32] = "";

	if (gmtime_r(&now, &parts))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	must(cJSON_AddStringToObject(description, "saved", text));
}

static void describe(struct saving *saving)
{
	struct shmc_observer_info info = { .mode = 0 };
	cJSON *description = must(cJSON_CreateObject());
	cJSON *options;

	shmc_observer_info(saving->observer, &info);
	must(cJSON_AddStringToObject(description, "name", saving->name));
	must(cJSON_AddStringToObject(description, "kind", shmc_observer_kind(saving->observer)));
	shmp_json_add_u64(description, "kind_version", info.kind_version);
	add_time(description);
	if (info.mode != 0) {
		shmp_json_add_u64(description, "mode", info.mode);
		shmp_json_add_u64(description, "owner", info.owner);
		shmp_json_add_u64(description, "group", info.group);
	}
	must(cJSON_AddBoolToObject(description, "huge_pages",
				   (info.flags & SHMC_CREATE_HUGE_PAGES) != 0));
	must(cJSON_AddBoolToObject(description, "prefault",
				   (info.flags & SHMC_CREATE_PREFAULT) != 0));
	must(cJSON_AddBoolToObject(description, "mlock", (info.flags & SHMC_CREATE_MLOCK) != 0));
	options = must(cJSON_AddObjectToObject(description, "options"));
	shmc_observer_options(saving->observer, add_option, options);
	saving->description = description;
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void pick_option(void *context, const char *name, uint64_t value)
{
	struct wanted *wanted = context;

	if (strcmp(name, wanted->name) == 0)
		wanted->value = value;
}

uint64_t save_option(const struct saving *saving, const char *name)
{
	struct wanted wanted = { .name = name };

	shmc_observer_options(saving->observer, pick_option, &wanted);
	return wanted.value;
}

int save_begin(struct saving *saving)
{
	char *text = must(cJSON_PrintUnformatted(saving->description));
	int code = archive_put(saving->writer, ARCHIVE_SEGMENT, 0, 0, text, strlen(text));

	cJSON_free(text);
	return code;
}

int save_refuse(const struct saving *saving, enum shmc_result result, const char *while_doing)
{
	return report(result == SHMC_TIMEOUT ? EXIT_TIMEOUT : EXIT_REFUSED,
		      shmc_result_name(result), "'%s': %s: %s; nothing was saved", saving->name,
		      while_doing, shmc_result_text(result));
}

static int save_observed(struct saving *saving)
{
	const struct save_kind *kind = save_kind_find(shmc_observer_kind(saving->observer));
	int code;

	if (!kind)
		return report(EXIT_REFUSED, "UNSUPPORTED",
			      "'%s' is of kind %s, which this program cannot save", saving->name,
			      shmc_observer_kind(saving->observer));
	describe(saving);
	code = kind->save(saving);
	cJSON_Delete(saving->description);
	saving->description = NULL;
	return code ? code : stop_code();
}

int save_segment(struct saving *saving, const char *name, bool is_part)
{
	struct saving part = *saving;
	struct shmc_error error;
	int code;

	part.name = name;
	part.is_part = is_part;
	part.count = 0;
	if (shmc_observer_open(part.client, name, &part.observer, &error) != SHMC_OK) {
		/* unlinked since the table was read */
		if (is_part && error.result == SHMC_NOT_FOUND)
			return 0;
		return queue_report_error(&error);
	}
	code = save_observed(&part);
	shmc_observer_close(part.observer);
	saving->bytes = part.bytes;
	if (!is_part)
		saving->count = part.count;
	return code;
}

static int tell(const struct options *options, const struct saving *saving, const char *kind)
{
	const char *counts = save_kind_find(kind)->counts;
	char size[UNITS_BYTES], held[UNITS_BYTES];
	cJSON *object;

	if (!options->json) {
		printf("saved %s (%s, ", saving->name, kind);
		if (counts)
			printf("%" PRIu64 " %s, ", saving->count, counts);
		printf("%s) in %s, %s\n", units_bytes(saving->bytes, held), options->arguments[1],
		       units_bytes(saving->writer->bytes, size));
		return report_flush();
	}
	object = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(object, "name", saving->name));
	must(cJSON_AddStringToObject(object, "kind", kind));
	if (counts)
		shmp_json_add_u64(object, counts, saving->count);
	shmp_json_add_u64(object, "bytes", saving->bytes);
	must(cJSON_AddStringToObject(object, "file", text_utf8(options->arguments[1])));
	shmp_json_add_u64(object, "file_bytes", saving->writer->bytes);
	return report_json_take(object);
}

/* The kind's name, before anything is written. */
static int learn_kind(struct saving *saving, char *ret_kind, size_t bytes)
{
	struct shmc_observer *observer;
	struct shmc_error error;

	if (shmc_observer_open(saving->client, saving->options->arguments[0], &observer, &error) !=
	    SHMC_OK)
		return queue_report_error(&error);
	snprintf(ret_kind, bytes, "%s", shmc_observer_kind(observer));
	shmc_observer_close(observer);
	return 0;
}

int run_save(const struct options *options)
{
	char room[CONTROL_PATH_BYTES], kind[32];
	struct shmc_client_options how = { .address = control_client_path(options, room),
					   .name = "shmbrokerctl" };
	struct archive_writer writer = ARCHIVE_WRITER_NULL;
	struct saving saving = { .options = options,
				 .writer = &writer,
				 .name = options->arguments[0] };
	struct shmc_error error;
	int code;

	stop_catch();
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk */
	if (shmc_connect(&how, &saving.client, &error) != SHMC_OK)
		return queue_report_error(&error);
	code = learn_kind(&saving, kind, sizeof(kind));
	if (code == 0)
		code = archive_create(options->arguments[1], &writer);
	if (code == 0)
		code = save_segment(&saving, saving.name, false);
	if (code == 0)
		code = archive_finish(&writer);
	if (code == 0)
		code = tell(options, &saving, kind);
	archive_close_writer(&writer);
	shmc_disconnect(saving.client);
	return code;
}
