#include "daemon/place.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/disposal.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/segment.h"
#include "protocol/doorbell.h"
#include "protocol/waiter.h"

int place_find(const struct segment *segment, const struct shmp_role *role, uint32_t *ret_place)
{
	uint32_t first = shmp_role_first(role, &segment->plan);
	uint32_t count = segment_role_places(segment, role);

	*ret_place = first;
	for (uint32_t i = first; i < first + count; i++) {
		if (!segment->places[i].holder && !segment->places[i].is_repairing) {
			*ret_place = i;
			return 0;
		}
	}
	return 1;
}

/* The broker's line of the shared record, state last. */
static void write_record(const struct shmp_segment *map, const struct segment *segment,
			 uint32_t index, enum shmp_endpoint_state state)
{
	const struct place *place = &segment->places[index];
	struct shmp_endpoint *record = &map->endpoints[index];

	record->since_ns = shmp_clock_ns();
	/* relaxed: the state that follows publishes it */
	atomic_store_explicit(&record->deaths, place->deaths, memory_order_relaxed);
	shmp_endpoint_set_state(record, place->incarnation, state);
}

static void write_holder(const struct shmp_segment *map, uint32_t index,
			 const struct client *client)
{
	struct shmp_endpoint *record = &map->endpoints[index];

	record->start_time = client->start_time;
	record->pid = (uint32_t)client->credentials.pid;
	record->uid = client->credentials.uid;
}

uint64_t place_next_incarnation(const struct segment *segment, uint32_t index)
{
	return segment->places[index].incarnation + 1;
}

/* The broker's own table, and what a successor will know of it. */
static void enter(struct segment *segment, uint32_t index, struct attachment *holder)
{
	struct place *place = &segment->places[index];

	place->incarnation = place_next_incarnation(segment, index);
	place->holder = holder;
	place->role = holder->role;
	place->pid = holder->client->credentials.pid;
	place->uid = holder->client->credentials.uid;
	segment->broker->endpoint_count++;
	ledger_death(segment, index);
	ledger_place(segment, index, STATE_PLACE_HELD);
}

/* Until the holder is told, this can be done again. */
static void show(const struct segment *segment, const struct shmp_segment *map, uint32_t index)
{
	segment->kind->attach(map, index);
	write_holder(map, index, segment->places[index].holder->client);
	write_record(map, segment, index, SHMP_ENDPOINT_ACTIVE);
	/* a counterpart may be waiting for somebody to come */
	segment->kind->wake(map);
}

int place_assign(struct segment *segment, uint32_t index, struct attachment *holder)
{
	struct client *client = holder->client;
	struct shmp_segment map;
	const char *why = "";
	int r = segment_map(segment, SHMP_ACCESS_WRITE, false, &map);

	if (r < 0)
		return r;
	r = segment->kind->validate(&map, &why);
	if (r < 0)
		log_event(LOG_WARNING, "corrupt", "segment=%s pid=%d uid=%u message=\"%s\"",
			  segment->name, client->credentials.pid, client->credentials.uid, why);
	/* before anybody of this process can publish or wait */
	if (r == 0 && !client->has_membarrier)
		r = segment->kind->require_fence(&map);
	if (r == 0) {
		enter(segment, index, holder);
		show(segment, &map, index);
	}
	shmp_segment_unmap(&map);
	if (r < 0)
		return r;
	segment_ring(segment);
	return 0;
}

static void close_bell(struct segment *segment, uint32_t index)
{
	struct place *place = &segment->places[index];

	ledger_bell_gone(segment, index);
	if (place->ring_fd < 0)
		return;
	dispose_pair(segment->broker, place->ring_fd, place->poll_fd, place->uid);
	place->ring_fd = -1;
	place->poll_fd = -1;
}

/* For the record of deaths, where he has not been noted yet. */
static void note(struct segment *segment, uint32_t index, struct death_place *held, bool is_pending)
{
	uint64_t id;

	held->is_pending = is_pending;
	id = deaths_note(&segment->broker->deaths, held);
	segment->places[index].death = is_pending ? id : 0;
	ledger_death(segment, index);
}

/*
 * One run of the kind's repair; 0 done, 1 not yet, -errno could not be tried. What the dead one has
 * in hands is collected in @held first, unless that is NULL, and noted: the repair takes it away, and
 * if this broker dies meanwhile nobody knows of it any more.
 */
static int run_repair(struct segment *segment, uint32_t index, struct death_place *held)
{
	struct place *place = &segment->places[index];
	struct shmp_segment map;
	int r = segment_map(segment, SHMP_ACCESS_WRITE, false, &map);

	if (r < 0)
		return r;
	if (held && segment->kind->holds)
		segment->kind->holds(&map, index, death_add_hold, held);
	if (held && held->hold_count > 0)
		note(segment, index, held, true);
	if (place->has_died)
		write_record(&map, segment, index, SHMP_ENDPOINT_DYING);
	r = segment->kind->repair(&map, index, place->has_died);
	if (r == 0) {
		place->deaths += place->has_died;
		write_record(&map, segment, index,
			     place->has_died ? SHMP_ENDPOINT_DEAD : SHMP_ENDPOINT_LEFT);
	}
	/* unconditionally: what an earlier run changed may still be unheard */
	segment->kind->wake(&map);
	shmp_segment_unmap(&map);
	segment_ring(segment);
	return r;
}

/* Nothing is left of who was there. */
static void end_repair(struct segment *segment, uint32_t index)
{
	struct place *place = &segment->places[index];
	struct broker *broker = segment->broker;

	deaths_repaired(&broker->deaths, place->death);
	place->death = 0;
	ledger_place(segment, index, place->has_died ? STATE_PLACE_DEAD : STATE_PLACE_LEFT);
	place->is_repairing = false;
	segment->repairing--;
	if (!place->has_died)
		return;
	broker->counters.repairs++;
	event_emit(broker, &(struct event){ .kind = "repaired",
					    .segment = segment->name,
					    .role = segment_role_at(segment, index)->name,
					    .has_endpoint = true,
					    .endpoint = index });
}

int place_repair(struct segment *segment, uint32_t index)
{
	if (run_repair(segment, index, NULL) != 0)
		return 1;
	end_repair(segment, index);
	return 0;
}

/* Whoever waits is told by the repair; who held nothing in hand is noted behind it. */
static int repair_dead(struct segment *segment, uint32_t index)
{
	struct death_place held = { .segment = segment->name,
				    .kind = segment->kind->name,
				    .role = segment_role_at(segment, index)->name,
				    .endpoint = index };
	int r = run_repair(segment, index, &held);

	if (held.hold_count == 0)
		note(segment, index, &held, r != 0);
	if (r != 0)
		return 1;
	end_repair(segment, index);
	return 0;
}

void place_vacate(struct segment *segment, uint32_t index, bool died)
{
	struct place *place = &segment->places[index];

	assert(place->holder && !place->is_repairing);
	place->holder = NULL;
	segment->broker->endpoint_count--;
	ledger_place(segment, index, died ? STATE_PLACE_DYING : STATE_PLACE_LEAVING);
	close_bell(segment, index);
	if (segment->broker->is_stopping)
		return;
	place->has_died = died;
	place->is_repairing = true;
	segment->repairing++;
	if ((died ? repair_dead(segment, index) : place_repair(segment, index)) != 0)
		repair_later(segment);
}

/* A ringer who may write can also shut it down; then it is made anew. */
static bool bell_works(const struct place *place)
{
	char byte;

	return place->ring_fd >= 0 && recv(place->poll_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

int place_make_bell(struct segment *segment, uint32_t index)
{
	struct place *place = &segment->places[index];
	int r;

	if (bell_works(place))
		return 0;
	close_bell(segment, index);
	r = shmp_doorbell_make(segment->broker->has_passrights, &place->ring_fd, &place->poll_fd);
	if (r == 0)
		r = ledger_bell(segment, index);
	if (r < 0)
		close_bell(segment, index);
	return r;
}

/* What an earlier broker kept. */

static const struct shmp_role *kept_role(const struct segment *segment,
					 const struct state_place *kept)
{
	return kept->role < segment->kind->role_count ? &segment->kind->roles[kept->role] : NULL;
}

/*
 * His repair was begun, or done, and he may not be noted as dead yet: he is given his place again,
 * and loses it once more. Whoever waits has to do with what is in the segment, which stays.
 */
static bool has_unnoted(const struct place *place)
{
	return (state_read(&place->kept->word) & 0xff) == STATE_PLACE_DYING &&
	       place->kept->death == 0;
}

void place_restore(struct segment *segment, uint32_t index, struct state_place *kept)
{
	struct place *place = &segment->places[index];
	uint64_t word = state_read(&kept->word);
	enum state_place_status status = (enum state_place_status)(word & 0xff);

	place->kept = kept;
	place->deaths = (uint32_t)(word >> 8) - (status == STATE_PLACE_DYING);
	place->incarnation = kept->incarnation;
	place->has_died = status == STATE_PLACE_DYING || status == STATE_PLACE_DEAD;
	if (status == STATE_PLACE_NEVER)
		return;
	place->role = kept_role(segment, kept);
	place->pid = (pid_t)kept->pid;
	place->uid = kept->uid;
	if (status != STATE_PLACE_DYING && status != STATE_PLACE_LEAVING)
		return;
	if (has_unnoted(place))
		return;
	place->death = place->has_died ? kept->death : 0;
	place->is_repairing = true;
	segment->repairing++;
	repair_later(segment);
}

bool place_is_kept(const struct place *place)
{
	return place->kept && (state_read(&place->kept->word) & 0xff) == STATE_PLACE_HELD;
}

bool place_is_kept_for(const struct segment *segment, uint32_t index, uint64_t incarnation)
{
	const struct place *place = &segment->places[index];

	return (place_is_kept(place) || has_unnoted(place)) && place->incarnation == incarnation &&
	       !place->holder;
}

/* The shared record, too, says that he holds it. */
static bool is_shown(const struct segment *segment, const struct shmp_segment *map, uint32_t index)
{
	const struct shmp_endpoint *record = &map->endpoints[index];

	return shmp_endpoint_look(record) == SHMP_ENDPOINT_ACTIVE &&
	       shmp_endpoint_incarnation(record) == segment->places[index].incarnation;
}

int place_restore_holder(struct segment *segment, uint32_t index, struct attachment *holder)
{
	struct place *place = &segment->places[index];
	struct shmp_segment map;
	int r = segment_map(segment, SHMP_ACCESS_WRITE, false, &map);

	if (r < 0)
		return r;
	place->holder = holder;
	place->role = holder->role;
	segment->broker->endpoint_count++;
	if (has_unnoted(place))
		; /* as it is */
	else if (!is_shown(segment, &map, index))
		show(segment, &map, index);
	else
		segment->kind->wake(&map); /* it may have been shown last thing */
	shmp_segment_unmap(&map);
	return 0;
}

void place_restore_end(struct segment *segment, uint32_t index)
{
	struct place *place = &segment->places[index];

	if (!place->kept || place->holder || place->is_repairing ||
	    !(place_is_kept(place) || has_unnoted(place)))
		return;
	ledger_place(segment, index, STATE_PLACE_DYING);
	close_bell(segment, index);
	place->has_died = true;
	place->is_repairing = true;
	segment->repairing++;
	repair_later(segment);
}
