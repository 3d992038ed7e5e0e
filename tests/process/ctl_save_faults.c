/*
 * What can be wrong with save and restore: the file, the disk, the rights, the limits. Each is told
 * by name and number, and leaves nothing half-made. Needs root, to be others.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process/save_scene.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tools/archive.h"

#define ALICE 12345
#define BOB   12346

enum {
	FILE_MAX = 4096,
	KILLS = 60,
};

struct content {
	uint8_t bytes[FILE_MAX];
	size_t size;
};

static struct content read_file(const char *path)
{
	struct content content;
	FILE *file = fopen(path, "re");

	ck_assert_ptr_nonnull(file);
	content.size = fread(content.bytes, 1, sizeof(content.bytes), file);
	ck_assert_uint_lt(content.size, sizeof(content.bytes));
	fclose(file);
	return content;
}

static void write_file(const char *path, const struct content *content)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(content->bytes, 1, content->size, file), content->size);
	fclose(file);
}

/* A queue of three messages, saved and gone. */
static struct save_scene begin_with_file(void)
{
	struct save_scene scene = save_begin();
	struct shmc_spsc *queue;

	shmt_create(scene.client, "q", 4096);
	queue = shmt_open(scene.client, "q", SHMC_SPSC_PRODUCER);
	for (uint64_t i = 0; i < 3; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 20, SHMC_TRY));
	shmc_spsc_close(queue);
	CTL(0, "3 messages", "save", "q", scene.file);
	shmt_assert_ok(shmc_unlink(scene.client, "q", NULL));
	return scene;
}

static void expect_nothing(const struct save_scene *scene)
{
	struct shmt_result result = save_ctl(0, (const char *const[]){ "ls", "--json", NULL });

	ck_assert_str_eq(result.out, "");
	shmt_result_free(&result);
	ck_assert(save_folder_is_clean(scene));
}

TEST(any_byte_that_is_another_is_refused, .timeout_s = 100)
{
	struct save_scene scene = begin_with_file();
	struct content content = read_file(scene.file);

	for (size_t i = 0; i < content.size; i++) {
		content.bytes[i] ^= (uint8_t)(1 << i % 8);
		write_file(scene.file, &content);
		CTL(65, "nothing was restored", "restore", scene.file);
		content.bytes[i] ^= (uint8_t)(1 << i % 8);
	}
	expect_nothing(&scene);
	write_file(scene.file, &content);
	CTL(0, "3 messages", "restore", scene.file);
	save_end(&scene);
}

TEST(where_it_is_damaged_or_ends_is_said)
{
	struct save_scene scene = begin_with_file();
	struct content content = read_file(scene.file);
	size_t size = content.size;

	content.bytes[100] ^= 1;
	write_file(scene.file, &content);
	CTL(65, "damaged between bytes 16 and ", "restore", scene.file);
	content.bytes[100] ^= 1;
	for (content.size = 0; content.size < size; content.size += 13) {
		write_file(scene.file, &content);
		CTL(65, "", "restore", scene.file);
	}
	content.size = 200;
	write_file(scene.file, &content);
	CTL(65, "cut short", "restore", scene.file);
	content.size = size;
	content.bytes[0] = 'x';
	write_file(scene.file, &content);
	CTL(65, "no file that save has written", "restore", scene.file);
	content.bytes[0] = 0x89;
	content.bytes[8] = 3;
	write_file(scene.file, &content);
	CTL(65, "format version 3, this program reads version 1", "restore", scene.file);
	CTL(65, "\"exit\":65", "restore", "--json", scene.file);
	CTL(65, "no file", "restore", scene.folder);
	CTL(1, "No such file", "restore", "/nowhere/file");
	expect_nothing(&scene);
	save_end(&scene);
}

/* Files whose sums are right, and which nothing that saves has written. */

struct piece {
	enum archive_type type;
	uint32_t flags;
	uint64_t number;
	const char *text; /* NULL: no more pieces */
};

#define SEGMENT(kind_, version_, options_)                                                  \
	{                                                                                   \
		ARCHIVE_SEGMENT, 0, 0,                                                      \
			"{\"name\":\"x\",\"kind\":\"" kind_ "\",\"kind_version\":" version_ \
			",\"mode\":384,\"owner\":0,\"group\":0,\"options\":{" options_ "}}" \
	}
#define SPSC "\"capacity_bytes\":4096,\"message_bytes_max\":100,\"checksum\":0"
#define POOL "\"object_bytes\":4,\"objects\":2,\"endpoints_max\":4"

static const struct {
	int code;
	const char *said;
	struct piece pieces[4];
} wrong_files[] = {
	{ 65, "layout version 99, this program knows version 1", { SEGMENT("spsc", "99", SPSC) } },
	{ 65, "kind \"rope\"", { SEGMENT("rope", "1", "") } },
	{ 65, "no JSON", { { ARCHIVE_SEGMENT, 0, 0, "{{" } } },
	{ 65, "makes no sense", { { ARCHIVE_SEGMENT, 0, 0, "[]" } } },
	{ 65, "makes no sense", { { ARCHIVE_MESSAGE, 0, 0, "first" } } },
	{ 65, "makes no sense", { SEGMENT("spsc", "1", SPSC), { 77, 0, 0, "what" } } },
	{ 65,
	  "content that a segment of this kind cannot have",
	  { SEGMENT("spsc", "1", SPSC), { ARCHIVE_OBJECT, 0, 1, "four" } } },
	{ 65, "in no arena", { SEGMENT("spsc", "1", SPSC), SEGMENT("spsc", "1", SPSC) } },
	{ 1, "capacity_bytes", { SEGMENT("spsc", "1", "\"capacity_bytes\":1e30") } },
	{ 1,
	  "message_bytes_max was 0, and this broker makes it",
	  { SEGMENT("spsc", "1", "\"capacity_bytes\":4096") } },
	{ 1,
	  "larger than the limit",
	  { SEGMENT("spsc", "1", "\"capacity_bytes\":4096,\"message_bytes_max\":3"),
	    { ARCHIVE_MESSAGE, 0, 0, "four" } } },
	{ 65,
	  "makes no sense",
	  { SEGMENT("atomic", "1", "\"type\":5,\"endpoints_max\":4"),
	    { ARCHIVE_BYTES, 0, 7, "two" } } },
	{ 65,
	  "makes no sense",
	  { SEGMENT("array", "1",
		    "\"element_bytes\":1,\"elements\":4,\"element_type\":0,\"endpoints_max\":4"),
	    { ARCHIVE_BYTES, 0, UINT64_MAX, "two" } } },
	{ 1,
	  "larger than the limit",
	  { SEGMENT("buffer", "1", "\"size_bytes\":9,\"endpoints_max\":4,\"checksums_max\":1"),
	    { ARCHIVE_BYTES, 0, 8, "two" } } },
	{ 1, "out of range", { SEGMENT("pool", "1", POOL), { ARCHIVE_OBJECT, 0, 3, "four" } } },
	{ 65, "makes no sense", { SEGMENT("pool", "1", POOL), { ARCHIVE_OBJECT, 0, 1, "five!" } } },
	{ 1,
	  "not allowed",
	  { SEGMENT("pool", "1", POOL),
	    { ARCHIVE_OBJECT, 0, 1, "four" },
	    { ARCHIVE_OBJECT, 0, 1, "four" } } },
	{ 65,
	  "makes no sense",
	  { SEGMENT("stream", "1", "\"capacity_bytes\":4064,\"metadata_bytes_max\":9"),
	    { ARCHIVE_MESSAGE, 0, 9, "nine" },
	    { ARCHIVE_MESSAGE, 0, 9, "nine" } } },
	{ 65,
	  "makes no sense",
	  { SEGMENT("stream", "1", "\"capacity_bytes\":4064,\"metadata_bytes_max\":9"),
	    { ARCHIVE_MESSAGE, 0, UINT64_MAX, "nine" } } },
};

static void write_pieces(const char *path, const struct piece *pieces)
{
	struct archive_writer writer;

	ck_assert_int_eq(archive_create(path, &writer), 0);
	for (int i = 0; i < 4 && pieces[i].text; i++)
		ck_assert_int_eq(archive_put(&writer, pieces[i].type, pieces[i].flags,
					     pieces[i].number, pieces[i].text,
					     strlen(pieces[i].text)),
				 0);
	ck_assert_int_eq(archive_finish(&writer), 0);
	archive_close_writer(&writer);
}

TEST(what_nobody_saved_is_refused_and_leaves_nothing)
{
	struct save_scene scene = save_begin();

	for (size_t i = 0; i < sizeof(wrong_files) / sizeof(wrong_files[0]); i++) {
		write_pieces(scene.file, wrong_files[i].pieces);
		CTL(wrong_files[i].code, wrong_files[i].said, "restore", scene.file);
		expect_nothing(&scene);
	}
	save_end(&scene);
}

TEST(what_is_there_already_is_not_touched)
{
	struct save_scene scene = begin_with_file();
	struct shmc_spsc *queue;
	uint64_t depth;

	CTL(0, "", "restore", scene.file);
	queue = shmt_open(scene.client, "q", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmt_pop_numbered(queue, 0, 20, SHMC_TRY, NULL));
	CTL(1, "q exists already", "restore", scene.file);
	CTL(1, "Exists\"", "restore", "--json", scene.file);
	shmc_spsc_statistics(queue, NULL, NULL, &depth);
	ck_assert_uint_eq(depth, 2);
	shmc_spsc_close(queue);
	CTL(0, "", "restore", scene.file, "other");
	CTL(2, "", "restore", scene.file, "no/../name");
	save_end(&scene);
}

/* The disk */

TEST(a_disk_that_is_full_leaves_the_old_file)
{
	struct save_scene scene = begin_with_file();
	struct content before = read_file(scene.file), after;
	char command[256];
	struct shmt_process process;
	struct shmt_result result;

	CTL(0, "", "create", "large", "array", "elements=1M", "element_type=bool");
	CTL(0, "", "set", "large", "7", "true");
	CTL(0, "", "set", "large", "900000", "true");
	snprintf(command, sizeof(command), "ulimit -f 8; exec %s save large %s",
		 shmt_program("SHMBROKERCTL"), scene.file);
	process = shmt_process_start((const char *const[]){ "/bin/sh", "-c", command, NULL });
	result = shmt_process_finish(&process, "", 0);
	ck_assert_msg(result.code == 1 && strstr(result.err, "File too large"), "%d: %s",
		      result.code, result.err);
	shmt_result_free(&result);
	after = read_file(scene.file);
	ck_assert_uint_eq(after.size, before.size);
	ck_assert_int_eq(memcmp(after.bytes, before.bytes, after.size), 0);
	ck_assert(save_folder_is_clean(&scene));
	CTL(1, "cannot make", "save", "large", "/nowhere/file");
	CTL(1, "no file that could be replaced", "save", "large", "/dev/null");
	save_end(&scene);
}

/* Killed at any moment: the old file or the new one. */
TEST(who_is_killed_while_saving_leaves_a_whole_file, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_random random = { shmt_seed() };
	struct stat status;
	int replaced = 0;

	CTL(0, "", "create", "n", "array", "elements=2M", "element_type=bool");
	CTL(0, "", "save", "n", scene.file);
	for (uint64_t i = 0; i < 2000000; i += 3000) {
		char index[32];

		if (i % 300000 == 0) {
			snprintf(index, sizeof(index), "%llu", (unsigned long long)i);
			CTL(0, "", "set", "n", index, "true");
		}
	}
	for (int i = 0; i < KILLS; i++) {
		const char *const argv[] = { shmt_program("SHMBROKERCTL"), "save", "n", scene.file,
					     NULL };
		struct shmt_process process = shmt_process_start(argv);
		ino_t before;

		ck_assert_int_eq(stat(scene.file, &status), 0);
		before = status.st_ino;
		usleep((useconds_t)shmt_random_below(&random, shmt_scaled(8000)));
		shmt_process_kill(&process);
		ck_assert_int_eq(stat(scene.file, &status), 0);
		replaced += status.st_ino != before;
		CTL(0, "", "restore", scene.file, "copy");
		CTL(0, "", "rm", "copy");
	}
	printf("# replaced %d times of %d\n", replaced, KILLS);
	/* between its two names a whole one may be left, which the next one takes away */
	CTL(0, "", "save", "n", scene.file);
	ck_assert(save_folder_is_clean(&scene));
	save_end(&scene);
}

static bool is_there(const char *name)
{
	struct shmt_result result = save_ctl(0, (const char *const[]){ "ls", name, NULL });
	bool is_listed = *result.out != '\0';

	shmt_result_free(&result);
	return is_listed;
}

/* In a group of its own, with the end of a pipe that nobody else has but those it starts itself. */
static struct shmt_process start_restoring(const struct save_scene *scene, int *ret_line)
{
	const char *const argv[] = { "/usr/bin/setsid",
				     shmt_program("SHMBROKERCTL"),
				     "restore",
				     scene->file,
				     "copy",
				     NULL };
	struct shmt_process process;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	process = shmt_process_start(argv);
	close(ends[1]);
	*ret_line = ends[0];
	return process;
}

static void await_all_of_it(int line)
{
	char byte;

	ck_assert_int_eq(read(line, &byte, 1), 0);
	close(line);
}

/* Killed at any moment: nothing, or all of it. */
TEST(who_is_killed_while_restoring_leaves_nothing_or_the_whole, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_random random = { shmt_seed() };
	int whole = 0, line;

	CTL(0, "", "create", "n", "array", "elements=2M", "element_type=u32");
	CTL(0, "", "set", "n", "0", "1");
	CTL(0, "", "set", "n", "2000000", "7");
	CTL(0, "", "save", "n", scene.file);
	for (int i = 0; i < KILLS; i++) {
		struct shmt_process process = start_restoring(&scene, &line);

		usleep((useconds_t)shmt_random_below(&random, shmt_scaled(16000)));
		if (i % 2) /* as `timeout -s KILL` does */
			kill(-process.pid, SIGKILL);
		shmt_process_kill(&process);
		await_all_of_it(line);
		if (!is_there("copy"))
			continue;
		whole++;
		CTL(0, "7", "get", "copy", "2000000");
		CTL(0, "", "rm", "copy");
	}
	printf("# whole %d times of %d\n", whole, KILLS);
	CTL(0, "", "restore", scene.file, "copy"); /* as they would all have ended */
	CTL(0, "7", "get", "copy", "2000000");
	CTL(0, "", "rm", "copy");
	/* a name that is a stranger's stays his */
	CTL(0, "", "create", "copy", "atomic");
	CTL(1, "exists", "restore", scene.file, "copy");
	CTL(0, "atomic", "describe", "copy");
	save_end(&scene);
}

/* Limits and rights */

TEST(what_the_quota_forbids_leaves_nothing)
{
	struct save_scene scene = begin_with_file();

	CTL(0, "", "create", "sim", "arena", "data_bytes=8M");
	CTL(0, "", "create", "sim:n", "atomic");
	CTL(0, "", "save", "sim", scene.file);
	shmc_disconnect(scene.client);
	shmt_broker_kill(&scene.broker);
	shmt_broker_remove(&scene.broker);
	scene.broker = shmt_broker_start((const char *const[]){ "--bytes-per-uid=1M", NULL });
	setenv("SHMBROKER_ADDRESS", scene.broker.address, 1);
	scene.client = shmt_connect(&scene.broker);
	CTL(1, "bytes-per-uid", "restore", scene.file);
	expect_nothing(&scene);
	save_end(&scene);
}

/* An arena whose third object finds no entry any more: not even the arena stays. */
TEST(what_fails_in_the_middle_takes_back_what_was_made)
{
	struct save_scene scene = begin_with_file();
	static const char arena[] =
		"{\"name\":\"sim\",\"kind\":\"arena\",\"kind_version\":1,\"options\":"
		"{\"name_bytes\":8,\"entries\":2,\"control_bytes\":655360,\"data_bytes\":1048576}}";
	static const char object[] =
		"{\"name\":\"sim:%d\",\"kind\":\"atomic\",\"kind_version\":1,\"options\":"
		"{\"type\":5,\"endpoints_max\":4}}";
	struct archive_writer writer;

	ck_assert_int_eq(archive_create(scene.file, &writer), 0);
	archive_put(&writer, ARCHIVE_SEGMENT, 0, 0, arena, strlen(arena));
	for (int i = 0; i < 3; i++) {
		char text[200];

		snprintf(text, sizeof(text), object, i);
		archive_put(&writer, ARCHIVE_SEGMENT, 0, 0, text, strlen(text));
	}
	ck_assert_int_eq(archive_finish(&writer), 0);
	archive_close_writer(&writer);
	CTL(1, "sim", "restore", scene.file);
	expect_nothing(&scene);
	save_end(&scene);
}

/* Runs the tool as another user. */
static void as(uid_t uid, int code, const char *said, const char *const *words)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
			_exit(2);
		save_expect(code, said, words);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

#define AS(uid, code, said, ...) as(uid, code, said, (const char *const[]){ __VA_ARGS__, NULL })

TEST(strangers_save_nothing_that_they_may_not_read)
{
	struct save_scene scene = save_begin();

	AS(ALICE, 0, "", "create", "mine", "atomic");
	AS(ALICE, 0, "", "create", "ours", "buffer", "mode=0644");
	AS(ALICE, 0, "", "create", "sim", "arena", "mode=0644");
	AS(ALICE, 0, "", "create", "sim:b", "buffer");
	AS(ALICE, 0, "", "create", "sim:n", "atomic");
	AS(BOB, 1, "DENIED", "save", "--json", "mine", scene.file);
	ck_assert(save_folder_is_clean(&scene));
	AS(BOB, 0, "", "save", "ours", scene.file);
	AS(BOB, 0, "", "save", "sim:n", scene.file);
	/* its lock is taken in memory that he may not write */
	AS(BOB, 1, "", "save", "sim", scene.file);
	AS(BOB, 0, "", "restore", scene.file, "copy");
	AS(ALICE, 1, "Permission denied", "restore", scene.file, "other");
	AS(ALICE, 1, "Permission denied", "save", "mine", "/root/file");
	ck_assert(save_folder_is_clean(&scene));
	save_end(&scene);
}

TEST(root_gives_back_what_was_whose_and_others_keep_their_own)
{
	struct save_scene scene = save_begin();
	struct shmt_result result;

	AS(ALICE, 0, "", "create", "mine", "atomic", "mode=0664");
	CTL(0, "", "save", "mine", scene.file);
	ck_assert_int_eq(chmod(scene.file, 0644), 0);
	CTL(0, "", "restore", scene.file, "again");
	result = save_ctl(0, (const char *const[]){ "describe", "--json", "again", NULL });
	ck_assert_ptr_nonnull(strstr(result.out, "\"uid\":12345"));
	ck_assert_ptr_nonnull(strstr(result.out, "\"gid\":12345"));
	ck_assert_ptr_nonnull(strstr(result.out, "\"mode\":436")); /* 0664 */
	shmt_result_free(&result);
	/* the group would be another one, to which nothing was given */
	AS(BOB, 0, "taken away", "restore", scene.file, "his");
	result = save_ctl(0, (const char *const[]){ "describe", "--json", "his", NULL });
	ck_assert_ptr_nonnull(strstr(result.out, "\"uid\":12346"));
	ck_assert_ptr_nonnull(strstr(result.out, "\"mode\":388")); /* 0604 */
	shmt_result_free(&result);
	save_end(&scene);
}

TEST(a_lock_that_is_held_is_waited_for)
{
	struct save_scene scene = save_begin();
	struct shmc_error error = { .text = "" };
	struct shmc_buffer *buffer;

	shmt_assert_ok(shmc_buffer_create(scene.client, "b", NULL, &error));
	shmt_assert_ok(shmc_buffer_open(scene.client, "b", SHMC_BUFFER_WRITER, &buffer, &error));
	shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_TRY));
	CTL(5, "waiting for its lock", "save", "b", scene.file, "--timeout", "0.05");
	ck_assert(save_folder_is_clean(&scene));
	shmt_assert_ok(shmc_buffer_unlock(buffer));
	CTL(0, "", "save", "b", scene.file, "--timeout", "5");
	shmc_buffer_close(buffer);
	save_end(&scene);
}

SHMT_MAIN
