/*
 * stream: frames of any size up to the whole ring, one writer, one reader.
 *
 * Layout. The ring is spsc's, as are its two places and their waiters: endpoint 0 (writer), 1
 * (reader). ctl: those waiters, a line of the writer's, one of the reader's, then the metadata.
 * data: the ring. A frame is one message of that ring, always a multiple of 16 bytes:
 *
 *	| header 8 | word 8 | payload, 0..limit | slack 0..15 | header of the next: 0 |
 *	             sequence number, slack in the upper 4 bits
 *
 * so that each payload is aligned to 16. The largest frame is the ring without the 32 bytes that
 * it takes beside its payload: once the ring is empty, it fits, wherever it begins.
 *
 * What is the ring's own, publication, room, successors, deaths, is told in spsc.h. What is here:
 * - Sequence numbers, from 1 on. The next one is 1 + frames sent + numbers skipped. The ring's
 *   count of what was sent is exact whatever instant the writer dies at, and a skip is one store:
 *   so a successor's first frame has the number that the dead one's next would have had.
 * - Which number the reader expects is stored before it gives room back, beside the position it is
 *   going to store: two marks, used in turn. The one whose position is the reader's holds; so
 *   its successor, too, knows a gap from a repetition.
 * - Loans. The reader may hold many frames and give them back in any order. Its position moves
 *   over those that are given back and have none that is held before them; the rest is a private
 *   table. So what is held is protected by the position and nothing else, and what a dead reader
 *   held comes again, with what it gave back behind it.
 * - Metadata are written once: the bytes first, then their length, released. A writer that dies
 *   before has written none, and its successor may.
 * - Positions begin at 16, so that 0 is none: a look shows the metadata there.
 *
 * Hostile bytes: as in spsc.h; the word of a frame is loaded once and its slack bounded by the
 * message. A lent frame ends within a ring's length of the oldest that is held. A position that is no
 * multiple of 16 is no frame's, and no address is made of it.
 *
 * Edges:
 * [M] metadata: set_metadata -> metadata, publishes the bytes before it
 * [K] skipped: skip -> attach_writer; for a dead process program order is enough
 * [G] marks: give_back -> attach_reader; the same holds
 *
 * Calls that may run together: one writer's with one reader's.
 * Progress: all moves wait-free; give_back in steps amortised over the loans.
 */
#ifndef SHMP_STREAM_H
#define SHMP_STREAM_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/copy.h"
#include "protocol/outcome.h"
#include "protocol/spsc.h"

#define SHMP_STREAM_VERSION 1u
#define SHMP_STREAM_WRITER  SHMP_SPSC_PRODUCER /* endpoint */
#define SHMP_STREAM_READER  SHMP_SPSC_CONSUMER /* endpoint */

#define SHMP_STREAM_WORD      8u
#define SHMP_STREAM_ALIGN     16u
#define SHMP_STREAM_OVERHEAD  32u /* bytes of ring beside the payload of the largest frame */
#define SHMP_STREAM_START     16u /* first position */
#define SHMP_STREAM_LOANS     256u
#define SHMP_STREAM_SLACK_BIT 60
#define SHMP_STREAM_SEQUENCES ((UINT64_C(1) << SHMP_STREAM_SLACK_BIT) - 1)
#define SHMP_STREAM_PUBLISHED (UINT64_C(1) << 63) /* of metadata */

/* Flags of a frame. */
#define SHMP_STREAM_REDELIVERED SHMP_SPSC_REDELIVERED
#define SHMP_STREAM_GAP		2u /* its number is not the one that was expected */

enum shmp_stream_option {
	SHMP_STREAM_CAPACITY_BYTES = 0, /* the largest frame */
	SHMP_STREAM_METADATA_BYTES = 1,
};

/* All frames below the position were given back; the last of them had this number. */
struct shmp_stream_mark {
	_Alignas(8) _Atomic uint64_t position;
	_Atomic uint64_t sequence;
};
SHMP_FREEZE(shmp_stream_mark, 16);
SHMP_FIELD(shmp_stream_mark, position, 0);
SHMP_FIELD(shmp_stream_mark, sequence, 8);

struct shmp_stream_control {
	struct shmp_spsc_control ring;
	/* the writer's line */
	_Alignas(64) _Atomic uint64_t metadata; /* PUBLISHED | bytes; 0: none yet */
	_Atomic uint64_t skipped;		/* sequence numbers that no frame has */
	uint64_t writer_reserved[6];
	/* the reader's line */
	struct shmp_stream_mark marks[2];
	uint64_t reader_reserved[4];
	/* the metadata follow */
};
SHMP_FREEZE(shmp_stream_control, 256);
SHMP_FIELD(shmp_stream_control, ring, 0);
SHMP_FIELD(shmp_stream_control, metadata, 128);
SHMP_FIELD(shmp_stream_control, skipped, 136);
SHMP_FIELD(shmp_stream_control, writer_reserved, 144);
SHMP_FIELD(shmp_stream_control, marks, 192);
SHMP_FIELD(shmp_stream_control, reader_reserved, 224);

extern const struct shmp_kind shmp_stream_kind;

/* Private to the process that holds the role. */
struct shmp_stream_writer {
	struct shmp_spsc_producer ring;
	struct shmp_stream_control *control;
	uint64_t frame_max; /* payload bytes */
	uint64_t metadata_max;
	uint64_t sequence; /* of the next frame */
};

/* A frame that was lent, or several in a row that have all been given back. */
struct shmp_stream_loan {
	uint64_t begin, end; /* positions */
	uint64_t sequence;   /* of the last one */
	uint64_t items;
	uint64_t bytes; /* of payload */
	bool is_held;
};

struct shmp_stream_reader {
	struct shmp_spsc_consumer ring; /* its tail is where the oldest loan begins */
	struct shmp_stream_control *control;
	uint64_t front;	   /* position of the next frame to be lent */
	uint64_t expected; /* its number; 0: any */
	uint64_t first;	   /* number of the oldest loan that is held, if there is one */
	uint64_t next;	   /* number of the next loan */
	uint32_t mark;	   /* the one that holds */
	struct shmp_stream_loan loans[SHMP_STREAM_LOANS]; /* first .. next - 1, by number */
};

struct shmp_stream_frame {
	const void *data;
	uint64_t size;
	uint64_t sequence;
	uint64_t expected; /* the number it should have */
	uint64_t position;
	uint64_t loan; /* number of the loan */
	uint32_t flags;
};

/* As in spsc.h. */
int shmp_stream_attach_writer(const struct shmp_segment *segment,
			      struct shmp_stream_writer *ret_writer);
int shmp_stream_attach_reader(const struct shmp_segment *segment,
			      struct shmp_stream_reader *ret_reader);

/* Writing. */

/* Bytes of the ring's message that carries a frame of @size. */
static inline uint64_t shmp_stream_message_bytes(uint64_t size)
{
	return SHMP_STREAM_WORD + shmp_round_up(size, SHMP_STREAM_ALIGN);
}

/*
 * Room for a frame of @size: where to write it. It is sent by shmp_stream_commit with the size
 * really used. DONE, FULL, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
static inline int shmp_stream_reserve(struct shmp_stream_writer *writer, uint64_t size,
				      uint8_t **ret_payload)
{
	uint8_t *room;
	int r;

	if (SHMP_UNLIKELY(size > writer->frame_max))
		return SHMP_TOO_BIG;
	r = shmp_spsc_reserve(&writer->ring, shmp_stream_message_bytes(size), &room);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	/* the position lies in memory that a hostile reader can write; whoever fills a frame relies on
	 * this as on malloc's */
	if (SHMP_UNLIKELY((uintptr_t)(room + SHMP_STREAM_WORD) % SHMP_STREAM_ALIGN != 0))
		return -EBADMSG;
	*ret_payload = room + SHMP_STREAM_WORD;
	return SHMP_DONE;
}

static inline void shmp_stream_commit(struct shmp_stream_writer *writer, uint64_t size)
{
	uint64_t head = shmp_spsc_head(&writer->ring);
	uint64_t message = shmp_stream_message_bytes(size);
	uint64_t slack = message - SHMP_STREAM_WORD - size;
	uint64_t end = head + shmp_spsc_need(message);

	/* relaxed: published by the release of the ring's header */
	atomic_store_explicit(
		shmp_spsc_header(writer->ring.data, writer->ring.mask, head + SHMP_SPSC_HEADER),
		slack << SHMP_STREAM_SLACK_BIT | writer->sequence, memory_order_relaxed);
	shmp_spsc_send(&writer->ring, head, message, end, 1, size);
	writer->sequence = (writer->sequence + 1) & SHMP_STREAM_SEQUENCES;
	/* the next frame's end, if it is as long, gets a zero before the frame is published, and of a
	 * long frame it is in a line that nobody has */
	__builtin_prefetch(writer->ring.data + ((2 * end - head) & writer->ring.mask), 1);
}

/* DONE, FULL, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG. */
static inline int shmp_stream_write(struct shmp_stream_writer *writer, const void *payload,
				    uint64_t size)
{
	uint8_t *room;
	int r = shmp_stream_reserve(writer, size, &room);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_copy(room, payload, size);
	shmp_stream_commit(writer, size);
	return SHMP_DONE;
}

/* The next frame's number is higher by @count: so many were lost before they could be written. */
void shmp_stream_skip(struct shmp_stream_writer *writer, uint64_t count);

/* DONE; TOO_BIG; SHMP_FULL when there are metadata already. */
int shmp_stream_set_metadata(struct shmp_stream_writer *writer, const void *bytes, uint64_t size);

/* Both roles and observers. */

/* The metadata in place; DONE, EMPTY when there are none yet, -EBADMSG. */
int shmp_stream_metadata(const struct shmp_segment *segment, const void **ret_bytes,
			 uint64_t *ret_size);

struct shmp_stream_status {
	bool has_metadata;
	uint64_t metadata_bytes;
	uint64_t free_bytes;		    /* the largest frame there is room for */
	uint64_t depth_frames, depth_bytes; /* not given back; bytes of the ring */
	uint64_t write_position, read_position;
	uint64_t written, read; /* frames; one off that its holder died with, maybe */
	uint64_t skipped;
	uint64_t last_sequence;
};

/* Each number is right for some moment. */
void shmp_stream_status(const struct shmp_segment *segment, struct shmp_stream_status *ret_status);

/* Reading. */

/* Bounds a message and says which frame it is. DONE or -EBADMSG. */
static inline int shmp_stream_parse(const struct shmp_spsc_message *message,
				    struct shmp_stream_frame *ret_frame)
{
	const uint8_t *at = message->data;
	/* relaxed: published by the ring's header, which was acquired */
	uint64_t word = atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
					     memory_order_relaxed);
	uint64_t padded = message->size - SHMP_STREAM_WORD;
	uint64_t slack = word >> SHMP_STREAM_SLACK_BIT;

	/* an empty message makes @padded a number that is no multiple either */
	if (SHMP_UNLIKELY(padded % SHMP_STREAM_ALIGN != 0 || slack > padded))
		return -EBADMSG;
	ret_frame->data = at + SHMP_STREAM_WORD;
	ret_frame->size = padded - slack;
	ret_frame->sequence = word & SHMP_STREAM_SEQUENCES;
	ret_frame->flags = message->flags;
	return SHMP_DONE;
}

/* The next frame, not yet lent. DONE, EMPTY, PEER_DEAD, PEER_LEFT, -EBADMSG. */
static inline int shmp_stream_next(struct shmp_stream_reader *reader,
				   struct shmp_stream_frame *ret_frame, uint64_t *ret_end)
{
	struct shmp_spsc_message message;
	int r = shmp_spsc_next(&reader->ring, reader->front, &message, ret_end);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	/* a hostile writer may go round and round, over what is held */
	if (SHMP_UNLIKELY(*ret_end - reader->ring.tail > reader->ring.mask))
		return -EBADMSG;
	r = shmp_stream_parse(&message, ret_frame);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	ret_frame->position = reader->front;
	ret_frame->expected = reader->expected != 0 ? reader->expected : ret_frame->sequence;
	if (SHMP_UNLIKELY(ret_frame->sequence != ret_frame->expected))
		ret_frame->flags |= SHMP_STREAM_GAP;
	return SHMP_DONE;
}

/* All below @end was given back, the last one of it with number @sequence. */
static inline void shmp_stream_take(struct shmp_stream_reader *reader, uint64_t end,
				    uint64_t sequence, uint64_t items, uint64_t bytes)
{
	struct shmp_stream_mark *mark = &reader->control->marks[reader->mark ^= 1];

	/* [G] release; pairs with shmp_stream_attach_reader. Until the position is there, too, this
	 * mark holds for an earlier one, or for none */
	atomic_store_explicit(&mark->sequence, sequence, memory_order_release);
	/* [G] release; pairs with shmp_stream_attach_reader */
	atomic_store_explicit(&mark->position, end, memory_order_release);
	shmp_spsc_take(&reader->ring, end, items, bytes);
}

/* Whether so many loans are held, or spread among such that are given back, that there is no next. */
static inline bool shmp_stream_is_lent_out(const struct shmp_stream_reader *reader)
{
	return reader->next - reader->first >= SHMP_STREAM_LOANS;
}

/* Makes a loan of what shmp_stream_next showed, which ends at @end. */
static inline void shmp_stream_enter(struct shmp_stream_reader *reader,
				     struct shmp_stream_frame *frame, uint64_t end)
{
	struct shmp_stream_loan *loan = &reader->loans[reader->next % SHMP_STREAM_LOANS];

	shmp_spsc_intend(&reader->ring, end);
	loan->begin = frame->position;
	loan->end = end;
	loan->sequence = frame->sequence;
	loan->items = 1;
	loan->bytes = frame->size;
	loan->is_held = true;
	reader->front = end;
	reader->expected = (frame->sequence + 1) & SHMP_STREAM_SEQUENCES;
	frame->loan = reader->next++;
}

/*
 * Lends the next frame, until shmp_stream_give_back. DONE; FULL when it is lent out; EMPTY,
 * PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
static inline int shmp_stream_lend(struct shmp_stream_reader *reader,
				   struct shmp_stream_frame *ret_frame)
{
	uint64_t end;
	int r;

	if (SHMP_UNLIKELY(shmp_stream_is_lent_out(reader)))
		return SHMP_FULL;
	r = shmp_stream_next(reader, ret_frame, &end);
	if (SHMP_LIKELY(r == SHMP_DONE))
		shmp_stream_enter(reader, ret_frame, end);
	return r;
}

/* The long way: with others that are held, or were given back before. */
SHMP_COLD void shmp_stream_settle(struct shmp_stream_reader *reader);

/* Ends a loan, by number and position. DONE; -EINVAL when it is none, or ended already. */
static inline int shmp_stream_give_back(struct shmp_stream_reader *reader, uint64_t number,
					uint64_t position)
{
	struct shmp_stream_loan *loan = &reader->loans[number % SHMP_STREAM_LOANS];

	if (SHMP_UNLIKELY(number - reader->first >= reader->next - reader->first ||
			  !loan->is_held || loan->begin != position))
		return -EINVAL;
	loan->is_held = false;
	if (SHMP_UNLIKELY(reader->next - reader->first != 1)) {
		shmp_stream_settle(reader);
		return SHMP_DONE;
	}
	reader->first++;
	shmp_stream_take(reader, loan->end, loan->sequence, 1, loan->bytes);
	return SHMP_DONE;
}

/*
 * Takes the next frame into @buffer, whatever else is lent. TOO_BIG leaves it and says in ret_frame
 * how long it is. DONE, FULL, EMPTY, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
int shmp_stream_read(struct shmp_stream_reader *reader, void *buffer, uint64_t buffer_bytes,
		     struct shmp_stream_frame *ret_frame);

/* A look at the next header and nothing else: is there something? */
static inline bool shmp_stream_look(const struct shmp_stream_reader *reader)
{
	/* relaxed: a hint; whoever goes for the frame loads the header again */
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)(reader->ring.data +
									     (reader->front &
									      reader->ring.mask)),
				    memory_order_relaxed) != 0;
}

#endif
