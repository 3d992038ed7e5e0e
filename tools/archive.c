#include "tools/archive.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/checksum.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/text.h"

#define ROOM_BYTES  (1u << 18)
#define BLOCK_BYTES 4096u      /* what is zero is left out by so many */
#define TRIES	    100	       /* to take a place that others want, too */
#define RUN_BYTES   (1u << 20) /* of one piece of BYTES at most */

/* Writing */

static int refuse(const struct archive_writer *writer, const char *what, int error)
{
	return report(EXIT_REFUSED,
		      error == ENOSPC || error == EDQUOT || error == EFBIG ? "DiskFull" : "File",
		      "cannot %s '%s': %s; %s", what, writer->path, strerror(error),
		      "what was there before is as it was");
}

/* The file that a link leads to, or that is not there yet. To be freed; NULL: reported. */
static char *find_path(const char *path)
{
	char *found = realpath(path, NULL);
	struct stat status;

	if (!found)
		return must_print("%s", path);
	if (stat(found, &status) == 0 && !S_ISREG(status.st_mode)) {
		report(EXIT_REFUSED, "File", "'%s' is there, and no file that could be replaced",
		       path);
		free(found);
		return NULL;
	}
	return found;
}

static int open_folder(const char *path)
{
	char *copy = must_print("%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(copy);
	return fd;
}

/* Nobody else's: what is there of that name was left by a process that is gone. */
static char *free_name(const struct archive_writer *writer)
{
	char *name = must_print(".shmbrokerctl-%d.tmp", (int)getpid());

	unlinkat(writer->folder, name, 0);
	return name;
}

/* Without a name where that can be had, so that not even a kill leaves anything. */
static int open_nameless(struct archive_writer *writer)
{
	writer->fd = openat(writer->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (writer->fd >= 0)
		return 0;
	writer->temporary = free_name(writer);
	writer->fd = openat(writer->folder, writer->temporary,
			    O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	return writer->fd >= 0 ? 0 : -errno;
}

static int write_all(struct archive_writer *writer, const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t written = write(writer->fd, data, bytes);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return refuse(writer, "write", errno);
		data += written;
		bytes -= (size_t)written;
	}
	return stop_code();
}

static int flush(struct archive_writer *writer)
{
	size_t used = writer->used;

	writer->used = 0;
	return write_all(writer, writer->room, used);
}

static int add(struct archive_writer *writer, const void *data, uint64_t bytes)
{
	int code = 0;

	writer->sum = shmp_checksum_more(writer->sum, data, bytes);
	writer->bytes += bytes;
	if (writer->used + bytes > ROOM_BYTES)
		code = flush(writer);
	if (code == 0 && bytes > ROOM_BYTES)
		return write_all(writer, data, bytes);
	if (code == 0 && bytes > 0) {
		memcpy(writer->room + writer->used, data, bytes);
		writer->used += bytes;
	}
	return code;
}

int archive_create(const char *path, struct archive_writer *ret_writer)
{
	struct archive_writer writer = ARCHIVE_WRITER_NULL;
	uint32_t numbers[2] = { htole32(ARCHIVE_VERSION), 0 };
	int r = 0, code = 0;

	writer.path = find_path(path);
	if (!writer.path)
		return EXIT_REFUSED;
	writer.folder = open_folder(writer.path);
	if (writer.folder < 0)
		r = -errno;
	if (r == 0)
		r = open_nameless(&writer);
	if (r < 0) {
		code = refuse(&writer, "make", -r);
		archive_close_writer(&writer);
		return code;
	}
	writer.room = must(malloc(ROOM_BYTES));
	add(&writer, ARCHIVE_MAGIC, 8);
	add(&writer, numbers, sizeof(numbers));
	*ret_writer = writer;
	return 0;
}

int archive_put(struct archive_writer *writer, enum archive_type type, uint32_t flags,
		uint64_t number, const void *data, uint64_t bytes)
{
	static const uint8_t zeroes[8];
	uint32_t words[2] = { htole32(type), htole32(flags) };
	uint64_t numbers[2] = { htole64(number), htole64(bytes) };
	uint32_t tail[2];
	int code = add(writer, words, sizeof(words));

	if (code == 0)
		code = add(writer, numbers, sizeof(numbers));
	if (code == 0)
		code = add(writer, data, bytes);
	if (code == 0)
		code = add(writer, zeroes, -bytes % 8);
	tail[0] = htole32(writer->sum);
	tail[1] = htole32(ARCHIVE_MARK);
	if (code == 0)
		code = add(writer, tail, sizeof(tail));
	writer->pieces++;
	return code;
}

static bool is_zero(const uint8_t *data, uint64_t bytes)
{
	return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* The length of what begins at @data and is zero, or not, block by block. */
static uint64_t run_of(const uint8_t *data, uint64_t bytes, bool wanted)
{
	uint64_t run = 0;

	while (run < bytes && run < RUN_BYTES) {
		uint64_t block = bytes - run < BLOCK_BYTES ? bytes - run : BLOCK_BYTES;

		if (is_zero(data + run, block) != wanted)
			break;
		run += block;
	}
	return run;
}

int archive_put_bytes(struct archive_writer *writer, uint64_t offset, const void *data,
		      uint64_t bytes)
{
	const uint8_t *at = data;
	int code = 0;

	while (code == 0 && bytes > 0) {
		uint64_t zeroes = run_of(at, bytes, true);
		uint64_t run = zeroes > 0 ? zeroes : run_of(at, bytes, false);

		if (zeroes == 0)
			code = archive_put(writer, ARCHIVE_BYTES, 0, offset, at, run);
		at += run;
		offset += run;
		bytes -= run;
	}
	return code;
}

/*
 * A link takes no other one's place, so what is whole gets a name first. It is the same for all that
 * go to @base, and what has it is whole: whoever is killed here leaves it, and the next one to save
 * there takes it away; if it is another one's who is about to rename it, he finds nothing and begins
 * again.
 */
static int name_it(struct archive_writer *writer, const char *base)
{
	char self[32];

	free(writer->temporary);
	writer->temporary = must_print(".%.200s.shmbrokerctl.tmp", base);
	unlinkat(writer->folder, writer->temporary, 0);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", writer->fd);
	return linkat(AT_FDCWD, self, writer->folder, writer->temporary, AT_SYMLINK_FOLLOW);
}

static int take_place(struct archive_writer *writer)
{
	char *copy = must_print("%s", writer->path);
	const char *base = basename(copy);
	bool is_nameless = !writer->temporary;
	int r, tries = 0;

	do {
		r = is_nameless ? name_it(writer, base) : 0;
		if (r == 0)
			r = renameat(writer->folder, writer->temporary, writer->folder, base);
	} while (r < 0 && (errno == ENOENT || errno == EEXIST) && is_nameless && ++tries < TRIES);
	r = r < 0 ? -errno : 0;
	free(copy);
	return r;
}

int archive_finish(struct archive_writer *writer)
{
	int code = archive_put(writer, ARCHIVE_END, 0, writer->pieces, NULL, 0);
	int r;

	if (code == 0)
		code = flush(writer);
	if (code)
		return code;
	if (fsync(writer->fd) < 0)
		return refuse(writer, "write", errno);
	r = take_place(writer);
	if (r < 0)
		return refuse(writer, "make", -r);
	free(writer->temporary);
	writer->temporary = NULL;
	fsync(writer->folder); /* so that a power cut leaves the new one; both are whole */
	return 0;
}

void archive_close_writer(struct archive_writer *writer)
{
	if (writer->temporary)
		unlinkat(writer->folder, writer->temporary, 0);
	if (writer->fd >= 0)
		close(writer->fd);
	if (writer->folder >= 0)
		close(writer->folder);
	free(writer->temporary);
	free(writer->path);
	free(writer->room);
	*writer = ARCHIVE_WRITER_NULL;
}

/* Reading */

__attribute__((format(printf, 2, 3))) static int bad(struct archive_reader *reader,
						     const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->why, sizeof(reader->why), format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

/* Exactly @bytes, counted, but not yet summed up. */
static int take(struct archive_reader *reader, void *to, uint64_t bytes)
{
	uint8_t *at = to;

	while (bytes > 0) {
		ssize_t got = pread(reader->fd, at, bytes, (off_t)reader->at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			snprintf(reader->why, sizeof(reader->why), "cannot be read: %s",
				 strerror(errno));
			return -EIO;
		}
		if (got == 0)
			return bad(reader,
				   "cut short: it ends at byte %" PRIu64
				   ", in the middle of what it holds",
				   reader->at);
		at += got;
		reader->at += (uint64_t)got;
		bytes -= (uint64_t)got;
	}
	return 0;
}

static int take_summed(struct archive_reader *reader, void *to, uint64_t bytes)
{
	int r = take(reader, to, bytes);

	if (r == 0)
		reader->sum = shmp_checksum_more(reader->sum, to, bytes);
	return r;
}

int archive_read(int fd, struct archive_reader *ret_reader)
{
	char magic[8] = { 0 };
	uint32_t numbers[2] = { 0 };
	int r;

	*ret_reader = (struct archive_reader){ .fd = fd };
	r = take_summed(ret_reader, magic, sizeof(magic));
	if (r == -EBADMSG || (r == 0 && memcmp(magic, ARCHIVE_MAGIC, sizeof(magic)) != 0))
		return bad(ret_reader, "it is no file that save has written");
	if (r == 0)
		r = take_summed(ret_reader, numbers, sizeof(numbers));
	if (r < 0)
		return r;
	if (le32toh(numbers[0]) != ARCHIVE_VERSION)
		return bad(ret_reader,
			   "it has format version %" PRIu32 ", this program reads version %u",
			   le32toh(numbers[0]), ARCHIVE_VERSION);
	if (numbers[1] != 0)
		return bad(ret_reader, "it is damaged between bytes 12 and 16");
	return 0;
}

/* A payload that nobody wants: only its sum. */
static int pass_over(struct archive_reader *reader, uint64_t bytes)
{
	uint8_t room[16384];
	int r = 0;

	while (r == 0 && bytes > 0) {
		uint64_t step = bytes < sizeof(room) ? bytes : sizeof(room);

		r = take_summed(reader, room, step);
		bytes -= step;
	}
	return r;
}

static int take_payload(struct archive_reader *reader, struct archive_piece *piece)
{
	if (piece->bytes > reader->payload_room || !reader->payload) {
		free(reader->payload);
		reader->payload_room = piece->bytes;
		reader->payload = malloc(piece->bytes + 1);
		if (!reader->payload) {
			reader->payload_room = 0;
			snprintf(reader->why, sizeof(reader->why),
				 "no memory for a piece of %" PRIu64 " bytes", piece->bytes);
			return -ENOMEM;
		}
	}
	piece->data = reader->payload;
	((char *)reader->payload)[piece->bytes] = '\0';
	return take_summed(reader, reader->payload, piece->bytes);
}

static int check_tail(struct archive_reader *reader, uint64_t begin)
{
	uint32_t sum = reader->sum;
	uint32_t tail[2] = { 0 };
	int r = take_summed(reader, tail, sizeof(tail));

	if (r < 0)
		return r;
	if (le32toh(tail[0]) != sum || le32toh(tail[1]) != ARCHIVE_MARK)
		return bad(reader, "it is damaged between bytes %" PRIu64 " and %" PRIu64, begin,
			   reader->at);
	return 0;
}

/* How much of the file is left. */
static uint64_t left(const struct archive_reader *reader)
{
	struct stat status;

	if (fstat(reader->fd, &status) < 0 || (uint64_t)status.st_size < reader->at)
		return 0;
	return (uint64_t)status.st_size - reader->at;
}

static int check_end(struct archive_reader *reader, const struct archive_piece *piece)
{
	reader->is_over = true;
	if (piece->number != reader->pieces || piece->bytes != 0)
		return bad(reader, "it says that it has %" PRIu64 " pieces, and has %" PRIu64,
			   piece->number, reader->pieces);
	if (left(reader) != 0)
		return bad(reader, "%" PRIu64 " bytes are behind its end at byte %" PRIu64,
			   left(reader), reader->at);
	return 1;
}

/* The head of a piece, of which nothing has been checked yet but that the file could hold it. */
static int take_head(struct archive_reader *reader, struct archive_piece *ret_piece)
{
	uint64_t begin = reader->at;
	uint32_t words[2] = { 0 };
	uint64_t numbers[2] = { 0 };
	int r = take_summed(reader, words, sizeof(words));

	if (r == 0)
		r = take_summed(reader, numbers, sizeof(numbers));
	if (r < 0)
		return r;
	*ret_piece = (struct archive_piece){ .type = le32toh(words[0]),
					     .flags = le32toh(words[1]),
					     .number = le64toh(numbers[0]),
					     .bytes = le64toh(numbers[1]),
					     .at = begin };
	if (ret_piece->bytes > left(reader))
		return bad(reader,
			   "it is cut short, or damaged at byte %" PRIu64 ": a piece of %" PRIu64
			   " bytes begins there, and it ends at byte %" PRIu64,
			   begin, ret_piece->bytes, reader->at + left(reader));
	return 0;
}

int archive_next(struct archive_reader *reader, bool takes_all, struct archive_piece *ret_piece)
{
	struct archive_piece piece;
	uint8_t filling[8] = { 0 };
	int r;

	if (reader->is_over)
		return 1;
	r = take_head(reader, &piece);
	if (r == 0 &&
	    (takes_all || (piece.type == ARCHIVE_SEGMENT && piece.bytes <= ARCHIVE_SEGMENT_MAX)))
		r = take_payload(reader, &piece);
	else if (r == 0)
		r = pass_over(reader, piece.bytes);
	if (r == 0)
		r = take_summed(reader, filling, -piece.bytes % 8);
	if (r == 0)
		r = check_tail(reader, piece.at);
	if (r < 0)
		return r;
	if (piece.type == ARCHIVE_END)
		return check_end(reader, &piece);
	if (piece.type < ARCHIVE_SEGMENT || piece.type > ARCHIVE_END ||
	    (piece.type == ARCHIVE_SEGMENT && piece.bytes > ARCHIVE_SEGMENT_MAX) ||
	    (reader->pieces == 0 && piece.type != ARCHIVE_SEGMENT))
		return bad(reader, "what begins at byte %" PRIu64 " makes no sense", piece.at);
	reader->pieces++;
	*ret_piece = piece;
	return 0;
}

void archive_close_reader(struct archive_reader *reader)
{
	free(reader->payload);
	*reader = ARCHIVE_READER_NULL;
}
