/*
 * broadcast: each reader accounts for every message of every writer's place, by its sequence: it was
 * read, or counted as lost. A reader's successor goes on at the position that was noted, so that this
 * holds through all lives of its seat.
 *
 * What a reader notes are several numbers, and it may die between two of them: they are written
 * beside the old ones first, and put into force by whoever comes next.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/soak/kinds.h"

enum {
	BURST = 48,
	WRITERS = 4, /* places */
};

/* In a reader's notes. */
enum {
	NEXT = 0,	/* sequence by place, the one that comes next and 1 more; 0: none came */
	BASE = WRITERS, /* the first of those */
	LOST = 2 * WRITERS,
	READ,
	POSITION, /* and 1 more; 0: not known */
	MISSED,	  /* places of which something may have been lost that only a later message tells */
	DRAFT,	  /* not 0: what follows is to be put into force; place and 1 more */
	DRAFT_NEXT,
	DRAFT_BASE,
	DRAFT_LOST,
	DRAFT_READ,
	DRAFT_POSITION,
	DRAFT_MISSED,
};

static enum shmc_result create_overwrite(struct shmc_client *client, const char *segment,
					 struct shmc_error *error)
{
	struct shmc_broadcast_options options = { .capacity_bytes = 32768,
						  .message_bytes_max = SOAK_MESSAGE_MAX,
						  .writers_max = WRITERS,
						  .readers_max = 8,
						  .reuse = 1 };

	return shmc_broadcast_create(client, segment, &options, error);
}

static enum shmc_result create_block(struct shmc_client *client, const char *segment,
				     struct shmc_error *error)
{
	struct shmc_broadcast_options options = { .capacity_bytes = 32768,
						  .message_bytes_max = SOAK_MESSAGE_MAX,
						  .writers_max = WRITERS,
						  .readers_max = 8,
						  .policy = SHMC_BROADCAST_BLOCK,
						  .reuse = 1 };

	return shmc_broadcast_create(client, segment, &options, error);
}

/* Writing */

static enum shmc_result probe(void *handle)
{
	return shmc_broadcast_try_push(handle, "", 1);
}

static void open_writer(struct soak_player *player)
{
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0;

	while (soak_again(player,
			  shmc_broadcast_open(player->client, player->lane->segment,
					      SHMC_BROADCAST_WRITER,
					      (struct shmc_broadcast **)&player->handle, &error),
			  &error, &since_ns))
		;
	player->probe = probe;
}

static bool write_one(struct soak_player *player)
{
	uint8_t message[SOAK_MESSAGE_MAX];
	uint64_t number = soak_number(player->book, player->seat), size;
	enum shmc_result result;

	if (number == 0)
		return false;
	size = soak_compose(player->book, player->seat, number, message);
	result = shmc_broadcast_push(player->handle, message, size, soak_patience(player));
	soak_mark(player->book, player->seat, number, result == SHMC_OK ? SOAK_SENT : SOAK_UNSENT);
	if (result != SHMC_OK && result != SHMC_FULL && result != SHMC_TIMEOUT)
		soak_wrong(player->book, player->seat, "push says %s", shmc_result_name(result));
	soak_count(player);
	return result == SHMC_OK;
}

static void play_writer(struct soak_player *player)
{
	while (soak_phase(player) == SOAK_RUN) {
		enum soak_whim whim;

		if (!player->handle)
			open_writer(player);
		for (uint64_t i = shmt_random_below(&player->random, BURST); i > 0; i--)
			if (soak_phase(player) != SOAK_RUN || !write_one(player))
				break;
		whim = soak_rest(player);
		if (whim != SOAK_GO_ON)
			player->handle = shmc_broadcast_close(player->handle);
		if (whim == SOAK_RECONNECT)
			soak_reconnect(player);
		if (whim == SOAK_LEAVE)
			return;
	}
	if (player->handle)
		shmc_broadcast_close(player->handle);
}

/* Reading */

/* One life of a reader. */
struct reading {
	struct soak_player *player;
	struct soak_seat *seat;
	struct shmc_broadcast *broadcast;
	bool has_seen[WRITERS];
};

static uint64_t note(const struct reading *reading, uint32_t index)
{
	return atomic_load(&reading->seat->notes[index]);
}

static void set_note(const struct reading *reading, uint32_t index, uint64_t value)
{
	atomic_store(&reading->seat->notes[index], value);
}

static void put_draft_into_force(const struct reading *reading)
{
	uint64_t draft = note(reading, DRAFT);

	if (draft == 0)
		return;
	set_note(reading, NEXT + (uint32_t)draft - 1, note(reading, DRAFT_NEXT));
	set_note(reading, BASE + (uint32_t)draft - 1, note(reading, DRAFT_BASE));
	set_note(reading, LOST, note(reading, DRAFT_LOST));
	set_note(reading, READ, note(reading, DRAFT_READ));
	set_note(reading, POSITION, note(reading, DRAFT_POSITION));
	set_note(reading, MISSED, note(reading, DRAFT_MISSED));
	set_note(reading, DRAFT, 0);
}

static struct reading reading_open(struct soak_player *player, struct soak_seat *seat)
{
	struct reading reading = { .player = player, .seat = seat };
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0, position;
	enum shmc_result result;

	put_draft_into_force(&reading);
	position = note(&reading, POSITION);
	do
		result = shmc_broadcast_open_from(
			player->client, player->lane->segment,
			position ? SHMC_BROADCAST_POSITION : SHMC_BROADCAST_OLDEST,
			position ? position - 1 : 0, &reading.broadcast, &error);
	while (soak_again(player, result, &error, &since_ns));
	return reading;
}

/*
 * Return: how many messages of this place are missing before this one, and counted. A handle is told
 * exactly; what one has lost of a place, and would be told with the place's next message, its
 * successor is not told, only that it is so.
 */
static uint64_t check_gap(struct reading *reading, const struct shmc_broadcast_message *message,
			  bool is_missed)
{
	uint64_t next = note(reading, NEXT + message->writer), gap;
	bool is_fresh = !reading->has_seen[message->writer];

	reading->has_seen[message->writer] = true;
	if (next == 0)
		return 0; /* the first of all that this seat saw */
	if (message->sequence + 1 < next) {
		soak_wrong(reading->player->book, reading->seat, "place %u: %llu after %llu",
			   message->writer, (unsigned long long)message->sequence,
			   (unsigned long long)next - 2);
		return 0;
	}
	gap = message->sequence + 1 - next;
	if (gap != message->lost && !(is_fresh && is_missed && message->lost <= gap))
		soak_wrong(reading->player->book, reading->seat,
			   "place %u, sequence %llu: %llu are missing, %llu told", message->writer,
			   (unsigned long long)message->sequence, (unsigned long long)gap,
			   (unsigned long long)message->lost);
	return gap;
}

static void check_bytes(const struct reading *reading, const struct shmc_broadcast_message *message)
{
	struct soak_book *book = reading->player->book;
	struct soak_head head = { 0 };

	if (!soak_is_whole(book, message->data, message->size, &head) ||
	    head.size != message->size || book->seats[head.seat].lane != reading->seat->lane)
		soak_wrong(book, reading->seat, "%llu bytes are no message",
			   (unsigned long long)message->size);
	else if (atomic_load(&book->marks[head.seat][head.number]) & SOAK_UNSENT)
		soak_wrong(book, reading->seat, "message %llu came though it was refused",
			   (unsigned long long)head.number);
}

static void take(struct reading *reading, const struct shmc_broadcast_message *message)
{
	uint64_t next = note(reading, NEXT + message->writer), missed, gap;

	if (message->writer >= WRITERS) {
		soak_wrong(reading->player->book, reading->seat, "writer %u", message->writer);
		return;
	}
	missed = message->flags & SHMC_LOST ? UINT64_MAX : note(reading, MISSED);
	check_bytes(reading, message);
	gap = check_gap(reading, message, missed >> message->writer & 1);
	set_note(reading, DRAFT_NEXT, message->sequence + 2);
	set_note(reading, DRAFT_BASE,
		 next ? note(reading, BASE + message->writer) : message->sequence);
	set_note(reading, DRAFT_LOST, note(reading, LOST) + gap);
	set_note(reading, DRAFT_READ, note(reading, READ) + 1);
	set_note(reading, DRAFT_POSITION, message->position + 1);
	set_note(reading, DRAFT_MISSED, missed & ~(UINT64_C(1) << message->writer));
	set_note(reading, DRAFT, message->writer + 1);
	put_draft_into_force(reading);
}

/* In place, or by a copy. */
static enum shmc_result read_one(struct reading *reading, bool peeks, int64_t timeout_ns)
{
	uint8_t copy[SOAK_MESSAGE_MAX];
	struct shmc_broadcast_message message = { 0 };
	enum shmc_result result;

	if (peeks) {
		result = shmc_broadcast_peek(reading->broadcast, timeout_ns, &message);
		if (result != SHMC_OK)
			return result;
		if (message.size <= sizeof(copy))
			memcpy(copy, message.data, message.size);
		message.data = copy;
		result = shmc_broadcast_release(reading->broadcast);
		if (result == SHMC_LAPPED) {
			set_note(reading, MISSED, UINT64_MAX);
			return SHMC_OK;
		}
	} else {
		result = shmc_broadcast_pop(reading->broadcast, copy, sizeof(copy), timeout_ns,
					    &message);
	}
	if (result == SHMC_OK)
		take(reading, &message);
	return result;
}

static void read_burst(struct reading *reading)
{
	struct soak_player *player = reading->player;
	enum shmc_result result = SHMC_OK;

	for (uint64_t i = 1 + shmt_random_below(&player->random, 3 * BURST); i > 0; i--) {
		if (result != SHMC_OK || soak_phase(player) == SOAK_OVER)
			return;
		result = read_one(reading, shmt_random_below(&player->random, 3) == 0,
				  soak_patience(player));
		soak_count(player);
		if (result != SHMC_OK && result != SHMC_EMPTY && result != SHMC_TIMEOUT)
			soak_wrong(player->book, player->seat, "reading says %s",
				   shmc_result_name(result));
	}
}

static void play_reader(struct soak_player *player)
{
	struct reading reading = { 0 };

	while (soak_phase(player) != SOAK_OVER) {
		enum soak_whim whim;

		if (!reading.broadcast)
			reading = reading_open(player, player->seat);
		read_burst(&reading);
		whim = soak_rest(player);
		if (whim != SOAK_GO_ON)
			reading.broadcast = shmc_broadcast_close(reading.broadcast);
		if (whim == SOAK_RECONNECT)
			soak_reconnect(player);
		if (whim == SOAK_LEAVE)
			return;
	}
	if (reading.broadcast)
		shmc_broadcast_close(reading.broadcast);
}

/* The sums */

static void account_writer(struct soak_book *book, const struct soak_seat *seat, uint64_t *sent,
			   uint64_t *doubtful)
{
	uint64_t index = (uint64_t)(seat - book->seats);

	for (uint64_t n = 1; n <= atomic_load(&seat->numbers); n++) {
		uint32_t mark = atomic_load(&book->marks[index][n]);

		*sent += (mark & SOAK_SENT) != 0;
		*doubtful += (mark & (SOAK_SENT | SOAK_UNSENT)) == 0;
	}
}

static void account_reader(struct soak_player *heir, struct soak_seat *seat)
{
	struct soak_account *account = &heir->lane->account;
	struct reading reading = reading_open(heir, seat);
	uint64_t read = 0;

	while (read_one(&reading, false, SHMC_TRY) == SHMC_OK)
		;
	for (uint32_t i = 0; i < WRITERS; i++) {
		struct shmc_broadcast_endpoint endpoint = { 0 };
		uint64_t next = note(&reading, NEXT + i);

		shmc_broadcast_endpoint(reading.broadcast, i, &endpoint);
		if (next != 0 && next - 1 != endpoint.moved.messages)
			soak_wrong(heir->book, seat, "place %u sent %llu, the reader knows of %llu",
				   i, (unsigned long long)endpoint.moved.messages,
				   (unsigned long long)next - 1);
		read += next ? next - 1 - note(&reading, BASE + i) : 0;
	}
	if (read != note(&reading, READ) + note(&reading, LOST))
		soak_wrong(heir->book, seat, "%llu were sent, %llu read, %llu lost",
			   (unsigned long long)read, (unsigned long long)note(&reading, READ),
			   (unsigned long long)note(&reading, LOST));
	account->delivered += note(&reading, READ);
	account->lost += note(&reading, LOST);
	shmc_broadcast_close(reading.broadcast);
}

static void account(struct soak_player *heir)
{
	uint64_t sent = 0, doubtful = 0, published = 0;
	struct shmc_broadcast *broadcast = NULL;

	for (uint32_t i = 0; i < heir->lane->seat_count; i++) {
		struct soak_seat *seat = &heir->book->seats[heir->lane->seats[i]];

		if (seat->role == 0 && seat != heir->seat)
			account_writer(heir->book, seat, &sent, &doubtful);
		else if (seat != heir->seat)
			account_reader(heir, seat);
	}
	if (shmc_broadcast_open(heir->client, heir->lane->segment, SHMC_BROADCAST_OBSERVER,
				&broadcast, NULL) != SHMC_OK)
		soak_wrong(heir->book, heir->seat, "cannot be observed");
	for (uint32_t i = 0; broadcast && i < WRITERS; i++) {
		struct shmc_broadcast_endpoint endpoint = { 0 };

		shmc_broadcast_endpoint(broadcast, i, &endpoint);
		published += endpoint.moved.messages;
	}
	shmc_broadcast_close(broadcast);
	if (published < sent || published > sent + doubtful)
		soak_wrong(heir->book, heir->seat, "%llu published, %llu sent, %llu in doubt",
			   (unsigned long long)published, (unsigned long long)sent,
			   (unsigned long long)doubtful);
	heir->lane->account.messages = published;
}

const struct soak_kind soak_broadcast = {
	.name = "broadcast",
	.lanes = 1,
	.create = create_overwrite,
	.roles = { { "writer", 2, 1, play_writer }, { "reader", 3, 0, play_reader } },
	.account = account,
};

const struct soak_kind soak_broadcast_block = {
	.name = "broadcast-block",
	.lanes = 1,
	.create = create_block,
	.roles = { { "writer", 2, 1, play_writer }, { "reader", 2, 0, play_reader } },
	.account = account,
};
