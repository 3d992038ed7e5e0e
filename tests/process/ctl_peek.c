/* peek and tail on what others than pub have written: states, kinds whose positions are used again,
 * and receivers that are faster. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/pipe_client.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/stream_client.h"

#define ARGUMENTS_MAX 12

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
};

static struct scene begin(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL) };

	setenv("SHMBROKER_ADDRESS", scene.broker.address, 1);
	scene.client = shmt_connect(&scene.broker);
	return scene;
}

static void end(struct scene *scene)
{
	shmc_disconnect(scene->client);
	shmt_broker_stop(&scene->broker);
}

static struct shmt_process start(const char *const *arguments)
{
	const char *argv[ARGUMENTS_MAX] = { shmt_program("SHMBROKERCTL") };

	for (int i = 1; *arguments && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *arguments++;
	return shmt_process_start(argv);
}

#define START(...) start((const char *const[]){ __VA_ARGS__, NULL })

static void expect(struct shmt_process process, const char *out)
{
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	if (result.code != 0 || strcmp(result.out, out) != 0)
		ck_abort_msg("exit code %d, stdout: %s, stderr: %s", result.code, result.out,
			     result.err);
	shmt_result_free(&result);
}

/* It says @part; not what nobody wants to see: @not, unless that is NULL. */
static void says(struct shmt_process process, const char *part, const char * not )
{
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	if (result.code != 0 || !strstr(result.out, part) || (not &&strstr(result.out, not )))
		ck_abort_msg("exit code %d, stdout: %s, stderr: %s", result.code, result.out,
			     result.err);
	shmt_result_free(&result);
}

TEST(messages_in_hands_are_shown_with_whose)
{
	struct scene scene = begin();
	struct shmc_mpmc *producer, *consumer;
	struct shmc_message message;
	void *room;

	shmt_queue_create(scene.client, "q", (struct shmc_mpmc_options){ .slots = 4 });
	producer = shmt_queue_open(scene.client, "q", SHMC_MPMC_PRODUCER);
	consumer = shmt_queue_open(scene.client, "q", SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmc_mpmc_try_push(producer, "one", 3));
	shmt_assert_ok(shmc_mpmc_try_push(producer, "two", 3));
	shmt_assert_ok(shmc_mpmc_reserve(producer, 3, SHMC_TRY, &room));
	shmt_assert_ok(shmc_mpmc_peek(consumer, SHMC_TRY, &message));
	expect(START("peek", "q"), "0  taken  endpoint 1  3 B  one\n"
				   "1  ready  3 B  two\n"
				   "2  claimed  endpoint 0\n");
	shmc_mpmc_close(producer);
	shmc_mpmc_close(consumer);
	end(&scene);
}

TEST(follower_sees_what_was_taken_before_it_looked)
{
	struct scene scene = begin();
	struct shmc_mpmc *producer, *consumer;
	struct shmt_process tail;

	shmt_queue_create(scene.client, "q", (struct shmc_mpmc_options){ .slots = 64 });
	producer = shmt_queue_open(scene.client, "q", SHMC_MPMC_PRODUCER);
	consumer = shmt_queue_open(scene.client, "q", SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmc_mpmc_try_push(producer, "first", 5));
	tail = START("tail", "q", "--follow", "--count", "4");
	shmt_process_expect(&tail, "first\n");
	for (int i = 0; i < 3; i++) {
		char text[2] = { (char)('a' + i), '\0' };
		struct shmc_message message;
		char buffer[8];

		shmt_assert_ok(shmc_mpmc_try_push(producer, text, 1));
		while (shmc_mpmc_try_pop(consumer, buffer, sizeof(buffer), &message) == SHMC_OK)
			;
	}
	shmt_process_expect(&tail, "1 B  a\n");
	shmt_process_expect(&tail, "1 B  b\n");
	shmt_process_expect(&tail, "1 B  c\n");
	expect(tail, "");
	shmc_mpmc_close(producer);
	shmc_mpmc_close(consumer);
	end(&scene);
}

TEST(what_waits_for_a_host_is_not_stale)
{
	struct scene scene = begin();
	struct shmc_pipe *client, *host;

	shmt_create_pipe(scene.client, 4096);
	client = shmt_open_pipe(scene.client, SHMC_PIPE_CLIENT);
	shmt_assert_ok(shmc_pipe_try_send(client, "early", 5));
	expect(START("peek", "pipe"), "0  for the next host  endpoint 1  5 B  early\n");
	host = shmt_open_pipe(scene.client, SHMC_PIPE_HOST);
	expect(START("peek", "pipe"), "0  ready  endpoint 1  5 B  early\n");
	shmc_pipe_close(host);
	expect(START("peek", "pipe"), "0  stale  endpoint 1  5 B  early\n");
	shmc_pipe_close(client);
	end(&scene);
}

TEST(metadata_and_frames_of_a_stream_are_shown)
{
	struct scene scene = begin();
	struct shmc_stream *writer, *reader;
	struct shmt_process tail;
	struct shmc_frame frame;

	shmt_frames_create(scene.client, "s", 4064);
	writer = shmt_frames_open(scene.client, "s", SHMC_STREAM_WRITER);
	reader = shmt_frames_open(scene.client, "s", SHMC_STREAM_READER);
	shmt_assert_ok(shmc_stream_set_metadata(writer, "640x480", 7));
	shmt_assert_ok(shmc_stream_write(writer, "one", 3, SHMC_TRY));
	shmt_assert_ok(shmc_stream_skip(writer, 1));
	shmt_assert_ok(shmc_stream_write(writer, "three", 5, SHMC_TRY));
	shmt_assert_ok(shmc_stream_borrow(reader, SHMC_TRY, &frame));
	expect(START("peek", "s"), "metadata  7 B  640x480\n"
				   "16  #1  taken  3 B  one\n"
				   "48  #3  ready  5 B  three\n");
	tail = START("tail", "s", "--max", "1", "--follow", "--count", "2");
	shmt_process_expect(&tail, "#3  ready  5 B  three\n");
	shmt_assert_ok(shmc_stream_write(writer, "four", 4, SHMC_TRY));
	shmt_process_expect(&tail, "#4  ready  4 B  four\n");
	expect(tail, "");
	shmc_stream_close(writer);
	shmc_stream_close(reader);
	end(&scene);
}

TEST(both_directions_of_a_pipe_are_shown)
{
	struct scene scene = begin();
	struct shmc_pipe *host, *client;
	struct shmt_process tail;

	shmt_create_pipe(scene.client, 4096);
	host = shmt_open_pipe(scene.client, SHMC_PIPE_HOST);
	client = shmt_open_pipe(scene.client, SHMC_PIPE_CLIENT);
	shmt_assert_ok(shmc_pipe_try_send(host, "for the client", 14));
	shmt_assert_ok(shmc_pipe_try_send(client, "for the host", 12));
	expect(START("peek", "pipe"), "0  ready  endpoint 0  14 B  for the client\n"
				      "12884901888  ready  endpoint 1  12 B  for the host\n");
	tail = START("tail", "pipe", "--max", "1", "--follow", "--count", "2");
	shmt_process_expect(&tail, "endpoint 1  12 B  for the host\n");
	shmt_assert_ok(shmc_pipe_try_send(host, "new", 3));
	shmt_process_expect(&tail, "endpoint 0  3 B  new\n");
	expect(tail, "");
	shmc_pipe_close(host);
	shmc_pipe_close(client);
	end(&scene);
}

TEST(follower_of_an_array_sees_what_changes)
{
	struct shmc_array_options options = { .element_type = SHMC_TYPE_U64, .elements = 4 };
	struct scene scene = begin();
	struct shmc_array *array;
	struct shmt_process tail;
	uint64_t value = 7;

	shmt_assert_ok(shmc_array_create(scene.client, "a", &options, NULL));
	shmt_assert_ok(shmc_array_open(scene.client, "a", SHMC_ARRAY_WRITER, NULL, &array, NULL));
	tail = START("tail", "a", "--follow", "--max", "1", "--count", "3");
	shmt_process_expect(&tail, "3  8 B  0\n");
	shmt_assert_ok(shmc_array_write(array, 1, 1, &value));
	shmt_process_expect(&tail, "1  8 B  7\n");
	value = 8;
	shmt_assert_ok(shmc_array_write(array, 2, 1, &value));
	expect(tail, "2  8 B  8\n");
	shmc_array_close(array);
	end(&scene);
}

TEST(calls_of_a_service_are_shown_with_whose)
{
	struct scene scene = begin();
	struct shmc_rpc_request request;
	struct shmc_rpc *client, *worker;
	uint64_t id;

	shmt_assert_ok(shmc_rpc_create(scene.client, "c", NULL, NULL));
	shmt_assert_ok(shmc_rpc_open(scene.client, "c", SHMC_RPC_CLIENT, &client, NULL));
	shmt_assert_ok(shmc_rpc_open(scene.client, "c", SHMC_RPC_WORKER, &worker, NULL));
	shmt_assert_ok(shmc_rpc_start(client, "one.", 4, SHMC_FOREVER, &id));
	shmt_assert_ok(shmc_rpc_start(client, "two.", 4, SHMC_FOREVER, &id));
	shmt_assert_ok(shmc_rpc_take(worker, SHMC_TRY, &request));
	expect(START("peek", "c"), "0  #1  in hand  endpoint 8  4 B  one.\n"
				   "1  #2  waiting  endpoint 8  4 B  two.\n");
	shmt_assert_ok(shmc_rpc_answer(worker, &request, 0, "1", 1));
	expect(START("peek", "c"), "0  #1  answered  endpoint 8  1 B  1\n"
				   "1  #2  waiting  endpoint 8  4 B  two.\n");
	says(START("describe", "c"), "\n       8  client  active", "free");
	says(START("describe", "c"), "never taken: 7 worker, 31 client\n", NULL);
	says(START("ls"), "  1  good", NULL);
	shmc_rpc_close(client);
	shmc_rpc_close(worker);
	end(&scene);
}

TEST(elements_of_a_ring_are_shown_and_followed)
{
	struct shmc_ring_options options = { .element_type = SHMC_TYPE_I32, .elements = 8 };
	struct scene scene = begin();
	struct shmc_ring_totals totals;
	struct shmc_ring_span span;
	struct shmc_ring *producer, *consumer;
	struct shmt_process tail;
	int32_t numbers[] = { 5, -6, 7 }, got;
	uint64_t count;

	shmt_assert_ok(shmc_ring_create(scene.client, "r", &options, NULL));
	shmt_assert_ok(
		shmc_ring_open(scene.client, "r", SHMC_RING_PRODUCER, NULL, &producer, NULL));
	shmt_assert_ok(
		shmc_ring_open(scene.client, "r", SHMC_RING_CONSUMER, NULL, &consumer, NULL));
	shmt_assert_ok(shmc_ring_push(producer, numbers, 3, 3, SHMC_TRY, &count));
	shmt_assert_ok(shmc_ring_pop(consumer, &got, 1, 1, SHMC_TRY, &span));
	shmt_assert_ok(shmc_ring_peek(consumer, 0, 1, 1, SHMC_TRY, &span));
	expect(START("peek", "r"), "1  taken  4 B  -6\n2  ready  4 B  7\n");
	tail = START("tail", "r", "--follow", "--count", "3");
	shmt_process_expect(&tail, "4 B  7\n");
	shmt_assert_ok(shmc_ring_push_overwrite(producer, numbers, 1));
	expect(tail, "3  ready  4 B  5\n");
	shmt_assert_ok(shmc_ring_totals(producer, &totals));
	ck_assert_uint_eq(totals.depth, 3);
	says(START("ls"), "  3  good", NULL);
	shmc_ring_close(producer);
	shmc_ring_close(consumer);
	end(&scene);
}

TEST(objects_of_a_pool_are_shown_with_whose)
{
	struct shmc_pool_options options = { .object_bytes = 4, .objects = 3 };
	struct scene scene = begin();
	struct shmc_pool *pool;
	uint64_t handles[2], count;

	shmt_assert_ok(shmc_pool_create(scene.client, "p", &options, NULL));
	shmt_assert_ok(shmc_pool_open(scene.client, "p", SHMC_POOL_USER, NULL, &pool, NULL));
	shmt_assert_ok(shmc_pool_acquire_batch(pool, 2, SHMC_TRY, handles, &count));
	memcpy(shmc_pool_data(pool, handles[0]), "one.", 4);
	memcpy(shmc_pool_data(pool, handles[1]), "two.", 4);
	shmt_assert_ok(shmc_pool_transfer(pool, handles[1], SHMC_POOL_ANYONE));
	expect(START("peek", "p"), "0  #1  owned  endpoint 0  4 B  one.\n"
				   "1  #2  in transit to anyone  endpoint 0  4 B  two.\n"
				   "2  #3  free\n");
	says(START("describe", "p"), "\nnever taken: 63 user\n", NULL);
	shmc_pool_close(pool);
	end(&scene);
}

TEST(a_line_that_is_no_message_of_its_type_is_named)
{
	static const struct shmc_pipe_type type = { .name = "word", .bytes = 8 };
	struct shmc_pipe_options options = { .types.client = &type };
	struct scene scene = begin();
	struct shmt_process pub;
	struct shmt_result result;

	shmt_assert_ok(shmc_pipe_create(scene.client, "t", &options, NULL));
	pub = START("pub", "t");
	result = shmt_process_finish(&pub, "12345678\nshort\n", 15);
	ck_assert_int_eq(result.code, 1);
	ck_assert_ptr_nonnull(strstr(result.err, "line 2 is too short"));
	ck_assert_ptr_nonnull(strstr(result.err, "8 bytes"));
	shmt_result_free(&result);
	expect(START("peek", "t"), "0  for the next host  endpoint 1  8 B  12345678\n");
	end(&scene);
}

TEST(digits_that_nobody_asked_for_are_a_screenful)
{
	struct scene scene = begin();
	struct shmc_stream *writer;
	char frame[300] = { 1 };

	shmt_assert_ok(shmc_stream_create(scene.client, "s", NULL, NULL));
	shmt_assert_ok(shmc_stream_open(scene.client, "s", SHMC_STREAM_WRITER, &writer, NULL));
	shmt_assert_ok(shmc_stream_write(writer, frame, sizeof(frame), SHMC_TRY));
	says(START("peek", "s"), "\n  and 44 B more (--hex)\n", "  00000100 ");
	says(START("peek", "--hex", "s"), "\n  00000120 ", "more");
	shmc_stream_close(writer);
	end(&scene);
}

SHMT_MAIN
