/* report: see report.h. */
#include "bench/report.h"

#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

bool bench_result_passes(const struct bench_result *result)
{
	if (isnan(result->bar))
		return true;
	if (result->judged == BENCH_VALUE)
		return result->p50 <= result->bar;
	if (result->judged == BENCH_VALUE_OVER)
		return result->p50 >= result->bar;
	if (result->judged == BENCH_VALUE_P99)
		return result->p50 <= result->bar && result->p99 <= result->bar;
	return result->ratio <= result->bar;
}

void bench_report_take(struct bench_result *result, const struct bench_contest *contest,
		       unsigned ours, unsigned against)
{
	result->p50 = bench_contest_at(contest, ours, 0.5);
	result->p99 = bench_contest_at(contest, ours, 0.99);
	result->p999 = bench_contest_at(contest, ours, 0.999);
	result->limit_p50 = bench_contest_at(contest, against, 0.5);
	result->ratio = bench_contest_ratio(contest, ours, against);
	result->against = contest->contender[against]->name;
	result->rounds = contest->rounds;
	result->disturbed = contest->disturbed;
}

/* ---- the machine ----------------------------------------------------------------------------- */

struct machine {
	char cpu[96];
	char kernel[128];
	long cores;
	char date[32];
};

static void read_cpu(char *name, size_t size)
{
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "re");

	snprintf(name, size, "unknown");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(name, size, "%s", value + 2);
		break;
	}
	if (file != NULL)
		fclose(file);
	/* the texts below are quoted as they are */
	for (char *c = name; *c != '\0'; c++)
		if (*c == '"' || *c == '\\' || *c < ' ')
			*c = '_';
}

static struct machine look_at_machine(void)
{
	struct machine machine = { .cores = sysconf(_SC_NPROCESSORS_ONLN) };
	struct utsname name;
	time_t now = time(NULL);
	struct tm tm;

	read_cpu(machine.cpu, sizeof(machine.cpu));
	uname(&name);
	snprintf(machine.kernel, sizeof(machine.kernel), "%.60s %.60s", name.sysname, name.release);
	strftime(machine.date, sizeof(machine.date), "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &tm));
	return machine;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_number(FILE *file, const char *name, double value)
{
	if (isnan(value))
		fprintf(file, ", \"%s\": null", name);
	else
		fprintf(file, ", \"%s\": %.6g", name, value);
}

static void json_text(FILE *file, const char *name, const char *text)
{
	if (text == NULL)
		fprintf(file, ", \"%s\": null", name);
	else
		fprintf(file, ", \"%s\": \"%s\"", name, text);
}

static void json_params(FILE *file, const struct bench_result *result)
{
	fputs(", \"params\": {", file);
	for (unsigned i = 0; i < BENCH_PARAMS_MAX && result->param[i].name != NULL; i++) {
		const struct bench_param *param = &result->param[i];

		fprintf(file, "%s\"%s\": ", i == 0 ? "" : ", ", param->name);
		if (param->text != NULL)
			fprintf(file, "\"%s\"", param->text);
		else
			fprintf(file, "%llu", (unsigned long long)param->number);
	}
	fputc('}', file);
}

static void json_machine(FILE *file, const char *commit)
{
	struct machine machine = look_at_machine();

	fprintf(file,
		", \"machine\": {\"cpu\": \"%s\", \"cores\": %ld, \"kernel\": \"%s\", "
		"\"date\": \"%s\", \"commit\": \"%s\"}",
		machine.cpu, machine.cores, machine.kernel, machine.date, commit);
}

static void json_line(FILE *file, const struct bench_result *result, const char *commit)
{
	fprintf(file, "{\"bench\": \"%s\"", result->bench);
	json_params(file, result);
	json_text(file, "unit", result->unit);
	json_number(file, "p50", result->p50);
	json_number(file, "p99", result->p99);
	json_number(file, "p999", result->p999);
	json_number(file, "limit_p50", result->limit_p50);
	json_number(file, "ratio", result->ratio);
	json_text(file, "against", result->against);
	json_number(file, "bar", result->bar);
	fprintf(file, ", \"pass\": %s",
		isnan(result->bar)	    ? "null" :
		bench_result_passes(result) ? "true" :
					      "false");
	if (!isnan(result->pingpong_ns))
		json_number(file, "pingpong_ns", result->pingpong_ns);
	if (result->ring_bytes != 0)
		fprintf(file, ", \"ring_bytes\": %llu, \"batch\": %llu",
			(unsigned long long)result->ring_bytes, (unsigned long long)result->batch);
	if (result->rounds != 0)
		fprintf(file, ", \"rounds\": %u, \"disturbed\": %u", result->rounds,
			result->disturbed);
	if (result->note != NULL)
		json_text(file, "note", result->note);
	json_machine(file, commit);
	fputs("}\n", file);
	fflush(file);
}

/* ---- people ---------------------------------------------------------------------------------- */

struct cell {
	char text[64];
};

static struct cell number_cell(double value)
{
	struct cell cell;
	int digits = fabs(value) < 10 ? 2 : fabs(value) < 100 ? 1 : 0;

	if (isnan(value))
		snprintf(cell.text, sizeof(cell.text), "-");
	else
		snprintf(cell.text, sizeof(cell.text), "%.*f", digits, value);
	return cell;
}

static struct cell ratio_cell(double value)
{
	struct cell cell;

	if (isnan(value))
		snprintf(cell.text, sizeof(cell.text), "-");
	else
		snprintf(cell.text, sizeof(cell.text), "%.2f", value);
	return cell;
}

static struct cell bar_cell(const struct bench_result *result)
{
	struct cell cell;

	if (isnan(result->bar))
		snprintf(cell.text, sizeof(cell.text), "-");
	else if (result->judged == BENCH_RATIO)
		snprintf(cell.text, sizeof(cell.text), "%.2f", result->bar);
	else
		snprintf(cell.text, sizeof(cell.text), "%s %.0f %s",
			 result->judged == BENCH_VALUE_OVER ? ">=" : "<=", result->bar,
			 result->unit);
	return cell;
}

static struct cell params_cell(const struct bench_result *result)
{
	struct cell cell = { "" };
	size_t at = 0;

	for (unsigned i = 0; i < BENCH_PARAMS_MAX && result->param[i].name != NULL; i++) {
		const struct bench_param *param = &result->param[i];
		const char *gap = i == 0 ? "" : ", ";
		int n;

		if (param->text != NULL)
			n = snprintf(cell.text + at, sizeof(cell.text) - at, "%s%s %s", gap,
				     param->name, param->text);
		else
			n = snprintf(cell.text + at, sizeof(cell.text) - at, "%s%s %llu", gap,
				     param->name, (unsigned long long)param->number);
		at += n > 0 ? (size_t)n : 0;
		if (at >= sizeof(cell.text))
			break;
	}
	return cell;
}

static const char *verdict(const struct bench_result *result)
{
	return isnan(result->bar) ? "" : bench_result_passes(result) ? "ok" : "MISSED";
}

const char *bench_report_text(struct bench_report *report, const char *format, ...)
{
	char *text = report->text[report->count % BENCH_RESULTS_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, BENCH_TEXT_BYTES, format, arguments);
	va_end(arguments);
	return text;
}

void bench_report_close(struct bench_report *report, struct bench_result *result,
			const struct bench_contest *contest, unsigned ours, unsigned against)
{
	if (contest->close_rounds > 0)
		result->note = bench_report_text(
			report,
			"%u rounds beside it with a ping-pong of %.0f ns: %.0f ns, ratio %.2f",
			contest->close_rounds, bench_contest_close_centre(contest, contest->line),
			bench_contest_close_centre(contest, ours),
			bench_contest_close_ratio(contest, ours, against));
}

void bench_report_head(const struct bench_report *report)
{
	struct machine machine = look_at_machine();

	printf("%s, %ld cores, %s, %s, commit %s\n", machine.cpu, machine.cores, machine.kernel,
	       machine.date, report->commit);
	printf("slices of %g ms, %u rounds, processors %d and %d\n\n",
	       (double)bench_manner.slice_ns / 1e6, bench_manner.rounds, bench_manner.cpu[0],
	       bench_manner.cpu[1]);
	printf("%-16s %-28s %-5s %8s %8s %8s  %-24s %8s %6s %12s %-6s %s\n", "bench", "params",
	       "unit", "p50", "p99", "p99.9", "against", "p50", "ratio", "bar", "", "ping-pong");
}

void bench_report_add(struct bench_report *report, const struct bench_result *result)
{
	printf("%-16s %-28s %-5s %8s %8s %8s  %-24s %8s %6s %12s %-6s %s%s%s\n", result->bench,
	       params_cell(result).text, result->unit, number_cell(result->p50).text,
	       number_cell(result->p99).text, number_cell(result->p999).text,
	       result->against != NULL ? result->against : "-", number_cell(result->limit_p50).text,
	       ratio_cell(result->ratio).text, bar_cell(result).text, verdict(result),
	       number_cell(result->pingpong_ns).text, result->note != NULL ? "  " : "",
	       result->note != NULL ? result->note : "");
	fflush(stdout);
	if (report->json != NULL)
		json_line(report->json, result, report->commit);
	if (report->count < BENCH_RESULTS_MAX)
		report->result[report->count++] = *result;
}

/* ---- the document ---------------------------------------------------------------------------- */

static void markdown_result(const struct bench_result *result, FILE *file)
{
	fprintf(file, "| %s | %s | %s %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
		result->bench, params_cell(result).text, number_cell(result->p50).text,
		result->unit, number_cell(result->p99).text, number_cell(result->p999).text,
		result->against != NULL ? result->against : "-",
		number_cell(result->limit_p50).text, ratio_cell(result->ratio).text,
		bar_cell(result).text, verdict(result), number_cell(result->pingpong_ns).text);
}

static void markdown_notes(const struct bench_report *report, FILE *file)
{
	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_result *result = &report->result[i];

		if (result->note != NULL)
			fprintf(file, "- %s (%s): %s.\n", result->bench, params_cell(result).text,
				result->note);
	}
}

void bench_report_markdown(const struct bench_report *report, FILE *file)
{
	struct machine machine = look_at_machine();

	fprintf(file,
		"# Performance\n\n"
		"Written by `./dev bench --doc`; do not edit.\n\n"
		"%s, %ld cores, %s; %s; commit %s.\n\n"
		"Ours and what it is held against take turns, in slices of %g ms on the same two "
		"processors, in one run; the ratio is the median of the ratios slice by slice, "
		"ours to the other: lower is better. Ping-pong is the round trip of one cache "
		"line in ns that this run saw beside it. Round trips held against it are judged "
		"where the two processors share no cache, as where the bars were set; what they "
		"took where they do is noted below. Every payload is written and read, every "
		"message is checked, and only what arrived is counted.\n\n"
		"| bench | params | p50 | p99 | p99.9 | against | its p50 | ratio | bar | | "
		"ping-pong |\n"
		"|---|---|---|---|---|---|---|---|---|---|---|\n",
		machine.cpu, machine.cores, machine.kernel, machine.date, report->commit,
		(double)bench_manner.slice_ns / 1e6);
	for (unsigned i = 0; i < report->count; i++)
		markdown_result(&report->result[i], file);
	fputs("\n", file);
	markdown_notes(report, file);
}
