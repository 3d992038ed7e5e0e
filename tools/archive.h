/*
 * Archive: the file that save writes and restore reads. docs/save.md describes it for others.
 *
 *	magic 8 | format version 4 | 0 4 | pieces
 *	piece:	type 4 | flags 4 | number 8 | bytes 8 | payload, filled up to 8 | sum 4 | mark 4
 *
 * Numbers are little-endian. A sum is the CRC32C of all of the file before it: one covers
 * everything, and the first that is wrong says where. The last piece is END, and nothing is behind.
 *
 * A file is written beside the place it goes to, without a name where the file system can do that,
 * and takes its name when it is whole: until then there is the old file, or none.
 */
#ifndef SHMBROKERCTL_ARCHIVE_H
#define SHMBROKERCTL_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_MAGIC	    "\x89shmsav\n"
#define ARCHIVE_VERSION	    1u
#define ARCHIVE_HEAD_BYTES  16
#define ARCHIVE_PIECE_BYTES 24		/* before the payload */
#define ARCHIVE_TAIL_BYTES  8		/* behind it */
#define ARCHIVE_MARK	    0x2e646e65u /* "end." */
#define ARCHIVE_SEGMENT_MAX (4u << 20)	/* of a description */
#define ARCHIVE_TEXT	    256

enum archive_type {
	ARCHIVE_SEGMENT = 1,  /* JSON: what it is; the pieces up to the next one are its content */
	ARCHIVE_MESSAGE = 2,  /* number: of a stream's frame, or who sent it into a pipe */
	ARCHIVE_BYTES = 3,    /* number: offset; where none are they are zero */
	ARCHIVE_METADATA = 4, /* of a stream */
	ARCHIVE_OBJECT = 5,   /* of a pool; number: its handle */
	ARCHIVE_END = 6,      /* number: pieces before it */
};

/* Flags */
#define ARCHIVE_REDELIVERED 1u /* a message that was in somebody's hands */
#define ARCHIVE_FREE	    2u /* an object that was nobody's, without its bytes */

/* Writing. What is returned is an exit code; faults are reported. */

struct archive_writer {
	char *path;	 /* to be freed */
	char *temporary; /* to be freed; its name in the folder; NULL: it has none yet */
	int folder;
	int fd;
	uint8_t *room;
	size_t used;
	uint64_t bytes;
	uint64_t pieces;
	uint32_t sum;
};

#define ARCHIVE_WRITER_NULL ((struct archive_writer){ .folder = -1, .fd = -1 })

int archive_create(const char *path, struct archive_writer *ret_writer);
int archive_put(struct archive_writer *writer, enum archive_type type, uint32_t flags,
		uint64_t number, const void *data, uint64_t bytes);
/* As pieces of type BYTES, without what is zero. Nobody may change them meanwhile. */
int archive_put_bytes(struct archive_writer *writer, uint64_t offset, const void *data,
		      uint64_t bytes);
/* Makes it the file of its name. */
int archive_finish(struct archive_writer *writer);
/* Whatever became of it: frees, and what was not finished leaves nothing. */
void archive_close_writer(struct archive_writer *writer);

/* Reading: -EBADMSG, or another -errno, with why. The bytes of a file are a stranger's. */

struct archive_reader {
	int fd;
	uint64_t at; /* read so far */
	uint64_t pieces;
	uint32_t sum;
	bool is_over;
	void *payload;
	uint64_t payload_room;
	char why[ARCHIVE_TEXT];
};

struct archive_piece {
	uint32_t type;
	uint32_t flags;
	uint64_t number;
	uint64_t bytes;
	uint64_t at;	  /* where it begins in the file */
	const void *data; /* until the next call; NULL if it was passed over */
};

#define ARCHIVE_READER_NULL ((struct archive_reader){ .fd = -1 })

/* @fd stays the caller's; read from its beginning. */
int archive_read(int fd, struct archive_reader *ret_reader);
/*
 * 0, 1 at the end, or what is wrong. Descriptions are always taken into memory, other payloads
 * with @takes_all only; they are checked in any case, up to their sum, before they are returned.
 */
int archive_next(struct archive_reader *reader, bool takes_all, struct archive_piece *ret_piece);
void archive_close_reader(struct archive_reader *reader);

#endif
