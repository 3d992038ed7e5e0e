#include "tools/report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

#define INT64_BEYOND 9223372036854775808.0 /* 2^63 */

static bool is_json;

void report_as_json(bool as_json)
{
	is_json = as_json;
}

static void report_object(int code, const char *error, const char *message)
{
	cJSON *object = must(cJSON_CreateObject());
	char *text;

	must(cJSON_AddStringToObject(object, "error", error));
	must(cJSON_AddStringToObject(object, "message", message));
	must(cJSON_AddNumberToObject(object, "exit", code));
	text = must(cJSON_PrintUnformatted(object));
	fprintf(stderr, "%s\n", text);
	cJSON_free(text);
	cJSON_Delete(object);
}

int report(int code, const char *error, const char *format, ...)
{
	char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	must(message);
	fflush(stdout); /* what was found before the fault comes before it */
	if (is_json)
		report_object(code, error, message);
	else
		fprintf(stderr, "shmbrokerctl: %s\n", text_clean(message));
	free(message);
	return code;
}

/* cJSON prints integers from 10^15 on with an exponent, which many readers take for a float. */
static void make_digits(cJSON *item)
{
	double value = item->valuedouble;

	if (!cJSON_IsNumber(item) || !(value > -INT64_BEYOND && value < INT64_BEYOND))
		return;
	if (value != (double)(int64_t)value)
		return;
	item->valuestring = must_print("%" PRId64, (int64_t)value);
	item->type = (item->type & ~0xff) | cJSON_Raw;
}

/* As deep as cJSON's parser lets a reply be. */
static void make_all_digits(cJSON *item)
{
	for (; item; item = item->next) {
		make_digits(item);
		make_all_digits(item->child);
	}
}

int report_json(cJSON *object)
{
	char *text;

	make_all_digits(object->child);
	text = must(cJSON_PrintUnformatted(object));
	puts(text);
	cJSON_free(text);
	return report_flush();
}

int report_json_take(cJSON *object)
{
	int code = report_json(object);

	cJSON_Delete(object);
	return code;
}

int report_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_DONE;
	if (errno == EPIPE)
		return EXIT_SIGNAL + SIGPIPE; /* `| head` has seen enough: not worth a word */
	return report(EXIT_REFUSED, "Output", "cannot write to stdout: %s", strerror(errno));
}
