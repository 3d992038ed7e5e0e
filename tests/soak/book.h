/*
 * Book: what every process of a soak has done, in memory that survives all of them. A process writes
 * down what it is about to do before it does it, and what came of it afterwards, so that after its
 * death there is at most one thing in doubt, and that is known by name.
 *
 * Each seat is a place that one process after the other takes; its numbers go on through all of
 * them. A message is known by the seat that sent it and its number there, from 1 on, and has a mark.
 */
#ifndef SOAK_BOOK_H
#define SOAK_BOOK_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SOAK_SEATS_MAX = 128,
	SOAK_LANES_MAX = 32,
	SOAK_LANE_SEATS_MAX = 12,
	SOAK_NUMBERS_MAX = 1 << 22, /* of one seat; who has come there rests */
	SOAK_MESSAGE_MAX = 1024,    /* bytes */
	SOAK_NOTES_MAX = 64,
	SOAK_WRONGS_MAX = 40,
	SOAK_WRONG_BYTES = 240,
};

enum soak_phase {
	SOAK_RUN = 0,
	SOAK_CALM = 1, /* nothing new is sent; what was sent is received */
	SOAK_OVER = 2,
};

/* What has become of a message: bits, and two counts that stop at 3. */
enum {
	SOAK_INTENT = 1u << 0,
	SOAK_SENT = 1u << 1,
	SOAK_UNSENT = 1u << 2,	/* the call said so */
	SOAK_IN_HAND = 1u << 3, /* of a receiver that died */
	SOAK_GOT = 1u << 4,
	SOAK_FLAGGED = 1u << 6,
};

/* What a receiver is about to do, for whoever finds it dead. */
enum soak_hand {
	SOAK_HAND_EMPTY = 0,
	SOAK_HAND_TAKING = 1,  /* into its seat's buffer */
	SOAK_HAND_SHOWING = 2, /* of what stays where it is until it was noted */
};

/* A message begins with this; the bytes behind it follow from number and place. */
struct soak_head {
	uint32_t size; /* bytes of all */
	uint32_t seat;
	uint64_t number;
	uint64_t sum; /* of all the others */
};

struct soak_seat {
	uint32_t kind; /* index in the table */
	uint32_t lane;
	uint32_t role;
	uint32_t place; /* in the lane */
	_Atomic uint32_t lives;
	_Atomic uint32_t hand; /* enum soak_hand */
	_Atomic uint64_t operations;
	_Atomic uint64_t last_ns,
		pause_ns; /* of a steady book: the last one; the longest between two */
	_Atomic uint64_t bursts;
	_Atomic uint64_t numbers; /* the last one that was given out */
	_Atomic uint64_t noted;	  /* number of what is in the buffer, once it was taken for sure */
	_Atomic uint64_t hands;	  /* times that something may have been in a dead one's hand */
	_Atomic uint64_t retries; /* of control calls */
	_Atomic uint64_t seen[SOAK_LANE_SEATS_MAX];
	_Atomic uint64_t notes[SOAK_NOTES_MAX]; /* the kind's own */
	_Alignas(16) uint8_t buffer[SOAK_MESSAGE_MAX];
};

/* Filled in when all is over. */
struct soak_account {
	uint64_t messages; /* published */
	uint64_t delivered;
	uint64_t repeats; /* flagged */
	uint64_t taken;	  /* by one who died before he could note it */
	uint64_t lost;	  /* and counted by who lost it */
};

struct soak_lane {
	uint32_t kind;
	uint32_t may_lose; /* not 0: what did not arrive counts as lost */
	uint32_t seat_count;
	uint32_t seats[SOAK_LANE_SEATS_MAX];
	char segment[48];
	struct soak_account account;
};

struct soak_book {
	_Atomic uint32_t phase; /* enum soak_phase */
	_Atomic uint32_t wrong_count;
	_Atomic uint64_t bursts;
	uint64_t seed;
	uint32_t is_steady; /* not 0: nobody rests for long, or has whims */
	uint32_t seat_count;
	uint32_t lane_count;
	char address[96];
	char wrongs[SOAK_WRONGS_MAX][SOAK_WRONG_BYTES];
	struct soak_seat seats[SOAK_SEATS_MAX];
	struct soak_lane lanes[SOAK_LANES_MAX];
	_Atomic uint8_t marks[SOAK_SEATS_MAX][SOAK_NUMBERS_MAX]; /* few of its pages are touched */
};

/* A new one, and its descriptor (close-on-exec); or one that another process made. */
struct soak_book *soak_book_new(int *ret_fd);
struct soak_book *soak_book_map(int fd);

/* Something that must not be. */
void soak_wrong(struct soak_book *book, const struct soak_seat *seat, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The sender's: a number, and its message of some size; 0 when there are no more. */
uint64_t soak_number(struct soak_book *book, struct soak_seat *seat);
uint64_t soak_compose(const struct soak_book *book, const struct soak_seat *seat, uint64_t number,
		      uint8_t *message);
void soak_mark(struct soak_book *book, const struct soak_seat *seat, uint64_t number,
	       uint32_t bits);

/* Whether @size bytes are a message that somebody of the book composed, as it was. */
bool soak_is_whole(const struct soak_book *book, const void *message, uint64_t size,
		   struct soak_head *ret_head);

/* The receiver's: it has this one, and is to say what is wrong with that. With @is_ordered what one
 * seat sent comes in its order, save for what is flagged. */
void soak_got(struct soak_book *book, struct soak_seat *seat, const void *message, uint64_t size,
	      bool is_flagged, bool is_ordered);

/* Whoever had the seat is dead. */
void soak_bury(struct soak_book *book, struct soak_seat *seat);

/* Of messages that go to one receiver each: what all marks of the lane say. */
void soak_account_messages(struct soak_book *book, struct soak_lane *lane);

#endif
