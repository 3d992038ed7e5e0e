/*
 * Soak: a broker with its keeper, dozens of processes over all kinds, and everything that can happen
 * to any of them, for minutes. Then the sums: what was published is what was delivered, repeated with
 * a flag, counted as lost, or taken by one who died before he could note it, by name; and nothing is
 * left in the broker.
 *
 * This file knows no kind. Whom it hits, and when, follows from the seed and from how much the
 * players have done; only the broker's deaths keep to the clock, since its keeper does, too.
 *
 * Then once more with players who hardly rest, and nothing happens but to the broker: nobody notices.
 *
 * Environment: SOAK_SECONDS (default 60), SHMT_SEED.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/cast.h"
#include "tests/soak/watch.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

enum {
	HEIR = UINT16_MAX,	/* role of the seat that a lane's account is made from */
	BROKER_CALM_MS = 11000, /* of life, and its keeper thinks better of it */
	BUNDLES = 2 * 3,	/* descriptors by which others are kept */
	STEADY_KILLS = 100,
	STEADY_MS = 8000,
	STEADY_APART_MS = 50,	   /* from one kill to the next, at least */
	STEADY_ANSWER_US = 200000, /* of 95 in 100: the others show who else computes */
	STEADY_NOISE_MS = 100,
};

struct soak {
	struct shmt_broker broker;
	struct soak_book *book;
	struct soak_cast cast;
	struct soak_watch *watch;
	struct shmt_random random;
	size_t broker_descriptors, keeper_descriptors;
	uint64_t broker_kills, broker_stops;
	/* when something happens next: in bursts, of the broker in ns */
	uint64_t kill_at, stop_at, broker_at_ns, broker_goes_on_ns;
	uint32_t broker_row; /* deaths that follow soon */
};

static unsigned long seconds(void)
{
	const char *text = getenv("SOAK_SECONDS");

	return text ? strtoul(text, NULL, 10) : 60;
}

/* Setting up */

static void add_seat(struct soak_book *book, uint32_t lane, uint32_t kind, uint32_t role)
{
	struct soak_seat *seat = &book->seats[book->seat_count];
	struct soak_lane *at = &book->lanes[lane];

	ck_assert_uint_lt(book->seat_count, SOAK_SEATS_MAX);
	ck_assert_uint_lt(at->seat_count, SOAK_LANE_SEATS_MAX);
	seat->kind = kind;
	seat->lane = lane;
	seat->role = role;
	seat->place = at->seat_count;
	at->seats[at->seat_count++] = book->seat_count++;
}

static void add_lane(struct soak_book *book, uint32_t kind, uint32_t number)
{
	struct soak_lane *lane = &book->lanes[book->lane_count];
	const struct soak_role *roles = soak_kinds[kind]->roles;

	ck_assert_uint_lt(book->lane_count, SOAK_LANES_MAX);
	lane->kind = kind;
	snprintf(lane->segment, sizeof(lane->segment), "%s.%u", soak_kinds[kind]->name, number);
	for (uint32_t role = 0; roles[role].count; role++)
		for (uint32_t i = 0; i < roles[role].count; i++)
			add_seat(book, book->lane_count, kind, role);
	book->lane_count++;
}

static void add_heirs(struct soak_book *book)
{
	for (uint32_t i = 0; i < book->lane_count; i++)
		add_seat(book, i, book->lanes[i].kind, HEIR);
}

static void create_segments(struct soak *soak)
{
	struct shmc_client *client = shmt_connect(&soak->broker);

	for (uint32_t i = 0; i < soak->book->lane_count; i++) {
		struct soak_lane *lane = &soak->book->lanes[i];
		struct shmc_error error = { .text = "" };

		ck_assert_msg(soak_kinds[lane->kind]->create(client, lane->segment, &error) ==
				      SHMC_OK,
			      "%s: %s", lane->segment, error.text);
	}
	shmc_disconnect(client);
}

static size_t descriptors_of(pid_t pid)
{
	struct shmt_broker broker = { .pid = pid };

	return shmt_broker_descriptors(&broker);
}

/* Of a broker that has followed another one, with nothing in it. */
static void start_broker(struct soak *soak, const char *const *options)
{
	struct shmc_client *client;

	soak->broker = shmt_broker_supervised(options);
	client = shmt_connect(&soak->broker); /* what is made for the first one stays */
	shmc_disconnect(client);
	shmt_broker_kill(&soak->broker);
	shmt_broker_next(&soak->broker);
	client = shmt_connect(&soak->broker);
	shmc_disconnect(client);
	usleep(100000);
	soak->broker_descriptors = shmt_broker_descriptors(&soak->broker);
	soak->keeper_descriptors = descriptors_of(soak->broker.keeper);
}

static struct soak *soak_new(const char *const *options)
{
	struct soak *soak = calloc(1, sizeof(*soak));

	start_broker(soak, options);
	soak->book = soak_book_new(&soak->cast.book_fd);
	ck_assert_ptr_nonnull(soak->book);
	soak->book->seed = shmt_seed();
	soak->random.state = soak->book->seed;
	memcpy(soak->book->address, soak->broker.address, sizeof(soak->broker.address));
	for (uint32_t i = 0; soak_kinds[i]; i++)
		for (uint32_t j = 0; j < soak_kinds[i]->lanes; j++)
			add_lane(soak->book, i, j);
	soak->cast.book = soak->book;
	soak->cast.count = soak->book->seat_count;
	add_heirs(soak->book);
	create_segments(soak);
	soak->watch = soak_watch_new(soak->broker.control);
	return soak;
}

/* What happens to them */

static uint64_t some(struct soak *soak, uint64_t least, uint64_t most)
{
	return least + shmt_random_below(&soak->random, most - least + 1);
}

static void hit_a_player(struct soak *soak)
{
	uint64_t bursts = atomic_load(&soak->book->bursts);
	uint32_t seat;

	if (bursts >= soak->kill_at) {
		seat = (uint32_t)shmt_random_below(&soak->random, soak->cast.count);
		soak_watch_killed(soak->watch, soak_cast_kill(&soak->cast, seat),
				  soak->book->seats[seat].kind);
		soak->kill_at = bursts + some(soak, 10, 400);
	}
	if (bursts >= soak->stop_at) {
		seat = (uint32_t)shmt_random_below(&soak->random, soak->cast.count);
		soak_cast_stop(&soak->cast, seat, some(soak, 5, 600));
		soak->stop_at = bursts + some(soak, 10, 300);
	}
}

/* Up to four deaths in a row, then a rest: a sixth one would be a loop to its keeper. Before some of
 * them it is stopped. */
static void hit_the_broker(struct soak *soak)
{
	uint64_t now = soak_now_ns();
	pid_t broker = soak->watch->broker;

	if (soak->broker_goes_on_ns != 0 && now >= soak->broker_goes_on_ns) {
		kill(broker, SIGCONT);
		soak->broker_goes_on_ns = 0;
	}
	if (broker == 0 || now < soak->broker_at_ns || soak->broker_goes_on_ns != 0)
		return;
	if (soak->broker_row == 0) {
		soak->broker_row = (uint32_t)some(soak, 1, 4);
		kill(broker, SIGSTOP);
		soak->broker_stops++;
		soak->broker_goes_on_ns = now + some(soak, 10, 200) * SOAK_MS;
		soak->broker_at_ns = now + some(soak, 10, 400) * SOAK_MS;
		return;
	}
	kill(broker, SIGKILL);
	soak_watch_broker_killed(soak->watch);
	soak->watch->broker = 0;
	soak->broker_kills++;
	soak->broker_row--;
	soak->broker_at_ns = now +
			     (soak->broker_row ? some(soak, 50, 1500) : BROKER_CALM_MS) * SOAK_MS;
}

static void turn(struct soak *soak)
{
	soak_cast_tend(&soak->cast);
	soak_cast_continue(&soak->cast, false);
	soak_cast_watch(&soak->cast);
	soak_watch_look(soak->watch, 2);
}

static void run(struct soak *soak)
{
	uint64_t until_ns = soak_now_ns() + seconds() * UINT64_C(1000000000);

	soak->broker_at_ns = soak_now_ns() + 1000 * SOAK_MS;
	while (soak_now_ns() < until_ns) {
		hit_a_player(soak);
		hit_the_broker(soak);
		turn(soak);
	}
	if (soak->broker_goes_on_ns != 0)
		kill(soak->watch->broker, SIGCONT);
}

/* The end */

static void turn_for(struct soak *soak, uint64_t ms)
{
	uint64_t until_ns = soak_now_ns() + ms * SOAK_MS;

	while (soak_now_ns() < until_ns)
		turn(soak);
}

/* Senders leave, receivers have time to take what is there, then all leave; who sleeps for ever is
 * killed in the end. */
static void calm_down(struct soak *soak)
{
	uint64_t until_ns = soak_now_ns() + shmt_scaled(30) * UINT64_C(1000000000);

	soak_cast_continue(&soak->cast, true);
	atomic_store(&soak->book->phase, SOAK_CALM);
	while (soak_cast_left(&soak->cast, true) != 0 && soak_now_ns() < until_ns)
		turn(soak);
	if (soak_cast_left(&soak->cast, true) != 0)
		soak_wrong(soak->book, NULL, "%u who send did not come to their end",
			   soak_cast_left(&soak->cast, true));
	turn_for(soak, 1000);
	atomic_store(&soak->book->phase, SOAK_OVER);
	turn_for(soak, shmt_scaled(1500));
	for (uint32_t i = 0; i < soak->cast.count; i++)
		soak_cast_kill(&soak->cast, i);
	while (soak_cast_left(&soak->cast, false) != 0)
		turn(soak);
}

/* An arena goes with all that is in it, at its first. */
static void unlink_segment(struct soak *soak, struct shmc_client *client, const char *segment)
{
	struct shmc_error error = { .text = "" };
	enum shmc_result result;
	char name[48];
	char *colon;

	snprintf(name, sizeof(name), "%s", segment);
	colon = strchr(name, ':');
	if (colon)
		*colon = '\0';
	result = shmc_unlink(client, name, &error);
	if (result != SHMC_OK && !(colon && result == SHMC_NOT_FOUND))
		soak_wrong(soak->book, NULL, "unlink of %s: %s", name, error.text);
}

static void account(struct soak *soak)
{
	struct soak_player heir = { .book = soak->book };

	soak_connect(&heir);
	for (uint32_t i = 0; i < soak->book->lane_count; i++) {
		struct soak_lane *lane = &soak->book->lanes[i];

		heir.lane = lane;
		heir.seat = &soak->book->seats[lane->seats[lane->seat_count - 1]];
		heir.handle = NULL;
		soak_kinds[lane->kind]->account(&heir);
	}
	for (uint32_t i = 0; i < soak->book->lane_count; i++)
		unlink_segment(soak, heir.client, soak->book->lanes[i].segment);
	shmc_disconnect(heir.client);
}

static void say_what_is_left(struct shmt_raw *control)
{
	const cJSON *segment;

	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.List", "{}"), "");
	cJSON_ArrayForEach(segment, shmt_raw_item(control, "segments"))
		printf("# left: %s\n", cJSON_GetObjectItem(segment, "name")->valuestring);
}

/* The last ones who left may not have been seen to. */
static void await_silence(struct shmt_raw *control)
{
	for (unsigned long i = 0; i < shmt_scaled(1000); i++) {
		ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Status", "{}"), "");
		if (shmt_raw_int(control, "segments") == 0 &&
		    shmt_raw_int(control, "sessions") == 0)
			return;
		soak_sleep_ns(5 * SOAK_MS);
	}
}

/* The broker is as it was. */
static void expect_nothing(struct soak *soak)
{
	static const char *const zeros[] = { "segments", "sessions", "endpoints", "bytes" };
	struct shmt_raw *control;
	struct shmt_broker keeper = soak->broker;

	while (waitpid(-1, NULL, WNOHANG) > 0) /* children's children have 100 ms */
		;
	soak->broker.pid = soak->watch->broker;
	keeper.pid = soak->broker.keeper;
	soak_watch_free(soak->watch);
	soak->watch = NULL;
	printf("# descriptors: broker %zu, at first %zu; keeper %zu, at first %zu\n",
	       shmt_broker_descriptors(&soak->broker), soak->broker_descriptors,
	       shmt_broker_descriptors(&keeper), soak->keeper_descriptors);
	control = shmt_raw_open(soak->broker.control);
	say_what_is_left(control);
	await_silence(control);
	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		if (shmt_raw_int(control, zeros[i]) != 0)
			soak_wrong(soak->book, NULL, "the broker has %ld %s left",
				   (long)shmt_raw_int(control, zeros[i]), zeros[i]);
	shmt_raw_close(control);
	if (atomic_load(&soak->book->wrong_count) == 0) {
		shmt_broker_settle(&soak->broker, soak->broker_descriptors + BUNDLES);
		shmt_broker_settle(&keeper, soak->keeper_descriptors + BUNDLES);
	}
}

static void report_kind(struct soak *soak, uint32_t kind)
{
	struct soak_samples *samples = &soak->watch->samples[kind];
	struct soak_account sum = { 0 };
	uint64_t deaths = 0;

	for (uint32_t i = 0; i < soak->book->lane_count; i++) {
		const struct soak_account *account = &soak->book->lanes[i].account;

		if (soak->book->lanes[i].kind != kind)
			continue;
		sum.messages += account->messages;
		sum.delivered += account->delivered;
		sum.repeats += account->repeats;
		sum.taken += account->taken;
		sum.lost += account->lost;
	}
	for (uint32_t i = 0; i < soak->cast.count; i++)
		if (soak->book->seats[i].kind == kind)
			deaths += soak->cast.deaths[i];
	printf("# %-16s %9lu %9lu %7lu %6lu %8lu %6lu %8.1f %8.1f\n", soak_kinds[kind]->name,
	       (unsigned long)sum.messages, (unsigned long)sum.delivered,
	       (unsigned long)sum.repeats, (unsigned long)sum.taken, (unsigned long)sum.lost,
	       (unsigned long)deaths, soak_samples_us(samples, 500) / 1000.0,
	       soak_samples_us(samples, 990) / 1000.0);
}

static void report(struct soak *soak)
{
	struct soak_samples *samples = &soak->watch->samples[SOAK_BROKER];
	uint64_t retries = 0;

	printf("# %-16s %9s %9s %7s %6s %8s %6s %8s %8s\n", "kind", "published", "delivered",
	       "repeats", "taken", "lost", "deaths", "p50 ms", "p99 ms");
	for (uint32_t i = 0; soak_kinds[i]; i++)
		if (soak_kinds[i]->lanes != 0)
			report_kind(soak, i);
	for (uint32_t i = 0; i < soak->cast.count; i++)
		retries += atomic_load(&soak->book->seats[i].retries);
	puts("# repeats: came again, flagged; taken: gone with a receiver that had taken it; lost: given "
	     "up as the kind promises, and counted");
	printf("# %u processes at a time, %lu in all; %lu stops, %lu left and came, %lu control "
	       "calls tried again, %lu bursts\n",
	       soak->cast.count, (unsigned long)soak->cast.starts, (unsigned long)soak->cast.stops,
	       (unsigned long)soak->cast.left, (unsigned long)retries,
	       (unsigned long)atomic_load(&soak->book->bursts));
	printf("# broker: killed %lu times, stopped %lu times; kill to the next one's first answer "
	       "p50 %.1f ms, p99 %.1f ms\n",
	       (unsigned long)soak->broker_kills, (unsigned long)soak->broker_stops,
	       soak_samples_us(samples, 500) / 1000.0, soak_samples_us(samples, 990) / 1000.0);
}

static void report_wrongs(const struct soak *soak)
{
	uint32_t count = atomic_load(&soak->book->wrong_count);

	for (uint32_t i = 0; i < count && i < SOAK_WRONGS_MAX; i++)
		printf("# wrong: %s\n", soak->book->wrongs[i]);
	printf("# discrepancies: %u\n", count);
	fflush(stdout);
	ck_assert_msg(count == 0, "%u discrepancies", count);
}

TEST(all_that_was_published_is_accounted_for, .timeout_s = (int)seconds() + 150)
{
	struct soak *soak;

	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	soak = soak_new(NULL);
	run(soak);
	calm_down(soak);
	account(soak);
	report(soak);
	expect_nothing(soak);
	report_wrongs(soak);
	shmt_broker_stop(&soak->broker);
	free(soak);
}

/* Only the broker dies */

static void forget_pauses(struct soak_book *book)
{
	for (uint32_t i = 0; i < book->seat_count; i++) {
		atomic_store(&book->seats[i].last_ns, 0);
		atomic_store(&book->seats[i].pause_ns, 0);
	}
}

static uint64_t pause_of(const struct soak *soak, uint32_t kind)
{
	uint64_t longest = 0;

	for (uint32_t i = 0; i < soak->cast.count; i++) {
		const struct soak_seat *seat = &soak->book->seats[i];

		if (seat->kind == kind && atomic_load(&seat->pause_ns) > longest)
			longest = atomic_load(&seat->pause_ns);
	}
	return longest;
}

static void run_steady(struct soak *soak, uint64_t kills)
{
	uint64_t now = soak_now_ns(), until_ns = now + STEADY_MS * SOAK_MS;

	forget_pauses(soak->book);
	while (now < until_ns || soak->broker_kills < kills) {
		now = soak_now_ns();
		if (soak->watch->broker != 0 && soak->broker_kills < kills &&
		    now >= soak->broker_at_ns) {
			kill(soak->watch->broker, SIGKILL);
			soak_watch_broker_killed(soak->watch);
			soak->watch->broker = 0;
			soak->broker_kills++;
			soak->broker_at_ns = now + STEADY_APART_MS * SOAK_MS;
		}
		turn(soak);
	}
}

/* Who has a turn of the processor, and when, makes up most of them. */
static void check_nobody_noticed(struct soak *soak, const uint64_t *before_ns)
{
	uint64_t before = 0, longest = 0;

	for (uint32_t i = 0; soak_kinds[i]; i++) {
		if (soak_kinds[i]->calls)
			continue;
		before = before_ns[i] > before ? before_ns[i] : before;
		longest = pause_of(soak, i) > longest ? pause_of(soak, i) : longest;
	}
	ck_assert_uint_le(longest, 2 * before + shmt_scaled(STEADY_NOISE_MS) * SOAK_MS);
	ck_assert_uint_le(soak_samples_us(&soak->watch->samples[SOAK_BROKER], 950),
			  shmt_scaled(STEADY_ANSWER_US));
}

static void report_pauses(const struct soak *soak, const uint64_t *before_ns)
{
	printf("# %-16s %22s %22s\n", "kind", "longest pause, ms", "brokers killed, ms");
	for (uint32_t i = 0; soak_kinds[i]; i++)
		if (soak_kinds[i]->lanes != 0)
			printf("# %-16s %22.1f %22.1f\n", soak_kinds[i]->name,
			       (double)before_ns[i] / 1e6, (double)pause_of(soak, i) / 1e6);
}

TEST(a_hundred_killed_brokers_are_not_noticed_by_any_kind, .timeout_s = 300)
{
	static const char *const at_once[] = { "--no-backoff", NULL };
	uint64_t before_ns[SOAK_BROKER] = { 0 };
	struct soak *soak;

	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	soak = soak_new(at_once);
	soak->book->is_steady = 1;
	run_steady(soak, 0);
	for (uint32_t i = 0; soak_kinds[i]; i++)
		before_ns[i] = pause_of(soak, i);
	run_steady(soak, STEADY_KILLS);
	report_pauses(soak, before_ns);
	check_nobody_noticed(soak, before_ns);
	calm_down(soak);
	account(soak);
	report(soak);
	expect_nothing(soak);
	report_wrongs(soak);
	shmt_broker_stop(&soak->broker);
	free(soak);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--idle") == 0)
		return soak_idle(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--play") == 0) {
		struct soak_book *book = soak_book_map(atoi(argv[2]));

		if (!book)
			return 5;
		soak_play(book, (uint32_t)atoi(argv[3]));
	}
	return shmt_run(argc, argv);
}
