/* spsc: round trip, stream, uncontended pair and waking, against the machine and against ck. */
#include "bench/groups.h"
#include "bench/limit.h"
#include "bench/queue.h"

#if HAVE_CK
#include "bench/ck.h"
#endif

#define RING_BYTES	 (UINT64_C(64) << 10)
#define RING_BYTES_LARGE (UINT64_C(1) << 20) /* of 64 KiB messages */

/* The fastest of the contenders from @first on: whatever suits a peer best counts. */
static unsigned best_from(const struct bench_contest *contest, unsigned first)
{
	unsigned best = first;

	for (unsigned i = first; i < contest->contenders; i++)
		if (bench_contest_centre(contest, i) < bench_contest_centre(contest, best))
			best = i;
	return best;
}

/* ---- round trip ------------------------------------------------------------------------------ */

static void rtt(struct bench_report *report, uint64_t bytes, unsigned lines, double bar)
{
	struct bench_queue queue = { .bytes = bytes, .ring_bytes = RING_BYTES };
	struct bench_contender ours = bench_queue_rtt(&queue);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender limit = bench_limit_pingpong(lines, false);
	struct bench_contender ahead = bench_limit_pingpong(lines, true);
	struct bench_contest contest = {
		.contender = { &ours, &line, &limit, &ahead },
		.contenders = lines == 1 ? 2 : 4,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
		.line = 1,
	};
	struct bench_result result = BENCH_RESULT_NULL;
	unsigned against;

	bench_contest_run(&contest);
	against = lines == 1 ? 1 : best_from(&contest, 2);
	bench_report_take(&result, &contest, 0, against);
	result.bench = "spsc.rtt";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = bar;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	bench_report_close(report, &result, &contest, 0, against);
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_spsc_rtt(struct bench_report *report)
{
	rtt(report, 8, 1, 1.15);
	rtt(report, 64, 1, 1.20);
	rtt(report, 128, 3, 1.15);
	rtt(report, 1024, 1, NAN);
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void stream(struct bench_report *report, uint64_t bytes, uint64_t batch, double bar)
{
	uint64_t ring_bytes = bytes < 65536 ? RING_BYTES : RING_BYTES_LARGE;
	struct bench_queue queue = { .bytes = bytes, .ring_bytes = ring_bytes, .batch = batch };
	struct bench_copy copy = { .bytes = bytes, .chunks = ring_bytes / bytes };
	struct bench_contender ours = bench_queue_stream(&queue);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender limit = bench_limit_copy(&copy);
#if HAVE_CK
	struct bench_ck ck = { .bytes = bytes, .ring_bytes = ring_bytes };
	struct bench_contender peer[BENCH_CK_WAITS];
#endif
	struct bench_contest contest = {
		.contender = { &ours, &line },
		.contenders = 2,
		.sides = 2,
		.centre = BENCH_CENTRE_MEAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	if (bytes >= 65536)
		contest.contender[contest.contenders++] = &limit;
#if HAVE_CK
	else
		for (unsigned i = 0; i < BENCH_CK_WAITS; i++) {
			peer[i] = bench_ck_stream(&ck, (enum bench_ck_wait)i);
			contest.contender[contest.contenders++] = &peer[i];
		}
#endif
	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0,
			  contest.contenders == 2 ? 1 : best_from(&contest, 2));
	if (contest.contenders == 2) {
		result.limit_p50 = result.ratio = bar = NAN;
		result.against = NULL;
	}
	result.bench = "spsc.throughput";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	if (batch != 0)
		result.param[1] = (struct bench_param){ .name = "batch", .number = batch };
	result.unit = "ns";
	result.bar = bar;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = ring_bytes;
	result.batch = batch != 0 ? batch : 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_spsc_throughput(struct bench_report *report)
{
	stream(report, 8, 0, 1.0);
	stream(report, 64, 0, 1.0);
	stream(report, 128, 0, NAN);
	stream(report, 1024, 0, NAN);
	stream(report, 65536, 0, 1.11);
	stream(report, 8, 32, NAN);
}

/* ---- uncontended ----------------------------------------------------------------------------- */

static const struct {
	enum bench_linkage linkage;
	const char *library; /* NULL: the one that has the bar */
	const char *note;
} linkages[] = {
	{ BENCH_STATIC_INLINED, NULL, "static library, linked with -flto where gcc does it" },
	{ BENCH_STATIC, "static", "static library, its functions called" },
	{ BENCH_SHARED, "shared", NULL },
};

#define LINKAGES (sizeof(linkages) / sizeof(linkages[0]))

static void add_pair(struct bench_report *report, const struct bench_contest *contest,
		     uint64_t bytes, unsigned i, double bar)
{
	bool has_peer = contest->contenders > LINKAGES;
	struct bench_result result = BENCH_RESULT_NULL;

	bench_report_take(&result, contest, i, contest->contenders - 1);
	if (!has_peer) {
		result.limit_p50 = result.ratio = NAN;
		result.against = NULL;
	}
	result.bench = "spsc.uncontended";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	if (linkages[i].library != NULL)
		result.param[1] = (struct bench_param){ .name = "library",
							.text = linkages[i].library };
	else if (has_peer)
		result.bar = bar;
	result.unit = "ns";
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	result.note = linkages[i].note;
	bench_report_add(report, &result);
}

static void pair(struct bench_report *report, uint64_t bytes, double bar)
{
	struct bench_queue queue[LINKAGES];
	struct bench_contender ours[LINKAGES];
	struct bench_contest contest = { .sides = 1, .centre = BENCH_CENTRE_MEDIAN };
#if HAVE_CK
	struct bench_ck ck = { .bytes = bytes, .ring_bytes = RING_BYTES };
	struct bench_contender peer = bench_ck_pair(&ck);
#endif

	for (unsigned i = 0; i < LINKAGES; i++) {
		queue[i] = (struct bench_queue){ .bytes = bytes,
						 .ring_bytes = RING_BYTES,
						 .linkage = linkages[i].linkage };
		ours[i] = bench_queue_pair(&queue[i]);
		contest.contender[contest.contenders++] = &ours[i];
	}
#if HAVE_CK
	contest.contender[contest.contenders++] = &peer;
#endif
	bench_contest_run(&contest);
	for (unsigned i = 0; i < LINKAGES; i++)
		add_pair(report, &contest, bytes, i, bar);
	bench_contest_deinit(&contest);
}

void bench_spsc_uncontended(struct bench_report *report)
{
	pair(report, 8, 3.0);
	pair(report, 64, 2.0);
}

/* ---- waking ---------------------------------------------------------------------------------- */

void bench_spsc_wake(struct bench_report *report)
{
	struct bench_queue queue = { .bytes = 8, .ring_bytes = RING_BYTES, .spin_ns = -1 };
	struct bench_contender ours = bench_queue_rtt(&queue);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender futex = bench_limit_futex();
	struct bench_contest contest = {
		.contender = { &ours, &line, &futex },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 2);
	result.bench = "spsc.wake";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = 8 };
	result.unit = "ns";
	result.bar = 1.15;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}
