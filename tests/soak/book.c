#include "tests/soak/book.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);

struct soak_book *soak_book_map(int fd)
{
	void *memory = mmap(NULL, sizeof(struct soak_book), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct soak_book *soak_book_new(int *ret_fd)
{
	int fd = memfd_create("soak", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct soak_book)) < 0)
		return NULL;
	*ret_fd = fd;
	return soak_book_map(fd);
}

void soak_wrong(struct soak_book *book, const struct soak_seat *seat, const char *format, ...)
{
	uint32_t index = atomic_fetch_add(&book->wrong_count, 1);
	char line[SOAK_WRONG_BYTES];
	va_list arguments;
	int bytes = 0;

	if (index >= SOAK_WRONGS_MAX)
		return; /* the first ones tell most */
	if (seat)
		bytes = snprintf(line, sizeof(line), "%s, seat %u, role %u, life %u, pid %d: ",
				 book->lanes[seat->lane].segment, seat->place, seat->role,
				 atomic_load(&seat->lives), getpid());
	va_start(arguments, format);
	vsnprintf(line + bytes, sizeof(line) - (size_t)bytes, format, arguments);
	va_end(arguments);
	memcpy(book->wrongs[index], line, sizeof(line));
}

static uint32_t index_of(const struct soak_book *book, const struct soak_seat *seat)
{
	return (uint32_t)(seat - book->seats);
}

uint64_t soak_number(struct soak_book *book, struct soak_seat *seat)
{
	uint64_t number = atomic_load(&seat->numbers) + 1;

	if (number >= SOAK_NUMBERS_MAX)
		return 0;
	atomic_store(&seat->numbers, number);
	soak_mark(book, seat, number, SOAK_INTENT);
	return number;
}

void soak_mark(struct soak_book *book, const struct soak_seat *seat, uint64_t number, uint32_t bits)
{
	atomic_fetch_or(&book->marks[index_of(book, seat)][number], (uint8_t)bits);
}

static uint64_t sum_of(struct soak_head head, const uint8_t *bytes)
{
	uint64_t sum = head.number * golden ^ head.seat ^ (uint64_t)head.size << 32;

	for (uint64_t i = sizeof(head); i < head.size; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* Most are short, some are long. */
uint64_t soak_compose(const struct soak_book *book, const struct soak_seat *seat, uint64_t number,
		      uint8_t *message)
{
	uint64_t most = number % 8 ? 64 : SOAK_MESSAGE_MAX - sizeof(struct soak_head);
	struct soak_head head = { .seat = index_of(book, seat), .number = number };

	head.size = (uint32_t)(sizeof(head) + (number * golden >> 20) % (most + 1));
	for (uint64_t i = sizeof(head); i < head.size; i++)
		message[i] = (uint8_t)((number + i) * golden >> 56);
	head.sum = sum_of(head, message);
	memcpy(message, &head, sizeof(head));
	return head.size;
}

bool soak_is_whole(const struct soak_book *book, const void *message, uint64_t size,
		   struct soak_head *ret_head)
{
	struct soak_head head;

	if (size < sizeof(head))
		return false;
	memcpy(&head, message, sizeof(head));
	*ret_head = head;
	return head.size <= SOAK_MESSAGE_MAX && size >= head.size && head.size >= sizeof(head) &&
	       head.seat < book->seat_count && head.number != 0 &&
	       head.number <= atomic_load(&book->seats[head.seat].numbers) &&
	       head.sum == sum_of(head, message);
}

/* Counts in the two bits from @unit on, up to 3. */
static void count(_Atomic uint8_t *mark, uint32_t unit)
{
	uint8_t was = atomic_load(mark);

	do {
		if ((was / unit & 3) == 3)
			return;
	} while (!atomic_compare_exchange_weak(mark, &was, (uint8_t)(was + unit)));
}

void soak_got(struct soak_book *book, struct soak_seat *seat, const void *message, uint64_t size,
	      bool is_flagged, bool is_ordered)
{
	const struct soak_seat *sender;
	struct soak_head head = { 0 };
	_Atomic uint8_t *mark;
	uint64_t seen;

	if (!soak_is_whole(book, message, size, &head) || head.size != size) {
		soak_wrong(book, seat, "%llu bytes are no message: seat %u, number %llu",
			   (unsigned long long)size, head.seat, (unsigned long long)head.number);
		return;
	}
	sender = &book->seats[head.seat];
	if (sender->lane != seat->lane) {
		soak_wrong(book, seat, "got what was sent to lane %u", sender->lane);
		return;
	}
	mark = &book->marks[head.seat][head.number];
	atomic_store(&seat->noted, head.number);
	count(mark, SOAK_GOT);
	if (is_flagged)
		count(mark, SOAK_FLAGGED);
	seen = atomic_load(&seat->seen[sender->place]);
	if (is_ordered && !is_flagged && head.number <= seen)
		soak_wrong(book, seat, "number %llu of seat %u after %llu",
			   (unsigned long long)head.number, sender->place,
			   (unsigned long long)seen);
	if (head.number > seen)
		atomic_store(&seat->seen[sender->place], head.number);
}

void soak_bury(struct soak_book *book, struct soak_seat *seat)
{
	uint32_t hand = atomic_exchange(&seat->hand, SOAK_HAND_EMPTY);
	struct soak_head head;

	if (hand == SOAK_HAND_EMPTY)
		return;
	atomic_fetch_add(&seat->hands, 1);
	if (hand != SOAK_HAND_TAKING || !soak_is_whole(book, seat->buffer, SOAK_MESSAGE_MAX, &head))
		return;
	/* by then it may have been counted already */
	if (atomic_load(&seat->noted) != head.number ||
	    (atomic_load(&book->marks[head.seat][head.number]) / SOAK_GOT & 3) == 0)
		atomic_fetch_or(&book->marks[head.seat][head.number], SOAK_IN_HAND);
}

static void account_message(struct soak_book *book, struct soak_lane *lane,
			    const struct soak_seat *seat, uint64_t number)
{
	uint32_t mark = atomic_load(&book->marks[index_of(book, seat)][number]);
	uint32_t got = mark / SOAK_GOT & 3, flagged = mark / SOAK_FLAGGED & 3;
	struct soak_account *account = &lane->account;
	bool is_taken = !got && (mark & SOAK_IN_HAND);

	account->messages += (mark & SOAK_SENT) || got || is_taken;
	account->delivered += got != 0;
	account->repeats += flagged;
	account->taken += is_taken;
	if ((mark & SOAK_SENT) && !got && !is_taken && lane->may_lose)
		account->lost++;
	else if ((mark & SOAK_SENT) && !got && !is_taken)
		soak_wrong(book, seat, "message %llu was lost", (unsigned long long)number);
	if ((mark & SOAK_UNSENT) && (got || is_taken))
		soak_wrong(book, seat, "message %llu came though it was refused",
			   (unsigned long long)number);
	if (got > flagged + 1)
		soak_wrong(book, seat, "message %llu came %u times, flagged %u times",
			   (unsigned long long)number, got, flagged);
	if ((mark & SOAK_IN_HAND) && got && !flagged)
		soak_wrong(book, seat, "message %llu was in a dead one's hand, came, not flagged",
			   (unsigned long long)number);
}

void soak_account_messages(struct soak_book *book, struct soak_lane *lane)
{
	uint64_t hands = 0;

	for (uint32_t i = 0; i < lane->seat_count; i++) {
		const struct soak_seat *seat = &book->seats[lane->seats[i]];

		for (uint64_t n = 1; n <= atomic_load(&seat->numbers); n++)
			account_message(book, lane, seat, n);
		hands += atomic_load(&seat->hands);
	}
	if (lane->account.repeats > hands)
		soak_wrong(book, NULL, "%s: %llu flagged, but only %llu can have been in hand",
			   lane->segment, (unsigned long long)lane->account.repeats,
			   (unsigned long long)hands);
}
