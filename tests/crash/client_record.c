/*
 * Records through the library, with a real broker: a writer, a watcher or a reader dies after every
 * instruction of a public call. Readers find the version before or the new one, whole; the next
 * writer gets in, without being told, as soon as the broker has repaired, and goes on from there.
 */
#include <string.h>

#include "shmclient/record.h"
#include "tests/crash/sweep.h"

enum {
	WORDS = 12,
	BEFORE = 7, /* what all words of the version before say */
	AFTER = 9,  /* of the call's */
	LATER = 11, /* of the successor's */
};

struct act {
	const char *name;
	enum shmc_record_role role;
	void (*prepare)(void *scene);
	void (*operate)(void *scene);
	bool commits;
	bool reads; /* to the witness, by its end */
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_record *other;  /* the parent's, a writer */
	struct shmc_record *reader; /* the parent's */
	uint64_t *witness;
	const struct act *act;
	struct sweep sweep;
	/* the child's */
	struct shmc_record *own;
	uint64_t words[WORDS];
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static void fill(uint64_t *words, uint64_t value)
{
	for (int i = 0; i < WORDS; i++)
		words[i] = value;
}

static bool is_whole(const uint64_t *words)
{
	for (int i = 1; i < WORDS; i++)
		if (words[i] != words[0])
			return false;
	return true;
}

static enum shmc_result write_all(struct shmc_record *record, uint64_t value, int64_t timeout_ns)
{
	uint64_t words[WORDS];

	fill(words, value);
	return shmc_record_write(record, words, sizeof(words), timeout_ns);
}

/* What a reader finds, and how many versions there were. */
static uint64_t value_of(struct scene *scene, uint64_t *ret_number)
{
	uint64_t words[WORDS];

	CHECK(shmc_record_read(scene->reader, words, sizeof(words), ret_number) == SHMC_OK);
	CHECK(is_whole(words));
	return words[0];
}

/* After the death */

static void check(void *context)
{
	struct scene *scene = context;
	const struct act *act = scene->act;
	struct shmc_record *successor;
	uint64_t number, value;

	/* also while the lock is the dead one's */
	value = value_of(scene, &number);
	CHECK((number == 1 && value == BEFORE) || (act->commits && number == 2 && value == AFTER));
	CHECK(!act->commits || !scene->sweep.has_ended || number == 2);
	if (act->reads && scene->sweep.has_ended)
		CHECK(scene->witness[0] == BEFORE && is_whole(scene->witness));
	/* who waits gets in, and is not told; nobody stays in the way */
	CHECK(write_all(scene->other, LATER, SWEEP_SOON_NS) == SHMC_OK);
	CHECK(value_of(scene, &value) == LATER && value == number + 1);
	SWEEP_SUCCEED(&scene->sweep,
		      shmc_record_open(scene->client, "record", act->role, NULL, &successor, NULL));
	CHECK(shmc_record_snapshot(successor) == SHMC_OK);
	CHECK(shmc_record_number(successor) == number + 1);
	shmc_record_close(successor);
}

/* Before it */

static void set_up(void *context)
{
	static const struct shmc_field fields[] = {
		{ .name = "words", .type = SHMC_TYPE_U64, .count = WORDS - 1 },
	};
	struct shmc_record_options options = { .fields = fields, .field_count = 1 };
	struct scene *scene = context;

	shmt_assert_ok(shmc_record_create(scene->client, "record", &options, NULL));
	shmt_assert_ok(shmc_record_open(scene->client, "record", SHMC_RECORD_WRITER, NULL,
					&scene->other, NULL));
	shmt_assert_ok(shmc_record_open(scene->client, "record", SHMC_RECORD_READER, NULL,
					&scene->reader, NULL));
	/* its length, which is the array's first word, and the elements */
	CHECK(shmc_record_bytes(scene->reader) == WORDS * sizeof(uint64_t));
	shmt_assert_ok(write_all(scene->other, BEFORE, SHMC_TRY));
	scene->witness = sweep_witness(WORDS * sizeof(uint64_t));
}

static void prepare(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(shmc_record_open(shmt_connect(&scene->broker), "record", scene->act->role,
					NULL, &scene->own, NULL));
	fill(scene->words, AFTER);
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_record_close(scene->other);
	shmc_record_close(scene->reader);
	shmt_assert_ok(shmc_unlink(scene->client, "record", NULL));
}

static void kill_everywhere(struct act act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .act = &act };

	scene.client = shmt_connect(&scene.broker);
	scene.sweep = (struct sweep){ .name = act.name,
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .operate = act.operate,
				      .check = check,
				      .tear_down = tear_down };
	sweep_everywhere(&scene.sweep);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* The calls */

static void do_write(void *context)
{
	struct scene *scene = context;

	shmc_record_write(scene->own, scene->words, sizeof(scene->words), SHMC_FOREVER);
}

static void do_begin(void *context)
{
	struct scene *scene = context;

	shmc_record_begin(scene->own, SHMC_FOREVER);
}

/* Begun, and the draft is written. */
static void edit(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(shmc_record_begin(scene->own, SHMC_TRY));
	memcpy(shmc_record_edit(scene->own), scene->words, sizeof(scene->words));
}

static void do_commit(void *context)
{
	struct scene *scene = context;

	shmc_record_commit(scene->own);
}

static void do_abort(void *context)
{
	struct scene *scene = context;

	shmc_record_abort(scene->own);
}

static void do_read(void *context)
{
	struct scene *scene = context;

	shmc_record_read(scene->own, scene->witness, WORDS * sizeof(uint64_t), NULL);
}

static void do_snapshot(void *context)
{
	struct scene *scene = context;

	if (shmc_record_snapshot(scene->own) == SHMC_OK)
		memcpy(scene->witness, shmc_record_data(scene->own), WORDS * sizeof(uint64_t));
}

static void do_wait(void *context)
{
	struct scene *scene = context;

	shmc_record_wait(scene->own, SHMC_TRY);
}

TEST(a_write_is_committed_whole_or_not_at_all, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_record_write",
				      .role = SHMC_RECORD_WRITER,
				      .operate = do_write,
				      .commits = true });
}

TEST(a_transaction_is_committed_whole_or_not_at_all, .timeout_s = 120)
{
	kill_everywhere((struct act){
		.name = "shmc_record_begin", .role = SHMC_RECORD_WRITER, .operate = do_begin });
	kill_everywhere((struct act){ .name = "shmc_record_commit",
				      .role = SHMC_RECORD_WRITER,
				      .prepare = edit,
				      .operate = do_commit,
				      .commits = true });
	kill_everywhere((struct act){ .name = "shmc_record_abort",
				      .role = SHMC_RECORD_WRITER,
				      .prepare = edit,
				      .operate = do_abort });
}

TEST(who_dies_reading_leaves_no_trace, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_record_read",
				      .role = SHMC_RECORD_READER,
				      .operate = do_read,
				      .reads = true });
	kill_everywhere((struct act){ .name = "shmc_record_snapshot",
				      .role = SHMC_RECORD_WATCHER,
				      .operate = do_snapshot,
				      .reads = true });
	kill_everywhere((struct act){
		.name = "shmc_record_wait", .role = SHMC_RECORD_WATCHER, .operate = do_wait });
}

SWEEP_MAIN
