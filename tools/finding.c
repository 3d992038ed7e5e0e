#include "tools/finding.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/report.h"
#include "tools/text.h"

static const char *const severities[FINDING_SEVERITIES] = {
	[FINDING_NOTE] = "note",
	[FINDING_WARNING] = "warning",
	[FINDING_ERROR] = "error",
};

static int tell_json(const struct finding *finding, const char *what)
{
	cJSON *object = must(cJSON_CreateObject());

	must(cJSON_AddStringToObject(object, "severity", severities[finding->severity]));
	must(cJSON_AddStringToObject(object, "check", finding->check));
	must(cJSON_AddStringToObject(object, "what", what));
	must(cJSON_AddStringToObject(object, "where", finding->where));
	must(cJSON_AddStringToObject(object, "remedy", finding->remedy));
	return report_json_take(object);
}

static void tell_people(const struct finding *finding, const char *what)
{
	char *where = text_clean(must_print("%s", finding->where));
	char *remedy = text_clean(must_print("%s", finding->remedy));

	printf("%-8s %s: %s\n%9s-> %s\n", severities[finding->severity], where, what, "", remedy);
	free(where);
	free(remedy);
}

void finding_tell(struct findings *findings, const struct finding *finding, const char *format, ...)
{
	char *what = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	va_end(arguments);
	text_clean(must(what));
	findings->count[finding->severity]++;
	if (!findings->as_json)
		tell_people(finding, what);
	else if (findings->code == 0)
		findings->code = tell_json(finding, what);
	free(what);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

int findings_end(struct findings *findings)
{
	uint64_t errors = findings->count[FINDING_ERROR];
	uint64_t warnings = findings->count[FINDING_WARNING];
	uint64_t notes = findings->count[FINDING_NOTE];
	bool is_well = errors + warnings == 0;

	if (!findings->as_json)
		printf("%s: %" PRIu64 " error%s, %" PRIu64 " warning%s, %" PRIu64 " note%s\n",
		       is_well ? "healthy" : "not healthy", errors, plural(errors), warnings,
		       plural(warnings), notes, plural(notes));
	if (findings->code == 0)
		findings->code = report_flush();
	if (findings->code != 0)
		return findings->code;
	return is_well ? EXIT_DONE : EXIT_REFUSED;
}
