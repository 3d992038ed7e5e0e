/* pub and sub on every kind that moves messages: lines in, the same lines out. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 16
#define LINES	      3000u
#define LINE_BYTES    32

static struct shmt_broker broker;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
}

static struct shmt_process start(const char *const *arguments)
{
	const char *argv[ARGUMENTS_MAX] = { shmt_program("SHMBROKERCTL") };

	for (int i = 1; *arguments && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *arguments++;
	return shmt_process_start(argv);
}

static struct shmt_result run(const char *input, const char *const *arguments)
{
	struct shmt_process process = start(arguments);

	return shmt_process_finish(&process, input, strlen(input));
}

#define LIST(...)	 ((const char *const[]){ __VA_ARGS__, NULL })
#define START(...)	 start(LIST(__VA_ARGS__))
#define CTL(...)	 run("", LIST(__VA_ARGS__))
#define FEED(input, ...) run(input, LIST(__VA_ARGS__))
#define FINISH(process)	 shmt_process_finish(process, "", 0)

/* Checks and frees: its exit code, and what it says where; NULL = whatever. */
#define expect(...) expect_at(__LINE__, __VA_ARGS__)

static void expect_at(int line, struct shmt_result result, int code, const char *out,
		      const char *err)
{
	bool is_said = !err || (*err ? strstr(result.err, err) != NULL : !*result.err);

	if (result.code != code || (out && strcmp(result.out, out) != 0) || !is_said)
		ck_abort_msg("line %d: exit code %d, stdout: %s, stderr: %s", line, result.code,
			     result.out, result.err);
	shmt_result_free(&result);
}

static void await_many(const char *name, const char *what, int count)
{
	int seen;

	do {
		struct shmt_result result = CTL("-j", "describe", name);

		seen = 0;
		for (const char *at = result.out; (at = strstr(at, what)); at++)
			seen++;
		shmt_result_free(&result);
	} while (seen < count);
}

/* Until @count processes hold a place in it. */
static void await_holders(const char *name, int count)
{
	await_many(name, "\"state\":\"active\"", count);
}

/* Until @count processes wait for messages: a place that is held may not be taken up yet. */
static void await_waiting(const char *name, int count)
{
	await_many(name, "\"waiting\":true", count);
}

/* Numbered lines, and an empty one now and then; to be freed. */
static char *make_lines(void)
{
	char *lines = calloc(LINES, LINE_BYTES);
	char *at = lines;

	for (unsigned i = 0; i < LINES; i++)
		at += i % 100 == 7 ? sprintf(at, "\n") : sprintf(at, "%u \xff %x\n", i, i * i);
	return lines;
}

TEST(lines_of_a_shared_queue_arrive_as_they_were_sent)
{
	begin();
	expect(CTL("create", "q", "mpmc"), 0, NULL, "");
	expect(FEED("one\n\ntwo \xff\n last", "-j", "pub", "q"), 0,
	       "{\"messages\":4,\"bytes\":13}\n", "");
	expect(CTL("sub", "q", "--count", "3"), 0, "one\n\ntwo \xff\n", "");
	expect(CTL("sub", "q", "--timeout", "0.1"), 5, " last\n", "100 ms");
	shmt_broker_stop(&broker);
}

TEST(lines_of_a_broadcast_arrive_as_they_were_sent)
{
	begin();
	expect(CTL("create", "b", "broadcast"), 0, NULL, "");
	expect(FEED("one\n\ntwo \xff\n last", "-j", "pub", "b"), 0,
	       "{\"messages\":4,\"bytes\":13}\n", "");
	for (int i = 0; i < 2; i++)
		expect(CTL("sub", "b", "--from", "oldest", "--count", "4"), 0,
		       "one\n\ntwo \xff\n last\n", "");
	expect(CTL("sub", "b", "--from=newest", "--timeout", "0.1"), 5, "", "100 ms");
	expect(CTL("sub", "b", "--timeout", "0.1"), 5, "", "100 ms");
	shmt_broker_stop(&broker);
}

TEST(lines_of_a_stream_arrive_as_frames)
{
	begin();
	expect(CTL("create", "s", "stream"), 0, NULL, "");
	expect(FEED("one\n\ntwo \xff\n last", "-j", "pub", "s"), 0,
	       "{\"messages\":4,\"bytes\":13}\n", "");
	expect(CTL("sub", "s", "--count", "3"), 0, "one\n\ntwo \xff\n", "");
	expect(FEED("five\n", "pub", "s"), 0, NULL, "");
	expect(CTL("sub", "s"), 0, " last\nfive\n", "");
	shmt_broker_stop(&broker);
}

/* Less than a pipe holds: whoever is started afterwards may be looked after first. */
static void give(struct shmt_process *process, const char *lines)
{
	shmt_process_write(process, lines);
	close(process->in);
	process->in = -1;
}

TEST(all_receivers_of_a_broadcast_get_all_of_a_stream, .timeout_s = 60)
{
	struct shmt_process one, two, pub;
	char *lines = make_lines();
	char count[16];

	begin();
	snprintf(count, sizeof(count), "%u", LINES);
	expect(CTL("create", "b", "broadcast", "capacity_bytes=4096", "block=1"), 0, NULL, "");
	one = START("sub", "b", "--from", "oldest", "--count", count);
	two = START("sub", "b", "--from", "oldest", "--count", count);
	await_waiting("b", 2);
	pub = START("pub", "b");
	give(&pub, lines);
	expect(FINISH(&one), 0, lines, "");
	expect(FINISH(&two), 0, lines, "");
	expect(FINISH(&pub), 0, "", "");
	free(lines);
	shmt_broker_stop(&broker);
}

/* Counts the numbers of its lines. */
static void mark(struct shmt_result result, unsigned *seen)
{
	ck_assert_msg(result.code == 0, "exit code %d: %s", result.code, result.err);
	for (char *at = result.out; *at; at = strchr(at, '\n') + 1) {
		unsigned long number = strtoul(at, NULL, 10);

		ck_assert_uint_lt(number, LINES);
		seen[number]++;
	}
	shmt_result_free(&result);
}

TEST(receivers_of_a_shared_queue_get_each_line_once, .timeout_s = 60)
{
	struct shmt_process one, two, pub;
	unsigned seen[LINES] = { 0 };
	char *lines = calloc(LINES, LINE_BYTES), *at = lines;
	char half[16];

	begin();
	for (unsigned i = 0; i < LINES; i++)
		at += sprintf(at, "%u\n", i);
	snprintf(half, sizeof(half), "%u", LINES / 2);
	expect(CTL("create", "q", "mpmc", "slots=16"), 0, NULL, "");
	one = START("sub", "q", "--count", half);
	two = START("sub", "q", "--count", half);
	pub = START("pub", "q");
	give(&pub, lines);
	mark(FINISH(&one), seen);
	mark(FINISH(&two), seen);
	expect(FINISH(&pub), 0, "", "");
	for (unsigned i = 0; i < LINES; i++)
		ck_assert_uint_eq(seen[i], 1);
	free(lines);
	shmt_broker_stop(&broker);
}

TEST(line_of_any_length_passes_through_a_broadcast)
{
	size_t bytes = 500000;
	char *line = malloc(bytes + 2);

	begin();
	memset(line, 'x', bytes);
	memcpy(line + bytes, "\n", 2);
	expect(CTL("create", "b", "broadcast", "capacity_bytes=1M"), 0, NULL, "");
	expect(FEED("short\n", "pub", "b"), 0, "", "");
	expect(FEED(line, "pub", "b"), 0, "", "");
	expect(CTL("sub", "b", "--from", "oldest", "-r", "-n1"), 0, "short", "");
	line[bytes] = '\n';
	expect(FEED(line, "pub", "--block", "500K", "b"), 0, "", "");
	expect(CTL("sub", "b", "--from", "oldest", "-n3"), 0, NULL, "");
	free(line);
	shmt_broker_stop(&broker);
}

TEST(line_over_the_limit_is_named)
{
	char input[128] = "short\n";

	begin();
	memset(input + 6, 'x', 100);
	expect(CTL("create", "q", "mpmc"), 0, NULL, "");
	expect(FEED(input, "pub", "q"), 1, "", "line 2");
	expect(FEED(input, "pub", "q", "--block", "49"), 1, "", "may have 48 bytes");
	expect(CTL("sub", "q", "-n", "1"), 0, "short\n", "");
	shmt_broker_stop(&broker);
}

/* Frees. */
static bool has_in(struct shmt_result result, const char *part)
{
	bool is_there = strstr(result.out, part) != NULL;

	shmt_result_free(&result);
	return is_there;
}

static void stop(const struct shmt_process *process)
{
	int status;

	kill(process->pid, SIGSTOP);
	ck_assert_int_eq(waitpid(process->pid, &status, WUNTRACED), process->pid);
	ck_assert(WIFSTOPPED(status));
}

TEST(receiver_that_was_lapped_says_how_much_it_lost_and_goes_on)
{
	struct shmt_process sub;
	char *lines = calloc(LINES, LINE_BYTES), *at = lines;
	char text[256] = "";
	FILE *out, *err;
	unsigned lost = 0;

	begin();
	for (unsigned i = 0; i < LINES; i++)
		at += sprintf(at, "%u\n", i);
	expect(CTL("create", "b", "broadcast", "capacity_bytes=4096"), 0, NULL, "");
	expect(FEED("first\n", "pub", "b"), 0, "", "");
	sub = START("sub", "b", "--from", "oldest");
	shmt_process_expect(&sub, "first\n");
	stop(&sub);
	expect(FEED(lines, "pub", "b"), 0, "", "");
	kill(sub.pid, SIGCONT);
	err = fdopen(dup(sub.err), "r");
	out = fdopen(dup(sub.out), "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), err));
	ck_assert_msg(sscanf(text, "shmbrokerctl: lapped: %u messages of 'b'", &lost) == 1, "%s",
		      text);
	ck_assert_uint_gt(lost, 0);
	for (; lost < LINES; lost++) {
		ck_assert_ptr_nonnull(fgets(text, sizeof(text), out));
		ck_assert_uint_eq(strtoul(text, NULL, 10), lost);
	}
	kill(sub.pid, SIGTERM);
	expect(FINISH(&sub), 128 + SIGTERM, "", "");
	fclose(out);
	fclose(err);
	free(lines);
	shmt_broker_stop(&broker);
}

static unsigned count_of(const char *text, const char *part)
{
	unsigned count = 0;

	for (text = strstr(text, part); text; text = strstr(text + 1, part))
		count++;
	return count;
}

TEST(receiver_that_was_lapped_by_many_says_so_once)
{
	struct shmt_process sub, pubs[2];
	char *lines = calloc(LINES, LINE_BYTES), *at = lines;
	unsigned lost, first, second;
	struct shmt_result result;
	const char *told;

	begin();
	for (unsigned i = 0; i < LINES; i++)
		at += sprintf(at, "%u\n", i);
	expect(CTL("create", "b", "broadcast", "capacity_bytes=4096"), 0, NULL, "");
	sub = START("sub", "b", "--from", "oldest");
	for (int i = 0; i < 2; i++) {
		pubs[i] = START("pub", "b");
		shmt_process_write(&pubs[i], "begin\n");
		shmt_process_expect(&sub, "begin\n");
	}
	stop(&sub);
	for (int i = 0; i < 2; i++)
		expect(shmt_process_finish(&pubs[i], lines, strlen(lines)), 0, "", "");
	kill(sub.pid, SIGCONT);
	/* in the place of the first one, of whom nothing else is there any more */
	expect(FEED("begin\nlast\n", "pub", "b"), 0, "", "");
	shmt_process_expect(&sub, "last\n");
	kill(sub.pid, SIGTERM);
	result = FINISH(&sub);
	ck_assert_int_eq(result.code, 128 + SIGTERM);
	ck_assert_uint_eq(count_of(result.err, "lapped"), 1);
	told = strstr(result.err, "lapped");
	ck_assert_msg(sscanf(told,
			     "lapped: %u messages of 'b' were written over before they were "
			     "read (writer 0: %u, writer 1: %u)",
			     &lost, &first, &second) == 3,
		      "%s", result.err);
	ck_assert_uint_eq(lost, first + second);
	ck_assert_uint_eq(first, LINES);
	ck_assert_uint_lt(second, LINES);
	shmt_result_free(&result);
	free(lines);
	shmt_broker_stop(&broker);
}

TEST(message_that_stdout_does_not_take_goes_to_another)
{
	struct shmt_process sub;

	begin();
	expect(CTL("create", "q", "mpmc"), 0, NULL, "");
	sub = START("sub", "q");
	close(sub.out);
	sub.out = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect(FEED("one\ntwo\n", "pub", "q"), 0, "", "");
	expect(FINISH(&sub), 128 + SIGPIPE, "", "");
	expect(CTL("-j", "sub", "q", "--count", "2"), 0,
	       "{\"bytes\":3,\"text\":\"one\",\"redelivered\":true}\n"
	       "{\"bytes\":3,\"text\":\"two\"}\n",
	       "");
	shmt_broker_stop(&broker);
}

TEST(receivers_end_by_signal_and_with_the_broker)
{
	static const char *const kinds[] = { "mpmc", "broadcast" };
	struct shmt_process subs[2], stopped;

	begin();
	for (int i = 0; i < 2; i++) {
		expect(CTL("create", kinds[i], kinds[i]), 0, NULL, "");
		subs[i] = START("sub", kinds[i]);
		await_holders(kinds[i], 1);
		stopped = START("sub", kinds[i]);
		await_holders(kinds[i], 2);
		kill(stopped.pid, SIGTERM);
		expect(FINISH(&stopped), 128 + SIGTERM, "", "");
	}
	shmt_broker_kill(&broker);
	for (int i = 0; i < 2; i++)
		expect(FINISH(&subs[i]), 3, "", NULL);
	shmt_broker_remove(&broker);
}

TEST(sender_to_a_full_one_says_that_the_broker_has_gone)
{
	static const char *const kinds[] = { "spsc", "mpmc", "stream" };
	static const char *const sizes[] = { "capacity_bytes=4096", "slots=4",
					     "capacity_bytes=4064" };
	struct shmt_process pub;
	char *lines = calloc(LINES, LINE_BYTES), *at = lines;

	for (unsigned i = 0; i < LINES; i++)
		at += sprintf(at, "%u\n", i);
	for (int i = 0; i < 3; i++) {
		begin();
		expect(CTL("create", "q", kinds[i], sizes[i]), 0, NULL, "");
		pub = START("pub", "q");
		shmt_process_write(&pub, lines);
		while (!has_in(CTL("describe", "q"), "waiting"))
			;
		shmt_broker_kill(&broker);
		expect(FINISH(&pub), 3, "", "messages of 'q' moved by this run: ");
	}
	free(lines);
}

TEST(full_ones_are_waited_for_as_long_as_asked)
{
	struct shmt_process sub;

	begin();
	expect(CTL("create", "q", "mpmc", "slots=2"), 0, NULL, "");
	expect(FEED("1\n2\n3\n", "pub", "q", "--timeout", "0.1"), 5, "", "100 ms");
	expect(CTL("sub", "q", "--count", "2"), 0, "1\n2\n", "");
	sub = START("sub", "q", "--count", "3");
	expect(FEED("4\n5\n6\n", "pub", "q"), 0, "", "");
	expect(FINISH(&sub), 0, "4\n5\n6\n", "");
	shmt_broker_stop(&broker);
}

TEST(kind_is_found_without_the_control_socket)
{
	static const char *const kinds[] = { "spsc", "mpmc", "broadcast", "stream", "pipe" };

	begin();
	setenv("SHMBROKER_CONTROL_ADDRESS", "/nowhere/control.sock", 1);
	for (int i = 0; i < 5; i++) {
		expect(CTL("create", kinds[i], kinds[i]), 0, NULL, "");
		expect(FEED("one\n", "pub", kinds[i]), 0, "", "");
	}
	expect(CTL("sub", "spsc"), 0, "one\n", "");
	expect(CTL("sub", "stream"), 0, "one\n", "");
	expect(CTL("sub", "pipe"), 0, "one\n", "");
	expect(CTL("sub", "mpmc", "-n1"), 0, "one\n", "");
	expect(CTL("sub", "broadcast", "-n1", "--from", "oldest"), 0, "one\n", "");
	expect(CTL("create", "a", "atomic", "type=u64"), 0, NULL, "");
	expect(FEED("one\n", "pub", "a"), 1, "", "a is of kind atomic");
	expect(CTL("sub", "none"), 1, "", "--create makes it");
	shmt_broker_stop(&broker);
}

TEST(kind_that_moves_no_messages_is_named_with_what_works_on_it)
{
	begin();
	expect(CTL("create", "a", "atomic", "type=u64"), 0, NULL, "");
	expect(FEED("one\n", "pub", "a"), 1, "", "'a' is of kind atomic");
	expect(CTL("sub", "a"), 1, "", "spsc, mpmc, broadcast, stream, pipe");
	expect(CTL("sub", "--create", "a"), 1, "", "peek and tail");
	expect(CTL("-j", "sub", "a"), 1, "", "\"error\":\"MISMATCH\"");
	expect(CTL("sub", "--create=8K", "a"), 1, "", "atomic");
	shmt_broker_stop(&broker);
}

TEST(only_a_broadcast_is_read_from_somewhere)
{
	begin();
	expect(CTL("create", "q", "spsc"), 0, NULL, "");
	expect(CTL("sub", "q", "--from", "oldest"), 2, "", "of kind spsc");
	expect(CTL("sub", "q", "--from", "middle"), 2, "", "--from middle");
	expect(FEED("", "pub", "q", "--from", "oldest"), 2, "", "takes no --from");
	shmt_broker_stop(&broker);
}

SHMT_MAIN
