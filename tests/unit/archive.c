/* The file of save: written, read, and whatever else somebody gives it for one. */
#include "tools/archive.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/checksum.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

#define RUNS 100000

enum {
	FILE_MAX = 1 << 16
};

struct file {
	uint8_t bytes[FILE_MAX];
	size_t size;
};

static char folder[] = "/tmp/shmt-archive-XXXXXX";
static char path[64];

static void make_folder(void)
{
	SHMT_REQUIRE(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
}

static void remove_folder(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0); /* nothing else is in it */
}

static struct file read_back(void)
{
	struct file file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	SHMT_REQUIRE(fd >= 0);
	file.size = (size_t)read(fd, file.bytes, sizeof(file.bytes));
	close(fd);
	return file;
}

static struct file make_file(void)
{
	static uint8_t bytes[3 * 4096 + 5];
	struct archive_writer writer;
	struct file file;

	make_folder();
	bytes[4096] = 1;
	bytes[sizeof(bytes) - 1] = 2;
	ck_assert_int_eq(archive_create(path, &writer), 0);
	ck_assert_int_eq(archive_put(&writer, ARCHIVE_SEGMENT, 0, 0, "{}", 2), 0);
	ck_assert_int_eq(archive_put(&writer, ARCHIVE_MESSAGE, 7, 42, "hello", 5), 0);
	ck_assert_int_eq(archive_put(&writer, ARCHIVE_MESSAGE, 0, 43, NULL, 0), 0);
	ck_assert_int_eq(archive_put_bytes(&writer, 100, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(archive_finish(&writer), 0);
	archive_close_writer(&writer);
	file = read_back();
	remove_folder();
	strcpy(folder, "/tmp/shmt-archive-XXXXXX");
	return file;
}

static int memory(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	SHMT_REQUIRE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	return fd;
}

static volatile uint64_t seen; /* so that every byte that is given out is looked at */

/* Reads it all: 1 it is good; what is wrong otherwise. */
static int read_all(int fd, bool takes_all, char *ret_why)
{
	struct archive_reader reader;
	struct archive_piece piece;
	uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
	int r = archive_read(fd, &reader);

	while (r == 0) {
		r = archive_next(&reader, takes_all, &piece);
		if (r != 0)
			break;
		SHMT_REQUIRE(piece.at < size && piece.bytes <= size);
		for (uint64_t i = 0; piece.data && i < piece.bytes; i++)
			seen += ((const uint8_t *)piece.data)[i];
	}
	SHMT_REQUIRE(r == 1 || r == -EBADMSG);
	SHMT_REQUIRE(r == 1 || *reader.why);
	if (ret_why)
		strcpy(ret_why, reader.why);
	archive_close_reader(&reader);
	return r;
}

static int read_file(const struct file *file, bool takes_all, char *ret_why)
{
	int fd = memory(file->bytes, file->size);
	int r = read_all(fd, takes_all, ret_why);

	close(fd);
	return r;
}

static struct archive_piece next(struct archive_reader *reader)
{
	struct archive_piece piece;

	ck_assert_int_eq(archive_next(reader, true, &piece), 0);
	return piece;
}

TEST(what_was_written_is_read_and_zeroes_take_no_room)
{
	struct file file = make_file();
	int fd = memory(file.bytes, file.size);
	struct archive_reader reader;
	struct archive_piece piece;

	ck_assert_int_eq(archive_read(fd, &reader), 0);
	piece = next(&reader);
	ck_assert_uint_eq(piece.type, ARCHIVE_SEGMENT);
	ck_assert_str_eq(piece.data, "{}");
	piece = next(&reader);
	ck_assert_uint_eq(piece.type, ARCHIVE_MESSAGE);
	ck_assert_uint_eq(piece.flags, 7);
	ck_assert_uint_eq(piece.number, 42);
	ck_assert_str_eq(piece.data, "hello");
	ck_assert_uint_eq(next(&reader).bytes, 0);
	piece = next(&reader);
	ck_assert_uint_eq(piece.number, 100 + 4096);
	ck_assert_uint_eq(piece.bytes, 4096);
	piece = next(&reader);
	ck_assert_uint_eq(piece.number, 100 + 3 * 4096);
	ck_assert_uint_eq(piece.bytes, 5);
	ck_assert_int_eq(archive_next(&reader, true, &piece), 1);
	ck_assert_int_eq(archive_next(&reader, true, &piece), 1);
	archive_close_reader(&reader);
	close(fd);
	ck_assert_uint_lt(file.size, 5000);
}

TEST(any_bit_that_is_another_is_found, .timeout_s = 60)
{
	struct file file = make_file();

	ck_assert_int_eq(read_file(&file, true, NULL), 1);
	for (size_t bit = 0; bit < 8 * file.size; bit += bit < 8 * 600 ? 1 : 57) {
		char why[ARCHIVE_TEXT];

		file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(read_file(&file, bit % 3 == 0, why), -EBADMSG);
		if (bit >= 8 * ARCHIVE_HEAD_BYTES)
			ck_assert_msg(strstr(why, "damaged") || strstr(why, "cut short"),
				      "bit %zu: %s", bit, why);
		file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

TEST(what_is_cut_short_or_goes_on_is_refused)
{
	struct file file = make_file();
	size_t size = file.size;

	for (file.size = 0; file.size < size; file.size++)
		ck_assert_int_eq(read_file(&file, file.size % 2 == 0, NULL), -EBADMSG);
	file.size = size + 1;
	file.bytes[size] = 0;
	ck_assert_int_eq(read_file(&file, true, NULL), -EBADMSG);
}

TEST(another_format_is_named)
{
	struct file file = make_file();
	char why[ARCHIVE_TEXT];

	file.bytes[8] = 9;
	ck_assert_int_eq(read_file(&file, true, why), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(why, "version 9"));
	ck_assert_ptr_nonnull(strstr(why, "version 1"));
}

/* Makes the sums right, as far as there are pieces: what is left to be wrong is the rest. */
static void mend(struct file *file)
{
	size_t at = ARCHIVE_HEAD_BYTES;

	while (at + ARCHIVE_PIECE_BYTES + ARCHIVE_TAIL_BYTES <= file->size) {
		uint32_t sum, mark = htole32(ARCHIVE_MARK);
		uint64_t bytes;

		memcpy(&bytes, file->bytes + at + 16, sizeof(bytes));
		bytes = le64toh(bytes);
		if (bytes > file->size - at - ARCHIVE_PIECE_BYTES - ARCHIVE_TAIL_BYTES)
			return;
		at += ARCHIVE_PIECE_BYTES + bytes + (-bytes % 8);
		if (at + ARCHIVE_TAIL_BYTES > file->size)
			return;
		sum = htole32(shmp_checksum(file->bytes, at));
		memcpy(file->bytes + at, &sum, 4);
		memcpy(file->bytes + at + 4, &mark, 4);
		at += ARCHIVE_TAIL_BYTES;
	}
}

/* Nothing that anybody writes is read outside, or read without end; with right sums, too. */
TEST(random_and_truncated_files_are_read_to_some_end, .timeout_s = 120)
{
	struct shmt_random random = { shmt_seed() };
	const struct file good = make_file();
	int fd = memfd_create("archive", MFD_CLOEXEC);
	size_t whole = 0;

	for (int run = 0; run < RUNS; run++) {
		struct file file = { .size = good.size < 400 ? good.size : 400 };
		uint64_t changes = shmt_random_below(&random, 12);

		memcpy(file.bytes, good.bytes, file.size);
		if (run % 3 == 0)
			file.size = shmt_random_below(&random, file.size + 1);
		for (uint64_t i = 0; i < changes && file.size > 0; i++)
			file.bytes[shmt_random_below(&random, file.size)] =
				(uint8_t)shmt_random_below(&random, 256);
		if (run % 2 == 0)
			mend(&file);
		SHMT_REQUIRE(ftruncate(fd, 0) == 0 &&
			     pwrite(fd, file.bytes, file.size, 0) == (ssize_t)file.size);
		whole += read_all(fd, run % 5 != 0, NULL) == 1;
	}
	close(fd);
	ck_assert_uint_lt(whole, RUNS / 100);
}

/* A disk that is full leaves what was there before, and nothing beside it. */
TEST(what_cannot_be_written_leaves_the_old_file)
{
	struct archive_writer writer;
	struct stat status;
	struct file file;

	make_folder();
	ck_assert_int_eq(archive_create(path, &writer), 0);
	ck_assert_int_ne(stat(path, &status), 0); /* nothing is there before it is whole */
	ck_assert_int_eq(archive_put(&writer, ARCHIVE_SEGMENT, 0, 0, "{}", 2), 0);
	ck_assert_int_eq(archive_finish(&writer), 0);
	archive_close_writer(&writer);
	ck_assert_int_eq(archive_create(path, &writer), 0);
	ck_assert_int_eq(archive_put(&writer, ARCHIVE_SEGMENT, 0, 0, "{1}", 3), 0);
	archive_close_writer(&writer); /* not finished */
	file = read_back();
	ck_assert_int_eq(read_file(&file, true, NULL), 1);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	remove_folder();
}

TEST(what_is_no_file_is_not_replaced)
{
	struct archive_writer writer;

	ck_assert_int_ne(archive_create("/dev/null", &writer), 0);
	ck_assert_int_ne(archive_create("/tmp", &writer), 0);
	ck_assert_int_ne(archive_create("/nowhere/file", &writer), 0);
}

SHMT_MAIN
