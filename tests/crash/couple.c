#include "tests/crash/couple.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/segment.h"

enum {
	CASES = 23, /* of each way; a prime, so that strides of it come to all */
	CASES_SAMPLES = 7,
	WAYS = 3,
	STRIDE = 5,
	BYSTANDER_ROUNDS = 20,
};

/* In another segment, with a client of its own. */
struct couple_bystander {
	struct shmc_client *client;
	struct shmc_spsc *producer, *consumer;
	uint64_t number;
};

void couple_fail(const struct couple *couple, const char *file, int line, const char *condition)
{
	static const char *const ways[] = { "at once", "in repair", "found" };

	ck_abort_msg("%s:%d: %s; %s, %s, case %u, first %u: %lu%s and %lu%s instructions done",
		     file, line, condition, couple->name, ways[couple->way], couple->turn,
		     couple->first, couple->point[0], couple->has_ended[0] ? " (all)" : "",
		     couple->point[1], couple->has_ended[1] ? " (all)" : "");
}

void *couple_memory(size_t bytes)
{
	static void *memory;

	if (!memory)
		memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			      0);
	SHMT_REQUIRE(memory != MAP_FAILED && bytes <= 4096);
	return memset(memory, 0xff, bytes);
}

/* The bystander */

static struct couple_bystander *bystander_open(const struct couple *couple)
{
	struct couple_bystander *bystander = calloc(1, sizeof(*bystander));

	SHMT_REQUIRE(bystander);
	bystander->client = shmt_connect(&couple->broker);
	shmt_create(bystander->client, "aside", 4096);
	bystander->producer = shmt_open(bystander->client, "aside", SHMC_SPSC_PRODUCER);
	bystander->consumer = shmt_open(bystander->client, "aside", SHMC_SPSC_CONSUMER);
	return bystander;
}

/* Nothing of it waits for anybody but the broker, and that answers at once. */
static void bystander_goes_on(const struct couple *couple)
{
	struct couple_bystander *bystander = couple->bystander;
	struct shmc_message message;
	uint64_t number;

	for (int i = 0; i < BYSTANDER_ROUNDS; i++) {
		uint64_t sent = bystander->number++;

		COUPLE_CHECK(couple, shmc_spsc_push(bystander->producer, &sent, sizeof(sent),
						    SHMC_TRY) == SHMC_OK);
		COUPLE_CHECK(couple, shmc_spsc_pop(bystander->consumer, &number, sizeof(number),
						   SHMC_TRY, &message) == SHMC_OK);
		COUPLE_CHECK(couple, number == sent && message.flags == 0);
	}
}

static void bystander_opens(const struct couple *couple)
{
	struct couple_bystander *bystander = couple->bystander;

	bystander_goes_on(couple);
	shmc_spsc_close(bystander->producer);
	bystander->producer = shmt_open(bystander->client, "aside", SHMC_SPSC_PRODUCER);
	bystander_goes_on(couple);
}

static void bystander_close(struct couple_bystander *bystander)
{
	shmc_spsc_close(bystander->producer);
	shmc_spsc_close(bystander->consumer);
	shmt_assert_ok(shmc_unlink(bystander->client, "aside", NULL));
	shmc_disconnect(bystander->client);
	free(bystander);
}

/* The two */

static void prepare(void *context)
{
	const struct couple_side *side = context;

	side->prepare();
}

static void operate(void *context)
{
	const struct couple_side *side = context;

	side->operate();
}

static void start(struct couple *couple)
{
	couple->set_up();
	for (unsigned i = 0; i < 2; i++) {
		/* what one does depends on the other, and a deadline looks at the clock */
		couple->stepper[i] = (struct stepper){ .may_stray = true,
						       .may_sleep = couple->side[i].may_sleep };
		couple->has_ended[i] = false;
		couple->point[i] = 0;
		stepper_start(&couple->stepper[i], prepare, operate, &couple->side[i]);
	}
}

static void lead(struct couple *couple, unsigned side, unsigned long point)
{
	struct stepper *stepper = &couple->stepper[side];
	const struct stepper_path *path = &couple->path[side];
	enum stepper_result result = point < path->count ? stepper_go_to(stepper, path, point) :
							   stepper_run(stepper);

	couple->point[side] = point;
	couple->has_ended[side] = result == STEPPER_ENDED;
}

/* While the other one stands before its first instruction. */
static void measure(struct couple *couple, unsigned side)
{
	start(couple);
	stepper_measure(&couple->stepper[side], &couple->path[side]);
	couple->point[side] = couple->path[side].count;
	couple->has_ended[side] = couple->path[side].end == STEPPER_ENDED;
	stepper_kill(&couple->stepper[0]);
	stepper_kill(&couple->stepper[1]);
	couple->check();
	couple->tear_down();
}

/* Deaths */

static void signal_to(pid_t pid, int number)
{
	SHMT_REQUIRE(kill(pid, number) == 0);
}

/* The broker is told at the same moment. */
static void await_death(pid_t pid)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	SHMT_REQUIRE(end.fd >= 0);
	SHMT_REQUIRE(poll(&end, 1, (int)shmt_scaled(5000)) == 1);
	close(end.fd);
}

static void die(struct couple *couple, unsigned long points[2])
{
	unsigned first = couple->first, second = 1 - first;

	lead(couple, first, points[first]);
	lead(couple, second, points[second]);
	bystander_goes_on(couple);
	signal_to(couple->stepper[first].pid, SIGKILL);
	if (couple->way == COUPLE_IN_REPAIR)
		await_death(couple->stepper[first].pid);
	/* and reaped */
	stepper_kill(&couple->stepper[second]);
	stepper_kill(&couple->stepper[first]);
}

static void die_and_be_found(struct couple *couple, unsigned long points[2])
{
	unsigned first = couple->first, second = 1 - first;
	int status = 0;

	signal_to(couple->broker.pid, SIGSTOP);
	SHMT_REQUIRE(waitpid(couple->broker.pid, &status, WUNTRACED) == couple->broker.pid);
	SHMT_REQUIRE(WIFSTOPPED(status));
	lead(couple, first, points[first]);
	stepper_kill(&couple->stepper[first]);
	bystander_goes_on(couple);
	lead(couple, second, points[second]);
	stepper_kill(&couple->stepper[second]);
	signal_to(couple->broker.pid, SIGCONT);
}

/* Any point of one with any of the other: the strata of the second are gone through in strides. */
static void choose(struct couple *couple, unsigned which, unsigned cases,
		   unsigned long ret_points[2])
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned stratum = i == 0 ? which : which * STRIDE % cases;
		unsigned long ends = couple->path[i].count + 1;
		unsigned long from = ends * stratum / cases, to = ends * (stratum + 1) / cases;

		ret_points[i] = from + shmt_random_below(&couple->random, to - from);
	}
}

static void go_through(struct couple *couple, enum couple_way way, unsigned cases)
{
	unsigned long points[2];

	couple->way = way;
	for (unsigned i = 0; i < cases; i++) {
		couple->turn++;
		couple->first = (unsigned)shmt_random_below(&couple->random, 2);
		choose(couple, i, cases, points);
		start(couple);
		if (way == COUPLE_FOUND)
			die_and_be_found(couple, points);
		else
			die(couple, points);
		bystander_opens(couple);
		couple->check();
		couple->tear_down();
		bystander_goes_on(couple);
	}
}

static unsigned cases_of(const struct couple *couple)
{
	if (STEPPER_SAMPLES)
		return CASES_SAMPLES;
	return couple->cases != 0 ? couple->cases : CASES;
}

void couple_everywhere(struct couple *couple)
{
	unsigned cases = cases_of(couple);
	size_t descriptors;

	couple->random.state = shmt_seed();
	couple->broker = shmt_broker_start(NULL);
	couple->client = shmt_connect(&couple->broker);
	couple->bystander = bystander_open(couple);
	descriptors = shmt_broker_descriptors(&couple->broker);
	for (unsigned side = 0; side < 2; side++)
		measure(couple, side);
	for (unsigned way = 0; way < WAYS; way++)
		go_through(couple, (enum couple_way)way, cases);
	printf("# %s: %u kill points\n", couple->name, WAYS * cases);
	printf("# (samples of %lu by %lu)\n", couple->path[0].count + 1, couple->path[1].count + 1);
	for (unsigned side = 0; side < 2; side++)
		stepper_forget(&couple->path[side]);
	shmt_broker_settle(&couple->broker, descriptors);
	bystander_close(couple->bystander);
	shmc_disconnect(couple->client);
	shmt_broker_stop(&couple->broker);
}

int couple_main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
