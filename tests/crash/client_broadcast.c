/*
 * Broadcasts through the library, with a real broker: a writer or a reader dies after every
 * instruction of a public call, or of samples of one that talks with the broker. The broker notices
 * and repairs by itself; the parent, who has another writer and another reader, must not be held
 * up, and a successor goes on.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/stepper.h"
#include "tests/support/broadcast_client.h"
#include "tests/support/broker.h"
#include "tests/support/runner.h"

enum {
	WORDS = 6, /* of a message */
	BYTES = WORDS * 8,
	RING = 4096,
	FILL = RING / 80, /* messages that fill the ring */
	BEFORE = 2,	  /* messages of the dead one's, before the call */
	OWN = 3,	  /* at most by the call */
	POINTS_MAX = 800, /* of a call; of a longer one samples */
	SAMPLES = 60,
	SAMPLES_LONG = 12, /* of tens of thousands of instructions */
	SAMPLES_SANITIZED = 20,
};
#define SOON_NS INT64_C(5000000000)

enum who {
	DEAD,
	OTHER, /* the parent */
	SUCCESSOR,
	WHO_MAX
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_broadcast *writer,
		*reader;   /* the parent's; writer: NULL beside an exclusive one */
	uint64_t *witness; /* where the dead reader read to; all ones before */
	const struct act *act;
	unsigned long point;
	bool has_ended;
	uint64_t next[WHO_MAX];	  /* number of each one's next message that is read */
	uint64_t pushed[WHO_MAX]; /* and that is sent */
	/* the child's */
	struct shmc_client *own_client;
	struct shmc_broadcast *own;
	uint64_t payload[OWN][WORDS];
	void *room;
};

struct act {
	const char *name;
	enum shmc_broadcast_role role;
	bool is_exclusive;
	bool may_sleep;			      /* it waits for ever */
	bool may_stray;			      /* it talks with the broker */
	uint64_t samples;		      /* 0: SAMPLES */
	bool opens;			      /* the role itself */
	void (*before)(struct scene *scene);  /* in the parent, before the child is there */
	void (*prepare)(struct scene *scene); /* in the child */
	void (*operate)(struct scene *scene); /* in the child, stepped */
	uint64_t sends;			      /* by the call: so many, or less, from the first on */
	bool takes;			      /* a message, to the witness */
};

#define CHECK(scene_, condition_)                                                            \
	do {                                                                                 \
		if (!(condition_))                                                           \
			ck_abort_msg("%s: %s, %lu instructions done%s", (scene_)->act->name, \
				     #condition_, (scene_)->point,                           \
				     (scene_)->has_ended ? ", all of them" : "");            \
	} while (0)

/* Numbered messages */

static void fill(uint64_t *words, enum who who, uint64_t number)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = number * 1000 + (uint64_t)who * 100 + i;
}

static enum shmc_result push(struct scene *scene, struct shmc_broadcast *writer, enum who who,
			     int64_t timeout_ns)
{
	uint64_t words[WORDS];
	enum shmc_result result;

	fill(words, who, scene->pushed[who]);
	result = shmc_broadcast_push(writer, words, BYTES, timeout_ns);
	scene->pushed[who] += result == SHMC_OK;
	return result;
}

/* One message, which must be the next of whoever sent it. */
static enum shmc_result pop(struct scene *scene, struct shmc_broadcast *reader, int64_t timeout_ns,
			    enum who *ret_who)
{
	struct shmc_broadcast_message message;
	uint64_t words[WORDS], expected[WORDS];
	enum shmc_result result = shmc_broadcast_pop(reader, words, sizeof(words), timeout_ns,
						     &message);
	enum who who;

	if (result != SHMC_OK)
		return result;
	who = (enum who)(words[0] / 100 % 10);
	CHECK(scene, message.size == BYTES && who < WHO_MAX);
	CHECK(scene, message.flags == 0 && message.lost == 0);
	fill(expected, who, scene->next[who]++);
	CHECK(scene, memcmp(words, expected, BYTES) == 0);
	*ret_who = who;
	return result;
}

/* Reads up to the last message of @who, which has just been sent. */
static void read_up_to(struct scene *scene, struct shmc_broadcast *reader, enum who who)
{
	enum who got;

	while (scene->next[who] < scene->pushed[who])
		CHECK(scene, pop(scene, reader, SOON_NS, &got) == SHMC_OK);
}

/* For more than a lap, then the whole ring can be used. All has been read, by who is there. */
static void go_on(struct scene *scene, struct shmc_broadcast *writer, struct shmc_broadcast *reader,
		  enum who who)
{
	for (int i = 0; i < 2 * FILL; i++) {
		CHECK(scene, push(scene, writer, who, SOON_NS) == SHMC_OK);
		read_up_to(scene, reader, who);
	}
	for (int i = 0; i < FILL; i++)
		CHECK(scene, push(scene, writer, who, SOON_NS) == SHMC_OK);
	CHECK(scene, push(scene, writer, who, SHMC_TRY) == SHMC_FULL);
	read_up_to(scene, reader, who);
}

/* After the death */

/* What the dead one sent is there in part, from the first on; others are not held up. */
static void check_writer(struct scene *scene)
{
	struct shmc_broadcast *successor;
	uint64_t before = scene->act->opens || scene->act->before ? 0 : BEFORE, sent;
	enum who got;

	if (scene->act->before) /* the ring was full */
		CHECK(scene, pop(scene, scene->reader, SOON_NS, &got) == SHMC_OK);
	if (scene->writer) {
		CHECK(scene, push(scene, scene->writer, OTHER, SOON_NS) == SHMC_OK);
		read_up_to(scene, scene->reader, OTHER);
	}
	successor = shmt_writer_open(scene->client, "news");
	CHECK(scene, push(scene, successor, SUCCESSOR, SOON_NS) == SHMC_OK);
	read_up_to(scene, scene->reader, SUCCESSOR);
	sent = scene->next[DEAD] - before;
	CHECK(scene, scene->next[DEAD] >= before && sent <= scene->act->sends);
	CHECK(scene, !scene->has_ended || sent == scene->act->sends);
	go_on(scene, successor, scene->reader, SUCCESSOR);
	shmc_broadcast_close(successor);
}

/* It holds no room, and who comes in its place sees what is sent from then on. */
static void check_reader(struct scene *scene)
{
	struct shmc_broadcast *successor;
	uint64_t words[WORDS];
	enum who got;

	fill(words, OTHER, 0);
	if (scene->act->takes && scene->has_ended)
		CHECK(scene, memcmp(scene->witness, words, BYTES) == 0);
	read_up_to(scene, scene->reader, OTHER);
	CHECK(scene, pop(scene, scene->reader, SHMC_TRY, &got) == SHMC_EMPTY);
	go_on(scene, scene->writer, scene->reader, OTHER);
	successor = shmt_reader_open(scene->client, "news", SHMC_BROADCAST_NEWEST, 0);
	CHECK(scene, push(scene, scene->writer, OTHER, SHMC_TRY) == SHMC_OK);
	scene->next[OTHER] = scene->pushed[OTHER] - 1;
	CHECK(scene, pop(scene, successor, SHMC_TRY, &got) == SHMC_OK);
	shmc_broadcast_close(successor);
}

/* The child */

static void child_prepare(void *context)
{
	struct scene *scene = context;
	const struct act *act = scene->act;

	scene->own_client = shmt_connect_as(&scene->broker,
					    (struct shmc_client_options){ .spin_ns = -1 });
	for (uint64_t i = 0; i < OWN; i++)
		fill(scene->payload[i], DEAD, BEFORE + i);
	if (act->opens)
		return;
	if (act->role == SHMC_BROADCAST_READER)
		scene->own = shmt_reader_open(scene->own_client, "news", SHMC_BROADCAST_OLDEST, 0);
	else
		scene->own = shmt_writer_open(scene->own_client, "news");
	for (int i = 0; act->role == SHMC_BROADCAST_WRITER && !act->before && i < BEFORE; i++)
		CHECK(scene, push(scene, scene->own, DEAD, SHMC_TRY) == SHMC_OK);
	if (act->prepare)
		act->prepare(scene);
}

static void child_operate(void *context)
{
	struct scene *scene = context;

	scene->act->operate(scene);
}

/* Runs */

static void set_up(struct scene *scene)
{
	bool reads = scene->act->role == SHMC_BROADCAST_READER;

	memset(scene->next, 0, sizeof(scene->next));
	memset(scene->pushed, 0, sizeof(scene->pushed));
	shmt_broadcast_create(
		scene->client, "news",
		(struct shmc_broadcast_options){ .capacity_bytes = RING,
						 .policy = SHMC_BROADCAST_BLOCK,
						 .exclusive = scene->act->is_exclusive });
	scene->reader = shmt_reader_open(scene->client, "news", SHMC_BROADCAST_OLDEST, 0);
	scene->writer = NULL;
	if (!scene->act->is_exclusive)
		scene->writer = shmt_writer_open(scene->client, "news");
	for (int i = 0; reads && !scene->act->may_sleep && i < OWN; i++)
		CHECK(scene, push(scene, scene->writer, OTHER, SHMC_TRY) == SHMC_OK);
	if (scene->act->before)
		scene->act->before(scene);
	memset(scene->witness, 0xff, BYTES);
}

static void tear_down(struct scene *scene)
{
	shmc_broadcast_close(scene->writer);
	shmc_broadcast_close(scene->reader);
	shmt_assert_ok(shmc_unlink(scene->client, "news", NULL));
}

static void start(struct scene *scene, struct stepper *ret_stepper)
{
	set_up(scene);
	*ret_stepper = (struct stepper){ .may_sleep = scene->act->may_sleep,
					 .may_stray = scene->act->may_stray };
	stepper_start(ret_stepper, child_prepare, child_operate, scene);
}

static void measure(struct scene *scene, struct stepper_path *ret_path)
{
	struct stepper stepper;

	start(scene, &stepper);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	tear_down(scene);
}

static void die_at(struct scene *scene, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper;

	start(scene, &stepper);
	scene->point = point;
	scene->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	stepper_kill(&stepper);
	if (scene->act->role == SHMC_BROADCAST_READER)
		check_reader(scene);
	else
		check_writer(scene);
	tear_down(scene);
}

/* A sanitizer makes hundreds of thousands of instructions of what is tens of thousands. */
static bool is_too_long(const struct act *act)
{
	return STEPPER_SAMPLES && act->samples != 0;
}

static void kill_everywhere(struct act act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .act = &act };
	unsigned long samples = STEPPER_SAMPLES ? SAMPLES_SANITIZED : SAMPLES;
	unsigned long stride, points = 0;
	struct stepper_path path;

	if (act.samples != 0 && act.samples < samples)
		samples = act.samples;
	scene.client = shmt_connect(&scene.broker);
	scene.witness = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);
	measure(&scene, &path);
	stride = STEPPER_SAMPLES || path.count > POINTS_MAX ? 1 + path.count / samples : 1;
	for (unsigned long point = 0; point < path.count; point += stride, points++)
		die_at(&scene, &path, point);
	die_at(&scene, &path, path.count);
	points++;
	printf("# %s%s: %lu kill points\n", act.name, act.is_exclusive ? ", exclusive" : "",
	       points);
	if (points <= path.count)
		printf("# (samples of %lu)\n", path.count + 1);
	stepper_forget(&path);
	munmap(scene.witness, BYTES);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* For the writer, one of many and exclusive. */
static void kill_writer(struct act act)
{
	if (is_too_long(&act))
		return;
	act.role = SHMC_BROADCAST_WRITER;
	for (int exclusive = 0; exclusive < 2; exclusive++) {
		act.is_exclusive = exclusive;
		kill_everywhere(act);
	}
}

static void kill_reader(struct act act)
{
	if (is_too_long(&act))
		return;
	act.role = SHMC_BROADCAST_READER;
	kill_everywhere(act);
}

/* The writer's calls */

static void do_push(struct scene *scene)
{
	shmc_broadcast_push(scene->own, scene->payload[0], BYTES, SHMC_FOREVER);
}

static void do_try_push(struct scene *scene)
{
	shmc_broadcast_try_push(scene->own, scene->payload[0], BYTES);
}

static void do_push_batch(struct scene *scene)
{
	struct shmc_bytes messages[OWN];
	uint64_t count;

	for (size_t i = 0; i < OWN; i++)
		messages[i] = (struct shmc_bytes){ .data = scene->payload[i], .size = BYTES };
	shmc_broadcast_push_batch(scene->own, messages, OWN, SHMC_TRY, &count);
}

static void do_reserve(struct scene *scene)
{
	if (shmc_broadcast_reserve(scene->own, BYTES + 100, SHMC_TRY, &scene->room) == SHMC_OK)
		memcpy(scene->room, scene->payload[0], BYTES);
}

static void do_commit(struct scene *scene)
{
	shmc_broadcast_commit(scene->own, BYTES, SHMC_TRY);
}

static void do_abort(struct scene *scene)
{
	shmc_broadcast_abort(scene->own);
}

/* The memory for it is there from then on. */
static void reserve_before(struct scene *scene)
{
	do_reserve(scene);
	do_abort(scene);
}

static void do_close(struct scene *scene)
{
	shmc_broadcast_close(scene->own);
}

static void do_open_writer(struct scene *scene)
{
	shmc_broadcast_open(scene->own_client, "news", SHMC_BROADCAST_WRITER, &scene->own, NULL);
}

static void fill_ring(struct scene *scene)
{
	while (push(scene, scene->writer, OTHER, SHMC_TRY) == SHMC_OK)
		;
}

/* Has waited once: then it knows how many cores there are, which takes thousands of instructions. */
static void wait_before(struct scene *scene)
{
	CHECK(scene, shmc_broadcast_push(scene->own, scene->payload[0], BYTES, 1) == SHMC_TIMEOUT);
}

TEST(a_push_is_sent_or_not, .timeout_s = 120)
{
	kill_writer((struct act){ .name = "push", .operate = do_push, .sends = 1 });
	kill_writer((struct act){ .name = "try_push", .operate = do_try_push, .sends = 1 });
}

TEST(a_batch_is_sent_up_to_some_message, .timeout_s = 120)
{
	kill_writer((struct act){ .name = "push_batch", .operate = do_push_batch, .sends = OWN });
}

TEST(a_reservation_is_never_sent, .timeout_s = 120)
{
	kill_writer((struct act){
		.name = "reserve", .prepare = reserve_before, .operate = do_reserve });
	kill_writer((struct act){ .name = "abort", .prepare = do_reserve, .operate = do_abort });
}

TEST(a_commit_is_sent_or_not, .timeout_s = 120)
{
	kill_writer((struct act){
		.name = "commit", .prepare = do_reserve, .operate = do_commit, .sends = 1 });
}

TEST(a_push_that_waits_for_room_holds_nobody, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "push, no room",
				      .role = SHMC_BROADCAST_WRITER,
				      .before = fill_ring,
				      .prepare = wait_before,
				      .operate = do_push,
				      .may_stray = true,
				      .may_sleep = true });
}

TEST(a_writer_may_come_and_go_half_way, .timeout_s = 120)
{
	kill_writer((struct act){ .name = "open",
				  .operate = do_open_writer,
				  .opens = true,
				  .may_stray = true,
				  .samples = SAMPLES_LONG });
	kill_writer((struct act){
		.name = "close", .operate = do_close, .may_stray = true, .samples = SAMPLES_LONG });
}

/* The reader's calls */

static void do_pop(struct scene *scene)
{
	struct shmc_broadcast_message message;

	shmc_broadcast_pop(scene->own, scene->witness, BYTES, SHMC_FOREVER, &message);
}

static void do_pop_batch(struct scene *scene)
{
	struct shmc_broadcast_message messages[OWN];
	uint64_t buffer[OWN * WORDS], count;

	if (shmc_broadcast_pop_batch(scene->own, buffer, sizeof(buffer), messages, OWN, SHMC_TRY,
				     &count) == SHMC_OK)
		memcpy(scene->witness, buffer, BYTES);
}

static void do_peek(struct scene *scene)
{
	struct shmc_broadcast_message message;

	if (shmc_broadcast_peek(scene->own, SHMC_TRY, &message) == SHMC_OK)
		memcpy(scene->witness, message.data, BYTES);
}

static void do_release(struct scene *scene)
{
	shmc_broadcast_release(scene->own);
}

static void do_open_reader(struct scene *scene)
{
	shmc_broadcast_open_from(scene->own_client, "news", SHMC_BROADCAST_OLDEST, 0, &scene->own,
				 NULL);
}

TEST(a_reader_that_dies_holds_no_room, .timeout_s = 120)
{
	kill_reader((struct act){ .name = "pop", .operate = do_pop, .takes = true });
	kill_reader((struct act){ .name = "pop_batch", .operate = do_pop_batch, .takes = true });
	kill_reader((struct act){ .name = "peek", .operate = do_peek, .takes = true });
	kill_reader((struct act){ .name = "release", .prepare = do_peek, .operate = do_release });
}

TEST(a_pop_that_waits_holds_nobody, .timeout_s = 120)
{
	kill_reader((struct act){ .name = "pop, nothing there",
				  .operate = do_pop,
				  .may_stray = true,
				  .may_sleep = true });
}

TEST(a_reader_may_come_and_go_half_way, .timeout_s = 120)
{
	kill_reader((struct act){ .name = "open",
				  .operate = do_open_reader,
				  .opens = true,
				  .may_stray = true,
				  .samples = SAMPLES_LONG });
	kill_reader((struct act){
		.name = "close", .operate = do_close, .may_stray = true, .samples = SAMPLES_LONG });
}

int main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
