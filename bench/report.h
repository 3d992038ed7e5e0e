/*
 * Report: results as lines for people, as JSON lines and as a Markdown document.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/contest.h"

#define BENCH_PARAMS_MAX  3
#define BENCH_RESULTS_MAX 128
#define BENCH_TEXT_BYTES  160

/* A number, or a text when there is one. */
struct bench_param {
	const char *name;
	const char *text;
	uint64_t number;
};

/* What is held against the bar. */
enum bench_judged {
	BENCH_RATIO = 0,      /* at most */
	BENCH_VALUE = 1,      /* p50, at most */
	BENCH_VALUE_OVER = 2, /* p50, at least */
	BENCH_VALUE_P99 = 3,  /* p50 and p99, each at most */
};

/* NAN and NULL: there is no such thing. */
struct bench_result {
	const char *bench;
	struct bench_param param[BENCH_PARAMS_MAX];
	const char *unit;
	double p50, p99, p999;
	double limit_p50;
	double ratio; /* ours / limit or ours / peer: lower is better */
	const char *against;
	double bar;
	enum bench_judged judged;
	double pingpong_ns; /* of one line, in the same rounds */
	uint64_t ring_bytes;
	uint64_t batch;
	unsigned rounds;
	unsigned disturbed;
	const char *note;
};

#define BENCH_RESULT_NULL                         \
	((struct bench_result){ .p50 = NAN,       \
				.p99 = NAN,       \
				.p999 = NAN,      \
				.limit_p50 = NAN, \
				.ratio = NAN,     \
				.bar = NAN,       \
				.pingpong_ns = NAN })

struct bench_report {
	FILE *json; /* may be NULL */
	const char *commit;
	unsigned count;
	struct bench_result result[BENCH_RESULTS_MAX];
	char text[BENCH_RESULTS_MAX][BENCH_TEXT_BYTES];
};

void bench_report_head(const struct bench_report *report);
/* A text that lives as long as the report, for the result that is added next. */
__attribute__((format(printf, 2, 3))) const char *bench_report_text(struct bench_report *report,
								    const char *format, ...);
/* Prints it, and keeps it for the document. */
void bench_report_add(struct bench_report *report, const struct bench_result *result);
/* Fills in what a contest knows: ours and what it is held against. */
void bench_report_take(struct bench_result *result, const struct bench_contest *contest,
		       unsigned ours, unsigned against);
/* Notes what was left out because the two processors were close to each other, see contest.h. */
void bench_report_close(struct bench_report *report, struct bench_result *result,
			const struct bench_contest *contest, unsigned ours, unsigned against);
void bench_report_markdown(const struct bench_report *report, FILE *file);

/* There was a bar, and it was held; bars are all held when there is none. */
bool bench_result_passes(const struct bench_result *result);

#endif
