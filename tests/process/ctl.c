/*
 * shmbrokerctl as a person or a script uses it, against a broker of its own.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 16

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

static struct shmt_result run(const void *input, size_t bytes, const char *const *arguments)
{
	struct shmt_process process = start(arguments);

	return shmt_process_finish(&process, input, bytes);
}

#define LIST(...)	 ((const char *const[]){ __VA_ARGS__, NULL })
#define START(...)	 start(LIST(__VA_ARGS__))
#define CTL(...)	 run("", 0, LIST(__VA_ARGS__))
#define FEED(input, ...) run(input, strlen(input), LIST(__VA_ARGS__))

/* Checks and frees: its exit code, and what it says where; NULL = whatever. */
#define expect(...) expect_at(__LINE__, __VA_ARGS__)

static void expect_at(int line, struct shmt_result result, int code, const char *out,
		      const char *err)
{
	bool is_said = !err || strstr(result.err, err);

	if (result.code != code || (out && strcmp(result.out, out) != 0) || !is_said)
		ck_abort_msg("line %d: exit code %d, stdout: %s, stderr: %s", line, result.code,
			     result.out, result.err);
	shmt_result_free(&result);
}

#define expect_part(...) expect_part_at(__LINE__, __VA_ARGS__)

static void expect_part_at(int line, struct shmt_result result, const char *part)
{
	if (result.code != 0 || !strstr(result.out, part))
		ck_abort_msg("line %d: exit code %d, stdout: %s, stderr: %s", line, result.code,
			     result.out, result.err);
	shmt_result_free(&result);
}

TEST(status_says_where_the_broker_is)
{
	begin();
	expect_part(CTL("status"), broker.address);
	expect_part(CTL("--json", "status"), "\"segments\":0");
	expect_part(CTL("ping"), broker.control);
	expect_part(CTL("version"), "shmbrokerd ");
	shmt_broker_stop(&broker);
}

TEST(control_socket_elsewhere_is_found_when_named)
{
	begin();
	unsetenv("SHMBROKER_ADDRESS");
	setenv("SHMBROKER_CONTROL_ADDRESS", broker.control, 1);
	expect(CTL("ping"), 0, NULL, NULL);
	expect(CTL("--address", "/nowhere/a.sock", "ping"), 3, "", "/nowhere/control.sock");
	expect(CTL("--address", "/nowhere/a.sock", "--control", broker.control, "ping"), 0, NULL,
	       NULL);
	shmt_broker_stop(&broker);
}

TEST(types_are_chosen_by_their_names)
{
	begin();
	expect_part(CTL("create", "a", "atomic", "type=u64"), "type u64");
	expect_part(CTL("create", "b", "array", "element_type=double"), "element_bytes 8 B");
	expect(CTL("create", "c", "atomic", "type=word"), 2, "", "not a number");
	expect(CTL("create", "c", "array", "elements=u64"), 2, "", "not a number");
	shmt_broker_stop(&broker);
}

TEST(created_segment_is_listed_described_and_removed)
{
	begin();
	expect_part(CTL("create", "a/b", "spsc", "capacity_bytes=5000", "mode=640"),
		    "capacity_bytes 8 KiB");
	expect_part(CTL("ls"), "a/b");
	expect_part(CTL("ls", "a/"), "0640");
	expect(CTL("ls", "b"), 0, "", NULL);
	expect_part(CTL("describe", "a/b"), "consumer");
	expect(CTL("rm", "a/b"), 0, "", NULL);
	expect(CTL("rm", "a/b"), 1, "", "a/b");
	shmt_broker_stop(&broker);
}

TEST(options_of_all_kinds_are_beside_those_of_one)
{
	begin();
	expect(CTL("create", "a", "prefault=yes", "mlock=no"), 0, NULL, NULL);
	expect_part(CTL("describe", "a"), "64 KiB data, prefaulted\n");
	expect_part(CTL("-j", "describe", "a"), "\"mlock\":false");
	expect(CTL("create", "b", "mlock=1"), 2, "", "yes nor no");
	expect(CTL("create", "b", "owner=nobody-of-that-name"), 2, "", "no such user");
	expect(CTL("create", "b", "huge_pages=yes"), 1, "", "huge_pages");
	expect(CTL("create", "b", "spsc", "bogus=1"), 1, "", "shmbrokerctl kinds");
	shmt_broker_stop(&broker);
}

TEST(refusals_name_what_is_wrong)
{
	begin();
	expect(CTL("create", "a"), 0, NULL, NULL);
	expect(CTL("create", "a"), 1, "", "a exists");
	expect(CTL("create", "a", "--reuse"), 0, NULL, NULL);
	expect(CTL("create", "b", "nonsense"), 1, "", "nonsense");
	expect(CTL("create", "b", "spsc", "bogus=1"), 1, "", "bogus");
	expect(CTL("create", "b//c"), 1, "", "b//c");
	expect(CTL("describe", "b"), 1, "", "b");
	expect(CTL("sub", "b"), 1, "", "--create makes it");
	expect(CTL("-j", "describe", "b"), 1, "", "\"error\":\"org.shmbroker.control.NotFound\"");
	shmt_broker_stop(&broker);
}

TEST(list_longer_than_a_page_is_whole)
{
	char name[32];
	struct shmt_result result;
	size_t lines = 0;

	begin();
	for (int i = 0; i < 130; i++) {
		snprintf(name, sizeof(name), "many/%03d", i);
		expect(CTL("create", name, "capacity_bytes=4096"), 0, NULL, NULL);
	}
	expect(CTL("create", "other"), 0, NULL, NULL);
	result = CTL("--json", "ls", "many/");
	for (const char *at = result.out; (at = strchr(at, '\n')); at++)
		lines++;
	ck_assert_uint_eq(lines, 130);
	expect_part(result, "\"name\":\"many/129\"");
	shmt_broker_stop(&broker);
}

TEST(wrong_command_lines_are_told_from_failures)
{
	expect(CTL("nonsense"), 2, "", "nonsense");
	expect(CTL("ls", "a", "b"), 2, "", "'b'");
	expect(CTL("ls", "--raw"), 2, "", "--raw");
	expect(CTL("sub", "a", "--count", "x"), 2, "", "--count x");
	expect(CTL("sub"), 2, "", "NAME");
	expect(CTL("create", "a", "spsc", "capacity_bytes"), 2, "", "OPTION=VALUE");
	expect(CTL("--system", "--address", "x", "ls"), 2, "", NULL);
	expect(CTL("--help"), 0, NULL, "");
	expect_part(CTL("help", "sub"), "--follow");
	expect_part(CTL("help", "man"), ".SH EXIT STATUS");
}

TEST(no_broker_has_its_own_exit_code_and_names_the_addresses)
{
	setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
	unsetenv("SHMBROKER_ADDRESS");
	expect(CTL("--user", "status"), 3, "", "/nowhere/shmbroker/control.sock");
	expect(CTL("--address", "/nowhere/a.sock", "status"), 3, "", "/nowhere/control.sock");
	expect(CTL("--address", "/nowhere/a.sock", "create", "x"), 3, "", "/nowhere/a.sock");
	expect(CTL("--address", "/nowhere/a.sock", "pub", "x"), 3, "", "/nowhere/a.sock");
	expect_part(CTL("--user", "version"), "shmbrokerctl ");
}

TEST(stopped_broker_is_not_waited_for_in_vain, .timeout_s = 30)
{
	begin();
	kill(broker.pid, SIGSTOP);
	expect(CTL("ping"), 3, "", "did not answer");
	kill(broker.pid, SIGCONT);
	expect(CTL("ping"), 0, NULL, NULL);
	shmt_broker_stop(&broker);
}

TEST(lines_arrive_as_they_were_sent)
{
	begin();
	expect(FEED("one\n\ntwo \xff\n last", "pub", "--create", "q"), 0, "", NULL);
	expect(CTL("sub", "q"), 0, "one\n\ntwo \xff\n last\n", "");
	expect(CTL("sub", "q"), 0, "", "");
	shmt_broker_stop(&broker);
}

TEST(json_messages_are_text_or_base64)
{
	begin();
	expect(FEED("a\"\n\xff\xfe\n\n", "-j", "pub", "--create", "q"), 0,
	       "{\"messages\":3,\"bytes\":4}\n", NULL);
	expect(CTL("-j", "sub", "q"), 0,
	       "{\"bytes\":2,\"text\":\"a\\\"\"}\n"
	       "{\"bytes\":2,\"base64\":\"//4=\"}\n"
	       "{\"bytes\":0,\"text\":\"\"}\n",
	       "");
	shmt_broker_stop(&broker);
}

/* @bytes of anything, to be freed. */
static unsigned char *noise(size_t bytes)
{
	struct shmt_random random = { shmt_seed() };
	unsigned char *data = malloc(bytes);

	for (size_t i = 0; i < bytes; i++)
		data[i] = (unsigned char)shmt_random_next(&random);
	return data;
}

TEST(blocks_are_any_bytes)
{
	size_t bytes = 50001;
	unsigned char *data = noise(bytes);
	struct shmt_result result;

	begin();
	expect(run(data, bytes, LIST("-j", "pub", "-c", "-b", "4K", "q")), 0,
	       "{\"messages\":13,\"bytes\":50001}\n", NULL);
	result = CTL("sub", "--raw", "q");
	ck_assert_uint_eq(result.out_bytes, bytes);
	ck_assert_mem_eq(result.out, data, bytes);
	expect(result, 0, NULL, "");
	expect(FEED("x", "pub", "--block", "1M", "q"), 1, "", "65520");
	free(data);
	shmt_broker_stop(&broker);
}

/* With stdin from a file: two programs at once, and only the other one's pipes to look after. */
static struct shmt_process start_from_file(const char *command, const char *name, const void *data,
					   size_t bytes)
{
	char path[128];
	char line[512];
	const char *argv[] = { "/bin/sh", "-c", line, NULL };
	FILE *file;

	snprintf(path, sizeof(path), "%s/input", broker.folder);
	snprintf(line, sizeof(line), "exec <%s; rm %s; exec \"$SHMBROKERCTL\" %s %s", path, path,
		 command, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
	fclose(file);
	return shmt_process_start(argv);
}

TEST(stream_longer_than_the_queue_passes_through, .timeout_s = 60)
{
	size_t bytes = 3 << 20;
	unsigned char *data = noise(bytes);
	struct shmt_process pub, sub;
	struct shmt_result result;

	begin();
	expect(CTL("create", "q", "capacity_bytes=16K"), 0, NULL, NULL);
	for (size_t i = 0; i < bytes; i++)
		data[i] = i % 1000 == 999 || i + 1 == bytes ? '\n' : (unsigned char)(data[i] | 16);
	sub = START("sub", "q", "--follow", "--count", "3146");
	pub = start_from_file("pub", "q", data, bytes);
	result = shmt_process_finish(&sub, "", 0);
	expect(shmt_process_finish(&pub, "", 0), 0, "", "");
	ck_assert_uint_eq(result.out_bytes, bytes);
	ck_assert_mem_eq(result.out, data, bytes);
	expect(result, 0, NULL, "");
	free(data);
	shmt_broker_stop(&broker);
}

TEST(line_over_the_limit_is_named_and_not_cut)
{
	size_t bytes = 100000;
	char *input = malloc(bytes + 1);

	begin();
	expect(CTL("create", "q", "capacity_bytes=4096"), 0, NULL, NULL);
	memset(input, 'x', bytes);
	memcpy(input, "1\n2\n", 4);
	input[5000] = '\n';
	input[bytes] = '\0';
	expect(FEED(input, "pub", "q"), 1, "", "line 3");
	input[5000] = 'x';
	expect(FEED(input + 2, "pub", "q"), 1, "", "line 2");
	expect(CTL("sub", "q"), 0, "1\n2\n2\n", NULL);
	free(input);
	shmt_broker_stop(&broker);
}

TEST(longest_line_is_sent)
{
	char input[4083];

	begin();
	expect(CTL("create", "q", "capacity_bytes=4096"), 0, NULL, NULL);
	memset(input, 'x', sizeof(input));
	input[4080] = '\n';
	input[4081] = '\0';
	expect(FEED(input, "pub", "q"), 0, "", "");
	expect(CTL("sub", "q"), 0, input, NULL);
	shmt_broker_stop(&broker);
}

TEST(killed_sender_is_named_after_its_last_message)
{
	struct shmt_process pub, sub;
	struct shmt_result result;
	char pid[32];

	begin();
	pub = START("pub", "--create", "q");
	shmt_process_write(&pub, "hello\nagain\n");
	sub = START("sub", "--create", "q");
	shmt_process_expect(&sub, "hello\nagain\n");
	snprintf(pid, sizeof(pid), "(pid %d)", pub.pid);
	shmt_process_kill(&pub);
	result = shmt_process_finish(&sub, "", 0);
	ck_assert_msg(strstr(result.err, pid) != NULL, "%s", result.err);
	expect(result, 4, "", "died");
	shmt_broker_stop(&broker);
}

TEST(follower_goes_on_with_the_successor)
{
	struct shmt_process pub, sub;

	begin();
	sub = START("sub", "--create", "--follow", "--count", "3", "q");
	pub = START("pub", "--create", "q");
	shmt_process_write(&pub, "one\n");
	shmt_process_expect(&sub, "one\n");
	shmt_process_kill(&pub);
	expect(FEED("two\n", "pub", "q"), 0, "", NULL);
	expect(FEED("three\nfour\n", "pub", "q"), 0, "", NULL);
	expect(shmt_process_finish(&sub, "", 0), 0, "two\nthree\n", "");
	expect(CTL("sub", "q"), 0, "four\n", NULL);
	shmt_broker_stop(&broker);
}

TEST(full_queue_ends_pub_when_nobody_will_read_it)
{
	struct shmt_process pub, sub;
	char lines[5001];

	begin();
	memset(lines, 'x', 5000);
	for (int i = 1; i <= 5; i++)
		lines[1000 * i - 1] = '\n';
	lines[5000] = '\0';
	expect(CTL("create", "q", "capacity_bytes=4096"), 0, NULL, NULL);
	sub = START("sub", "q", "--follow");
	pub = START("pub", "q");
	shmt_process_write(&pub, lines + 4000);
	shmt_process_expect(&sub, lines + 4000);
	shmt_process_kill(&sub);
	/* at once: it may end before it has read them all */
	shmt_process_write(&pub, lines);
	expect(shmt_process_finish(&pub, "", 0), 4, "", "died and the queue is full");
	shmt_broker_stop(&broker);
}

TEST(timeouts_have_their_own_exit_code)
{
	char line[1001];

	begin();
	memset(line, '\n', 1000);
	line[1000] = '\0';
	expect(CTL("sub", "--create=4096", "--timeout", "0.1", "q"), 5, "", "100 ms");
	expect(FEED(line, "pub", "--create=4096", "--timeout", "0.1", "p"), 5, "", NULL);
	shmt_broker_stop(&broker);
}

TEST(signal_ends_both_in_good_order)
{
	struct shmt_process pub, sub;

	begin();
	sub = START("sub", "--create", "q");
	pub = START("pub", "--create", "q");
	shmt_process_write(&pub, "one\n");
	shmt_process_expect(&sub, "one\n");
	kill(pub.pid, SIGTERM);
	expect(shmt_process_finish(&pub, "", 0), 128 + SIGTERM, "", "");
	expect(shmt_process_finish(&sub, "", 0), 0, "", "");

	sub = START("sub", "--follow", "q");
	pub = START("pub", "q");
	shmt_process_write(&pub, "two\n");
	shmt_process_expect(&sub, "two\n");
	kill(sub.pid, SIGINT);
	expect(shmt_process_finish(&sub, "", 0), 128 + SIGINT, "", "");
	expect(shmt_process_finish(&pub, "", 0), 0, "", "");
	shmt_broker_stop(&broker);
}

TEST(message_that_stdout_does_not_take_stays_in_the_queue)
{
	struct shmt_process sub;

	begin();
	expect(CTL("create", "q"), 0, NULL, NULL);
	sub = START("sub", "--follow", "q");
	close(sub.out);
	sub.out = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect(FEED("one\ntwo\n", "pub", "q"), 0, "", NULL);
	expect(shmt_process_finish(&sub, "", 0), 128 + SIGPIPE, "", "");
	expect(CTL("-j", "sub", "q"), 0,
	       "{\"bytes\":3,\"text\":\"one\",\"redelivered\":true}\n"
	       "{\"bytes\":3,\"text\":\"two\",\"redelivered\":true}\n",
	       "");
	shmt_broker_stop(&broker);
}

static void await_holder(const char *name)
{
	struct shmt_result result;
	bool is_held = false;

	while (!is_held) {
		result = CTL("describe", name);
		is_held = strstr(result.out, "active");
		shmt_result_free(&result);
	}
}

/* In whatever it is that it waits for, and however often. */
TEST(receivers_and_viewers_go_on_with_the_next_broker)
{
	static const char *const at_once[] = { "--no-backoff", NULL };
	struct shmt_process sub, tail;
	char text[32];

	broker = shmt_broker_supervised(at_once);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	expect(CTL("create", "q"), 0, NULL, NULL);
	sub = START("sub", "q", "--follow");
	tail = START("tail", "q", "--follow");
	for (int i = 0; i < 3; i++) {
		await_holder("q");
		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
		snprintf(text, sizeof(text), "line %d\n", i);
		expect(FEED(text, "pub", "q"), 0, NULL, NULL);
		shmt_process_expect(&sub, text);
	}
	kill(sub.pid, SIGTERM);
	kill(tail.pid, SIGTERM);
	expect(shmt_process_finish(&sub, "", 0), 128 + SIGTERM, NULL, NULL);
	expect(shmt_process_finish(&tail, "", 0), 128 + SIGTERM, NULL, "");
	shmt_broker_stop(&broker);
}

TEST(receiver_says_that_the_broker_has_gone)
{
	struct shmt_process sub, waiting;

	begin();
	sub = START("sub", "--create", "q", "--follow");
	waiting = START("sub", "--create", "p", "--follow");
	expect(FEED("one\n", "pub", "--create", "q"), 0, NULL, NULL);
	shmt_process_expect(&sub, "one\n");
	await_holder("p");
	shmt_broker_kill(&broker);
	expect(shmt_process_finish(&sub, "", 0), 3, NULL, "closed the connection");
	expect(shmt_process_finish(&waiting, "", 0), 3, "", "moved by this run: 0");
	shmt_broker_remove(&broker);
}

TEST(peek_shows_what_is_there_and_takes_nothing)
{
	begin();
	expect(FEED("one\n\n\xff\x01z\n", "pub", "--create", "q"), 0, "", NULL);
	expect(CTL("peek", "q"), 0,
	       "0  ready  3 B  one\n"
	       "16  ready  0 B  \n"
	       "24  ready  3 B  ff 01 7a\n",
	       "");
	expect(CTL("peek", "q", "--max", "1", "--hex"), 0,
	       "0  ready  3 B\n"
	       "  00000000  6f 6e 65                                         one\n",
	       "");
	expect(CTL("-j", "peek", "q"), 0,
	       "{\"what\":\"message\",\"position\":0,\"state\":\"ready\",\"bytes\":3,\"text\":\"one\"}\n"
	       "{\"what\":\"message\",\"position\":16,\"state\":\"ready\",\"bytes\":0,\"text\":\"\"}\n"
	       "{\"what\":\"message\",\"position\":24,\"state\":\"ready\",\"bytes\":3,"
	       "\"base64\":\"/wF6\"}\n",
	       "");
	expect(CTL("tail", "q", "-m", "1"), 0, "24  ready  3 B  ff 01 7a\n", "");
	expect(CTL("-j", "sub", "q"), 0,
	       "{\"bytes\":3,\"text\":\"one\"}\n{\"bytes\":0,\"text\":\"\"}\n"
	       "{\"bytes\":3,\"base64\":\"/wF6\"}\n",
	       "");
	expect(CTL("peek", "q"), 0, "", "");
	expect(CTL("peek", "none"), 1, "", "none");
	expect(CTL("create", "many", "mpmc"), 0, NULL, NULL);
	expect(CTL("peek", "many"), 0, "", "");
	shmt_broker_stop(&broker);
}

TEST(tail_follows_until_it_is_told_to_end)
{
	struct shmt_process tail, other;

	begin();
	expect(FEED("one\ntwo\n", "pub", "--create", "q"), 0, "", NULL);
	tail = START("tail", "q", "--follow", "--max", "1");
	shmt_process_expect(&tail, "16  ready  3 B  two\n");
	expect(FEED("three\n", "pub", "q"), 0, "", NULL);
	shmt_process_expect(&tail, "32  ready  5 B  three\n");
	other = START("peek", "q", "--follow", "--count", "4");
	shmt_process_expect(&other, "32  ready  5 B  three\n");
	expect(FEED("four\n", "pub", "q"), 0, "", NULL);
	expect(shmt_process_finish(&other, "", 0), 0, "48  ready  4 B  four\n", "");
	kill(tail.pid, SIGTERM);
	expect(shmt_process_finish(&tail, "", 0), 128 + SIGTERM, NULL, "");
	expect(CTL("tail", "q", "-f", "-t", "0.1", "-m", "1"), 5, "48  ready  4 B  four\n",
	       "100 ms");
	tail = START("tail", "q", "--follow", "--max", "1");
	shmt_process_expect(&tail, "four\n");
	shmt_broker_kill(&broker);
	expect(shmt_process_finish(&tail, "", 0), 3, "", "closed the connection");
	shmt_broker_remove(&broker);
}

/* Nothing tells when a monitor has begun to listen: make things happen until it speaks. */
static void happen_until_readable(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	do {
		expect(CTL("create", "q"), 0, NULL, NULL);
		expect(CTL("rm", "q"), 0, NULL, NULL);
	} while (poll(&readable, 1, 0) == 0);
	expect(CTL("create", "q"), 0, NULL, NULL);
	expect(CTL("rm", "q"), 0, NULL, NULL);
}

TEST(monitor_shows_what_happens_and_ends_with_the_last_broker)
{
	struct shmt_process monitor;

	begin();
	monitor = START("--json", "monitor", "--timeout", "0.2");
	happen_until_readable(monitor.out);
	shmt_process_expect(&monitor, "\"kind\":\"created\"");
	shmt_process_expect(&monitor, "\"segment\":\"q\"");
	shmt_process_expect(&monitor, "\"kind\":\"unlinked\"");
	shmt_broker_kill(&broker);
	expect(shmt_process_finish(&monitor, "", 0), 3, NULL, "closed the connection");
	shmt_broker_remove(&broker);
}

TEST(monitor_goes_on_with_the_next_broker)
{
	static const char *const at_once[] = { "--no-backoff", NULL };
	struct shmt_process json, text;

	broker = shmt_broker_supervised(at_once);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	json = START("--json", "monitor");
	text = START("monitor");
	happen_until_readable(json.out);
	happen_until_readable(text.out);
	for (int i = 0; i < 3; i++) {
		char pid[32];

		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
		shmt_process_expect(&json, "\"kind\":\"broker-back\"");
		snprintf(pid, sizeof(pid), "\"pid\":%d,", broker.pid);
		shmt_process_expect(&json, pid);
		shmt_process_expect(&json, "\"same_epoch\":true");
		shmt_process_expect(&text, "broker-back");
		snprintf(pid, sizeof(pid), "pid %d: the next one", broker.pid);
		shmt_process_expect(&text, pid);
		expect(CTL("create", "next"), 0, NULL, NULL);
		expect(CTL("rm", "next"), 0, NULL, NULL);
		shmt_process_expect(&json, "\"segment\":\"next\"");
		shmt_process_expect(&text, "unlinked");
	}
	kill(json.pid, SIGTERM);
	expect(shmt_process_finish(&json, "", 0), 128 + SIGTERM, NULL, "");
	kill(text.pid, SIGTERM);
	expect(shmt_process_finish(&text, "", 0), 128 + SIGTERM, NULL, "");
	shmt_broker_stop(&broker);
}

/* One without a keeper knows nothing of what there was. */
TEST(monitor_says_when_the_segments_are_gone)
{
	struct shmt_process monitor, next;

	begin();
	monitor = START("monitor");
	happen_until_readable(monitor.out);
	shmt_broker_kill(&broker);
	next = shmt_process_start(LIST(shmt_program("SHMBROKERD"), "--client-socket",
				       broker.address, "--control-socket", broker.control));
	shmt_process_expect(&monitor, "without the segments");
	shmt_process_kill(&monitor);
	kill(next.pid, SIGTERM);
	expect(shmt_process_finish(&next, "", 0), 0, NULL, NULL);
	shmt_broker_remove(&broker);
}

SHMT_MAIN
