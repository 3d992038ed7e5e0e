/*
 * broadcast: whose turn it is, when writers race or wait for room. See broadcast.h.
 *
 * Tickets and turns are advice. A turn is used by claims, passed on after so many of them, and gone
 * past by whoever is behind when it is not used. Not when its holder waits for room that is not
 * there: he says in his cursor for how much, and who comes behind him gets FULL, too.
 *
 * A process that shares its core with strangers is often not there when its turn comes. When it is
 * back it catches up with the busiest since the contention began, and the others let it, as long as
 * it goes on: without that it would get a thousandth of what the others get.
 */
#include <sched.h>
#include <unistd.h>

#include "protocol/broadcast.h"
#include "protocol/broadcast_scan.h"

#define PATIENCE_NS   UINT64_C(50000)	  /* with a turn that is not used */
#define PATIENCE_ALL  20u		  /* of them; then one who waits goes himself */
#define PATIENCE_LAST UINT64_C(100000000) /* though turns are used */
#define CLOSE_LOOKS   200u		  /* before the first yield */
#define TURN_CLAIMS   1u
#define TURN_CROWDED  64u    /* when writers share cores: a turn costs a switch of processes */
#define TURN_LATE     65536u /* at most, of one who catches up */
#define OWED_MAX      (UINT64_C(1) << 18)
#define OWED_NS	      UINT64_C(50000000) /* whoever did not contend for so long is owed nothing */

static uint32_t active_writers(const struct shmp_broadcast *ring)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ring->writers; i++)
		count += shmp_endpoint_look(&ring->endpoints[i]) == SHMP_ENDPOINT_ACTIVE;
	return count;
}

static uint64_t load_serving(const struct shmp_broadcast *ring)
{
	/* relaxed: advice, by which nothing is protected */
	return atomic_load_explicit(&ring->control->serving, memory_order_relaxed);
}

/* From @turn to the next one; nothing when somebody has done it. */
static void pass_turn(const struct shmp_broadcast *ring, uint64_t turn)
{
	/* relaxed: as load_serving */
	atomic_compare_exchange_strong_explicit(&ring->control->serving, &turn, turn + 1,
						memory_order_relaxed, memory_order_relaxed);
}

/* Whether the writer has a ticket that nobody has gone past. */
static bool has_ticket(const struct shmp_broadcast_writer *writer, uint64_t serving)
{
	return writer->has_ticket && (int64_t)(serving - writer->ticket) <= 0;
}

/* Says in the own cursor what is waited for; 0: nothing. */
static void say_queued(struct shmp_broadcast_writer *writer, uint64_t need)
{
	uint64_t word = need == 0 ? 0 : shmp_broadcast_queued(writer->ticket, need);

	writer->queued_need = need;
	/* relaxed: advice, as the tickets are */
	atomic_store_explicit(&writer->self->cursor, word, memory_order_relaxed);
}

static void take_ticket(struct shmp_broadcast_writer *writer)
{
	/* relaxed: as load_serving */
	writer->ticket = atomic_fetch_add_explicit(&writer->ring.control->tickets, 1,
						   memory_order_relaxed);
	writer->has_ticket = true;
	writer->turn_left = 0;
	if (writer->queued_need != 0)
		say_queued(writer, writer->queued_need);
}

/* Whether @turn is that of one who waits for room, and it is not there yet. */
static bool waits_for_room(const struct shmp_broadcast_writer *writer, uint64_t turn)
{
	const struct shmp_broadcast *ring = &writer->ring;

	for (uint32_t i = 0; i < ring->writers; i++) {
		uint64_t need;

		if (i == writer->endpoint ||
		    !shmp_broadcast_load_queued(&ring->endpoints[i], turn, &need))
			continue;
		/* more than there can be is not waited for */
		return need <= ring->capacity && (shmp_broadcast_load_tail(ring) >> 8) + need >
							 shmp_broadcast_scan_gate(writer);
	}
	return false;
}

/* Who catches up: endpoint + 1; 0: nobody. */
static uint64_t load_late(const struct shmp_broadcast *ring)
{
	/* relaxed: as load_serving */
	return atomic_load_explicit(&ring->control->late, memory_order_relaxed);
}

static bool change_late(const struct shmp_broadcast *ring, uint64_t from, uint64_t to)
{
	/* relaxed: as load_serving */
	return atomic_compare_exchange_strong_explicit(&ring->control->late, &from, to,
						       memory_order_relaxed, memory_order_relaxed);
}

static uint64_t late_word(const struct shmp_broadcast_writer *writer)
{
	return writer->endpoint + UINT64_C(1);
}

static uint64_t load_sent(const struct shmp_broadcast *ring, uint32_t i)
{
	/* relaxed: a count */
	return atomic_load_explicit(&ring->endpoints[i].items, memory_order_relaxed);
}

/* From the begin of contention on it is counted who sends how much. */
static void note_contention(struct shmp_broadcast_writer *writer)
{
	uint64_t now = shmp_clock_ns();

	if (now - writer->contended_ns > OWED_NS)
		for (uint32_t i = 0; i < writer->ring.writers; i++)
			writer->sent_before[i] = load_sent(&writer->ring, i);
	writer->contended_ns = now;
}

static uint64_t sent_since(const struct shmp_broadcast_writer *writer, uint32_t i)
{
	uint64_t sent = load_sent(&writer->ring, i) - writer->sent_before[i];

	/* less than before: bytes that no writer wrote */
	return sent < UINT64_MAX / 2 ? sent : 0;
}

/* How many claims the writer is behind the busiest. What is too much is forgotten. */
static uint64_t count_owed(struct shmp_broadcast_writer *writer)
{
	uint64_t own = sent_since(writer, writer->endpoint), most = own;

	for (uint32_t i = 0; i < writer->ring.writers; i++) {
		uint64_t sent = sent_since(writer, i);

		most = sent > most ? sent : most;
	}
	if (most - own > OWED_MAX) {
		writer->sent_before[writer->endpoint] -= most - own - OWED_MAX;
		return OWED_MAX;
	}
	return most - own;
}

/* Whether he is behind by more than a turn, and nobody else catches up just now. */
static bool catch_up(struct shmp_broadcast_writer *writer)
{
	uint64_t owed = count_owed(writer);

	writer->is_late = owed > TURN_CROWDED && change_late(&writer->ring, 0, late_word(writer));
	if (writer->is_late)
		writer->turn_left = owed < TURN_LATE ? (uint32_t)owed : TURN_LATE;
	return writer->is_late;
}

/* What has not moved for so long that it is not used. */
struct patience {
	uint64_t began_ns, since_ns, now_ns;
	uint64_t close_until_ns; /* no yield before */
	uint64_t serving, late, tail;
	uint32_t lost; /* how often it ran out */
};

static void be_patient(const struct shmp_broadcast *ring, struct patience *patience)
{
	patience->serving = load_serving(ring);
	patience->late = load_late(ring);
	patience->since_ns = patience->now_ns;
}

/*
 * Lets others run: on a core that is shared, the one whose turn it is may be waiting for it. Whoever
 * gets the core back from strangers looks closely for a while, or he would have it for one look.
 */
static void pause_before(uint32_t look, struct patience *patience)
{
	if (look < CLOSE_LOOKS || patience->now_ns < patience->close_until_ns) {
		__asm__ __volatile__("" ::: "memory"); /* volatile: an empty loop would go away */
		if (look % 16 == 0)
			patience->now_ns = shmp_clock_ns();
		return;
	}
	sched_yield();
	uint64_t now = shmp_clock_ns();
	if (now - patience->now_ns > PATIENCE_NS)
		patience->close_until_ns = now + 2 * PATIENCE_NS;
	patience->now_ns = now;
}

/* Whether what is waited for has not moved for long. */
static bool is_unused(const struct shmp_broadcast *ring, struct patience *patience)
{
	uint64_t now = patience->now_ns;
	uint64_t tail;

	if (patience->serving != load_serving(ring) || patience->late != load_late(ring)) {
		be_patient(ring, patience);
		return false;
	}
	if (now - patience->since_ns <= PATIENCE_NS)
		return false;
	/* asked for so seldom because every claim wants its line */
	tail = shmp_broadcast_load_tail(ring);
	patience->since_ns = now;
	patience->lost += tail == patience->tail || patience->late != 0;
	if (tail == patience->tail)
		return true;
	patience->tail = tail;
	return false;
}

/* Goes past the turn. DONE; FULL: its holder waits for room that is not there. */
static int go_past(struct shmp_broadcast_writer *writer, const struct patience *patience)
{
	const struct shmp_broadcast *ring = &writer->ring;

	if (patience->late != 0) {
		change_late(ring, patience->late, 0);
		return SHMP_DONE;
	}
	writer->is_held_up = waits_for_room(writer, patience->serving);
	if (writer->is_held_up)
		return SHMP_FULL;
	pass_turn(ring, patience->serving);
	return SHMP_DONE;
}

static bool is_own_turn(const struct shmp_broadcast_writer *writer)
{
	uint64_t late = load_late(&writer->ring);

	return (int64_t)(load_serving(&writer->ring) - writer->ticket) >= 0 &&
	       (late == 0 || late == late_word(writer));
}

/* DONE: it is the writer's turn, or he has waited long enough. FULL: it is that of one who waits. */
static int await_turn(struct shmp_broadcast_writer *writer)
{
	const struct shmp_broadcast *ring = &writer->ring;
	struct patience patience = { .began_ns = shmp_clock_ns(),
				     .tail = shmp_broadcast_load_tail(ring) };

	patience.now_ns = patience.began_ns;
	be_patient(ring, &patience);
	/* he did the last time: there is no need to find out by patience */
	if (writer->is_held_up && patience.serving != writer->ticket &&
	    waits_for_room(writer, patience.serving))
		return SHMP_FULL;
	writer->is_held_up = false;
	for (uint32_t look = 0; !is_own_turn(writer); look++) {
		pause_before(look, &patience);
		if (is_unused(ring, &patience) && go_past(writer, &patience) != SHMP_DONE)
			return SHMP_FULL;
		if (patience.lost >= PATIENCE_ALL ||
		    patience.now_ns - patience.began_ns > PATIENCE_LAST)
			break;
	}
	return SHMP_DONE;
}

int shmp_broadcast_give_way(struct shmp_broadcast_writer *writer)
{
	const struct shmp_broadcast *ring = &writer->ring;
	uint64_t serving = load_serving(ring);
	int r;

	if (ring->is_exclusive)
		return SHMP_DONE;
	/* somebody may have gone past a turn that was not used */
	if (writer->turn_left != 0 &&
	    (writer->is_late ? load_late(ring) == late_word(writer) : serving == writer->ticket))
		return SHMP_DONE;
	note_contention(writer);
	if (!has_ticket(writer, serving)) {
		/* it was gone past, or the time to catch up was cut short */
		if ((writer->has_ticket || writer->is_late) && catch_up(writer))
			return SHMP_DONE;
		take_ticket(writer);
	}
	r = await_turn(writer);
	if (r != SHMP_DONE)
		return r;
	/* somebody went past it */
	if (load_serving(ring) != writer->ticket && catch_up(writer))
		return SHMP_DONE;
	if (writer->cores == 0)
		writer->cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	writer->turn_left = active_writers(ring) >= writer->cores ? TURN_CROWDED : TURN_CLAIMS;
	return SHMP_DONE;
}

void shmp_broadcast_use_turn(struct shmp_broadcast_writer *writer)
{
	if (writer->queued_need != 0)
		say_queued(writer, 0);
	if (writer->turn_left == 0 || --writer->turn_left > 0)
		return;
	if (writer->is_late)
		change_late(&writer->ring, late_word(writer), 0);
	writer->is_late = false;
	writer->has_ticket = false;
	pass_turn(&writer->ring, writer->ticket);
}

void shmp_broadcast_queue(struct shmp_broadcast_writer *writer, uint64_t need)
{
	if (writer->ring.is_exclusive)
		return;
	if (!has_ticket(writer, load_serving(&writer->ring)))
		take_ticket(writer);
	if (need != writer->queued_need)
		say_queued(writer, need);
}

bool shmp_broadcast_leave_queue(struct shmp_broadcast_writer *writer)
{
	if (writer->queued_need == 0)
		return false;
	say_queued(writer, 0);
	writer->has_ticket = false;
	writer->turn_left = 0;
	pass_turn(&writer->ring, writer->ticket);
	return true;
}
