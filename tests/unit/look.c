/* What a looker sees of a queue, and that he leaves no trace in it. */
#include "protocol/look.h"

#include <string.h>

#include "tests/support/mpmc.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	ITEMS_MAX = 32,
	BYTES = 40,
};

/* What one look showed. */
struct shown {
	struct shmp_item item[ITEMS_MAX];
	uint8_t bytes[ITEMS_MAX][BYTES];
	uint64_t count;
	uint64_t stop_at; /* the item that is not taken; ITEMS_MAX = none */
};

static int note(void *context, const struct shmp_item *item)
{
	struct shown *shown = context;

	if (shown->count == shown->stop_at)
		return 7;
	ck_assert_uint_lt(shown->count, ITEMS_MAX);
	ck_assert_uint_le(item->payload_bytes, BYTES);
	shown->item[shown->count] = *item;
	if (item->payload)
		memcpy(shown->bytes[shown->count], item->payload, item->payload_bytes);
	shown->count++;
	return 0;
}

static struct shmp_look whole(uint8_t *room)
{
	return (struct shmp_look){ .max = UINT64_MAX,
				   .room = room,
				   .room_bytes = room ? BYTES : 0 };
}

static int look(const struct shmp_kind *kind, const struct shmp_segment *map,
		struct shmp_look *look, struct shown *ret_shown)
{
	*ret_shown = (struct shown){ .stop_at = ITEMS_MAX };
	return kind->look(map, look, note, ret_shown);
}

/* Read-only, as an observer maps it: a store would end the test. */
static struct shmp_segment observer_of(const struct shmt_segment *segment)
{
	struct shmp_segment map;

	shmt_segment_map(segment, "observer", &map);
	return map;
}

static void check_message(const struct shown *shown, uint64_t index, uint64_t size, uint64_t number)
{
	ck_assert_uint_lt(index, shown->count);
	ck_assert_str_eq(shown->item[index].what, "message");
	ck_assert_uint_eq(shown->item[index].size, size);
	ck_assert_uint_eq(shown->item[index].payload_bytes, size);
	ck_assert(shmt_message_is(shown->bytes[index], size, number));
}

/* spsc */

static struct shmt_ring *ring_with(uint64_t messages)
{
	struct shmt_ring *ring = calloc(1, sizeof(*ring));

	shmt_ring_open(ring, 4096, 0);
	for (uint64_t i = 0; i < messages; i++)
		ck_assert_int_eq(shmt_ring_push(ring, i, i), SHMP_DONE);
	return ring;
}

static void ring_done(struct shmt_ring *ring, struct shmp_segment *map)
{
	shmp_segment_unmap(map);
	shmt_ring_free(ring);
	free(ring);
}

TEST(ring_shows_its_messages_in_order_and_keeps_them)
{
	struct shmt_ring *ring = ring_with(10);
	struct shmp_segment map = observer_of(&ring->segment);
	struct shown shown;
	uint8_t room[BYTES];

	for (int times = 0; times < 2; times++) {
		struct shmp_look all = whole(room);

		ck_assert_int_eq(look(&shmp_spsc_kind, &map, &all, &shown), 0);
		ck_assert_uint_eq(shown.count, 10);
		for (uint64_t i = 0; i < 10; i++) {
			check_message(&shown, i, i, i);
			ck_assert_str_eq(shown.item[i].state, "ready");
		}
		ck_assert_uint_eq(all.missed, 0);
	}
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_int_eq(shmt_ring_pop(ring, i, i, NULL), SHMP_DONE);
	ring_done(ring, &map);
}

struct busy {
	struct shmt_ring *ring;
	uint64_t shown;
	uint64_t next;
};

/* One out, one in, as fast as they are shown. */
static int go_on(void *context, const struct shmp_item *item)
{
	struct busy *busy = context;

	(void)item;
	busy->shown++;
	ck_assert_int_eq(shmt_ring_pop(busy->ring, 8, busy->next - 10, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_push(busy->ring, 8, busy->next++), SHMP_DONE);
	return busy->shown > 10000;
}

TEST(a_look_at_a_busy_ring_ends)
{
	struct shmt_ring *ring = ring_with(0);
	struct shmp_segment map = observer_of(&ring->segment);
	struct busy busy = { .ring = ring };
	struct shmp_look all = whole(NULL);

	for (; busy.next < 10; busy.next++)
		ck_assert_int_eq(shmt_ring_push(ring, 8, busy.next), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_kind.look(&map, &all, go_on, &busy), 0);
	ck_assert_uint_le(busy.shown, 4096 / 16);
	ring_done(ring, &map);
}

TEST(next_look_goes_on_where_the_last_one_ended)
{
	struct shmt_ring *ring = ring_with(3);
	struct shmp_segment map = observer_of(&ring->segment);
	uint8_t room[BYTES];
	struct shmp_look next = whole(room);
	struct shown shown;

	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	ck_assert_uint_eq(shown.count, 3);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	ck_assert_uint_eq(shown.count, 0);
	shmt_ring_push(ring, 20, 3);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	check_message(&shown, 0, 20, 3);
	next.from = SHMP_LOOK_NEWEST;
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	ck_assert_uint_eq(shown.count, 0);
	shmt_ring_push(ring, 21, 4);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	check_message(&shown, 0, 21, 4);
	ring_done(ring, &map);
}

TEST(item_that_is_not_taken_begins_the_next_look)
{
	struct shmt_ring *ring = ring_with(5);
	struct shmp_segment map = observer_of(&ring->segment);
	uint8_t room[BYTES];
	struct shmp_look next = whole(room);
	struct shown shown = { .stop_at = 2 };

	ck_assert_int_eq(shmp_spsc_kind.look(&map, &next, note, &shown), 7);
	ck_assert_uint_eq(shown.count, 2);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	ck_assert_uint_eq(shown.count, 3);
	check_message(&shown, 0, 2, 2);
	ring_done(ring, &map);
}

TEST(what_the_consumer_took_meanwhile_is_counted_in_bytes)
{
	struct shmt_ring *ring = ring_with(3);
	struct shmp_segment map = observer_of(&ring->segment);
	uint8_t room[BYTES];
	struct shmp_look next = whole(room);
	struct shown shown;

	next.max = 1;
	look(&shmp_spsc_kind, &map, &next, &shown);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_pop(ring, i, i, NULL);
	shmt_ring_push(ring, 5, 3);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &next, &shown), 0);
	check_message(&shown, 0, 5, 3);
	ck_assert_uint_eq(next.missed, 2 * 16);
	ring_done(ring, &map);
}

TEST(messages_in_the_consumers_hands_are_said_to_be)
{
	struct shmt_ring *ring = ring_with(3);
	struct shmp_segment map = observer_of(&ring->segment);
	struct shmp_spsc_message messages[2];
	struct shmp_look all = whole(NULL);
	struct shown shown;
	uint64_t count;

	ck_assert_int_eq(shmp_spsc_peek(&ring->consumer, messages, 2, &count), SHMP_DONE);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &all, &shown), 0);
	ck_assert_str_eq(shown.item[1].state, "taken");
	ck_assert_str_eq(shown.item[2].state, "ready");
	ck_assert_ptr_null(shown.item[2].payload);
	ck_assert_uint_eq(shown.item[2].size, 2);
	shmt_place_vacate(&ring->segment, SHMP_SPSC_CONSUMER, true, 1);
	all = whole(NULL);
	ck_assert_int_eq(look(&shmp_spsc_kind, &map, &all, &shown), 0);
	ck_assert_str_eq(shown.item[1].state, "ready");
	ck_assert_uint_eq(shown.item[1].flags, SHMP_ITEM_REDELIVERED);
	ck_assert_uint_eq(shown.item[2].flags, 0);
	ring_done(ring, &map);
}

TEST(full_ring_is_shown_whole_at_every_offset)
{
	for (uint64_t offset = 0; offset < 4096; offset += 8 * 31) {
		struct shmt_ring *ring = calloc(1, sizeof(*ring));
		struct shmp_segment map;
		struct shmp_look all = whole(NULL);
		struct shown shown;
		uint64_t sent = 0;

		shmt_ring_open_at(ring, 4096, offset);
		while (shmt_ring_push(ring, 200, sent) == SHMP_DONE)
			sent++;
		map = observer_of(&ring->segment);
		ck_assert_int_eq(look(&shmp_spsc_kind, &map, &all, &shown), 0);
		ck_assert_uint_eq(shown.count, sent);
		ring_done(ring, &map);
	}
}

/* mpmc */

struct many {
	struct shmt_mpmc queue;
	struct shmp_mpmc producer, consumer, other;
	struct shmp_segment map;
	struct shown shown;
	uint8_t room[BYTES];
};

static struct many *many_with(uint64_t slots, uint64_t messages)
{
	struct many *many = calloc(1, sizeof(*many));

	shmt_mpmc_make(&many->queue, slots, BYTES, 4);
	shmt_mpmc_attach(&many->queue, 0, SHMP_MPMC_PRODUCER, &many->producer);
	shmt_mpmc_attach(&many->queue, 1, SHMP_MPMC_CONSUMER, &many->consumer);
	shmt_mpmc_attach(&many->queue, 2, SHMP_MPMC_CONSUMER, &many->other);
	many->map = observer_of(&many->queue.segment);
	for (uint64_t i = 0; i < messages; i++)
		ck_assert_int_eq(shmt_mpmc_push(&many->producer, i, i), SHMP_DONE);
	return many;
}

static void many_done(struct many *many)
{
	shmp_segment_unmap(&many->map);
	shmt_mpmc_free(&many->queue);
	free(many);
}

static uint64_t many_look(struct many *many, struct shmp_look *one)
{
	ck_assert_int_eq(look(&shmp_mpmc_kind, &many->map, one, &many->shown), 0);
	return many->shown.count;
}

TEST(slots_are_shown_with_their_states)
{
	struct many *many = many_with(8, 4);
	struct shmp_look all = whole(many->room);
	struct shmp_mpmc_message message;
	uint8_t *room;

	shmt_mpmc_pop(&many->consumer, 0, 0, NULL);
	ck_assert_int_eq(shmp_mpmc_peek(&many->consumer, BYTES, &message), SHMP_DONE);
	ck_assert_int_eq(shmp_mpmc_reserve(&many->producer, 3, &room), SHMP_DONE);
	ck_assert_uint_eq(many_look(many, &all), 4);
	ck_assert_str_eq(many->shown.item[0].state, "taken");
	ck_assert_int_eq(many->shown.item[0].endpoint, 1);
	check_message(&many->shown, 0, 1, 1);
	ck_assert_str_eq(many->shown.item[1].state, "ready");
	check_message(&many->shown, 2, 3, 3);
	ck_assert_str_eq(many->shown.item[3].state, "claimed");
	ck_assert_uint_eq(many->shown.item[3].flags, SHMP_ITEM_UNFINISHED);
	ck_assert_int_eq(many->shown.item[3].endpoint, 0);
	many_done(many);
}

TEST(what_dead_consumers_left_is_shown_as_redelivered)
{
	struct many *many = many_with(8, 2);
	struct shmp_look all = whole(many->room);
	struct shmp_mpmc_message message;

	ck_assert_int_eq(shmp_mpmc_peek(&many->consumer, BYTES, &message), SHMP_DONE);
	shmt_place_vacate(&many->queue.segment, 1, true, 1);
	ck_assert_uint_eq(many_look(many, &all), 2);
	ck_assert_str_eq(many->shown.item[0].state, "ready");
	ck_assert_uint_eq(many->shown.item[0].flags, SHMP_ITEM_REDELIVERED);
	check_message(&many->shown, 0, 0, 0);
	ck_assert_int_eq(shmp_mpmc_peek(&many->other, BYTES, &message), SHMP_DONE);
	all = whole(many->room);
	ck_assert_uint_eq(many_look(many, &all), 2);
	ck_assert_str_eq(many->shown.item[0].state, "taken");
	ck_assert_int_eq(many->shown.item[0].endpoint, 2);
	many_done(many);
}

TEST(who_comes_back_before_the_queue_went_round_misses_nothing)
{
	struct many *many = many_with(8, 0);
	struct shmp_look next = whole(many->room);
	uint64_t sent = 1;

	next.gone = true;
	shmt_mpmc_push(&many->producer, 0, 0);
	ck_assert_uint_eq(many_look(many, &next), 1);
	shmt_mpmc_pop(&many->consumer, 0, 0, NULL);
	while (sent < 400) {
		uint64_t first = sent;

		for (; sent < first + 8; sent++) {
			shmt_mpmc_push(&many->producer, sent % BYTES, sent);
			shmt_mpmc_pop(&many->consumer, sent % BYTES, sent, NULL);
		}
		ck_assert_uint_eq(many_look(many, &next), 8);
		for (uint64_t i = 0; i < 8; i++)
			check_message(&many->shown, i, (first + i) % BYTES, first + i);
		ck_assert_str_eq(many->shown.item[0].state, "gone");
	}
	many_done(many);
}

TEST(what_was_never_sent_is_never_shown)
{
	struct many *many = many_with(8, 1);
	struct shmp_look all = whole(many->room);
	uint8_t *room;

	ck_assert_int_eq(shmp_mpmc_reserve(&many->producer, 3, &room), SHMP_DONE);
	shmp_mpmc_abort(&many->producer);
	ck_assert_int_eq(shmp_mpmc_reserve(&many->producer, 3, &room), SHMP_DONE);
	shmt_place_vacate(&many->queue.segment, 0, true, 1);
	all.gone = true;
	ck_assert_uint_eq(many_look(many, &all), 1);
	shmt_mpmc_pop(&many->consumer, 0, 0, NULL);
	ck_assert_int_eq(shmt_mpmc_pop(&many->consumer, 0, 0, NULL), SHMP_EMPTY);
	all.from = SHMP_LOOK_OLDEST;
	ck_assert_uint_eq(many_look(many, &all), 1);
	check_message(&many->shown, 0, 0, 0);
	all.from = SHMP_LOOK_OLDEST;
	all.gone = false;
	ck_assert_uint_eq(many_look(many, &all), 0);
	many_done(many);
}

TEST(what_the_queue_went_over_is_counted)
{
	struct many *many = many_with(4, 1);
	struct shmp_look next = whole(many->room);

	next.gone = true;
	ck_assert_uint_eq(many_look(many, &next), 1);
	shmt_mpmc_pop(&many->consumer, 0, 0, NULL);
	for (uint64_t i = 0; i < 10; i++) {
		shmt_mpmc_push(&many->producer, 8, i);
		shmt_mpmc_pop(&many->consumer, 8, i, NULL);
	}
	ck_assert_uint_eq(many_look(many, &next), 4);
	check_message(&many->shown, 3, 8, 9);
	ck_assert_uint_eq(next.missed, 6);
	many_done(many);
}

TEST(bytes_that_nobody_writes_are_corrupt)
{
	struct many *many = many_with(4, 3);
	struct shmp_look all = whole(many->room);
	struct shmp_mpmc_slot *slot = (void *)(many->queue.map.data + 64);

	atomic_store(&slot->about, BYTES + 1);
	ck_assert_int_eq(look(&shmp_mpmc_kind, &many->map, &all, &many->shown), -EBADMSG);
	ck_assert_uint_eq(many->shown.count, 1);
	atomic_store(&slot->word, 7 << 8);
	all = whole(many->room);
	ck_assert_int_eq(look(&shmp_mpmc_kind, &many->map, &all, &many->shown), -EBADMSG);
	many_done(many);
}

SHMT_MAIN
