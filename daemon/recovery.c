#include "daemon/recovery.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/bundle.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/nest.h"
#include "daemon/place.h"
#include "daemon/segment.h"
#include "daemon/state.h"
#include "daemon/systemd.h"
#include "protocol/name.h"
#include "protocol/waiter.h"

/* in the manager's store */
#define STATE_NAME  "state"
#define DEATHS_NAME "deaths"

struct recovery {
	struct broker *broker;
	const char *left_by; /* version of the broker before */
	struct bundle_findings findings;
	uint64_t *items; /* that records in force name, in order */
	size_t item_count;
	size_t item_room;
	struct state_mark **marks; /* of one type, by owner and part */
	size_t mark_count;
	size_t mark_room;
	struct segment **segments; /* by generation */
	size_t segment_count;
	size_t lost; /* segments whose descriptors are not there */
	int result;
};

/* ---- records in order ------------------------------------------------------------------------ */

static void collect(void *context, struct state_mark *mark)
{
	struct recovery *recovery = context;

	if (recovery->mark_count == recovery->mark_room) {
		size_t room = recovery->mark_room ? 2 * recovery->mark_room : 64;
		struct state_mark **marks = realloc(recovery->marks,
						    room * sizeof(struct state_mark *));

		if (!marks) {
			recovery->result = -ENOMEM;
			return;
		}
		recovery->marks = marks;
		recovery->mark_room = room;
	}
	recovery->marks[recovery->mark_count++] = mark;
}

static int compare_marks(const void *a, const void *b)
{
	const struct state_mark *one = *(struct state_mark *const *)a;
	const struct state_mark *other = *(struct state_mark *const *)b;

	if (one->owner != other->owner)
		return one->owner > other->owner ? 1 : -1;
	return state_part_of(one) > state_part_of(other) ? 1 : -1;
}

/* All blocks of @type, those of the oldest owner first. 0 or -ENOMEM. */
static int gather(struct recovery *recovery, enum state_type type)
{
	recovery->mark_count = 0;
	recovery->result = 0;
	state_each(&recovery->broker->state, type, collect, recovery);
	if (recovery->result == 0 && recovery->mark_count > 1)
		qsort(recovery->marks, recovery->mark_count, sizeof(struct state_mark *),
		      compare_marks);
	return recovery->result;
}

static void drop(struct recovery *recovery, struct state_mark *mark)
{
	state_drop(&recovery->broker->state, mark);
}

/* ---- what the records name ------------------------------------------------------------------- */

static void name_item(struct recovery *recovery, uint64_t item)
{
	if (item == 0 || recovery->result < 0)
		return;
	if (recovery->item_count == recovery->item_room) {
		size_t room = recovery->item_room ? 2 * recovery->item_room : 64;
		uint64_t *items = realloc(recovery->items, room * sizeof(uint64_t));

		if (!items) {
			recovery->result = -ENOMEM;
			return;
		}
		recovery->items = items;
		recovery->item_room = room;
	}
	recovery->items[recovery->item_count++] = item;
}

static void name_segment_item(void *context, struct state_mark *mark)
{
	name_item(context, ((const struct state_segment *)(void *)mark)->item);
}

static void name_client_item(void *context, struct state_mark *mark)
{
	name_item(context, ((const struct state_client *)(void *)mark)->item);
}

static void name_bell_items(void *context, struct state_mark *mark)
{
	const struct state_places *block = (void *)mark;

	for (size_t i = 0; i < STATE_PLACES_PER_BLOCK; i++)
		name_item(context, state_read(&block->places[i].bell));
}

static int compare_items(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static bool is_named(void *context, uint64_t item)
{
	const struct recovery *recovery = context;

	return recovery->item_count > 0 && bsearch(&item, recovery->items, recovery->item_count,
						   sizeof(uint64_t), compare_items);
}

static int take_bundles(struct recovery *recovery)
{
	const struct state *state = &recovery->broker->state;

	state_each(state, STATE_SEGMENT, name_segment_item, recovery);
	state_each(state, STATE_CLIENT, name_client_item, recovery);
	state_each(state, STATE_PLACES, name_bell_items, recovery);
	if (recovery->result < 0)
		return recovery->result;
	if (recovery->item_count > 1)
		qsort(recovery->items, recovery->item_count, sizeof(uint64_t), compare_items);
	return bundles_take(&recovery->broker->bundles, is_named, recovery, &recovery->findings);
}

/* ---- segments -------------------------------------------------------------------------------- */

static struct segment *find_segment(const struct recovery *recovery, uint64_t generation)
{
	size_t low = 0, high = recovery->segment_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct segment *segment = recovery->segments[middle];

		if (segment->generation == generation)
			return segment;
		if (segment->generation < generation)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct shmp_kind *find_kind(uint32_t id)
{
	for (size_t i = 0; i < shmp_kind_count; i++)
		if (shmp_kinds[i]->id == id)
			return shmp_kinds[i];
	return NULL;
}

static int refuse(const char *left_by, const char *what)
{
	log_event(LOG_ERR, "other_version",
		  "left_by=%s version=%s reason=\"%s\" remedy=\"start that version again, or stop "
		  "the service altogether, which gives up all segments\"",
		  left_by, SHMBROKER_VERSION, what);
	return -EPROTONOSUPPORT;
}

/* Before anything is changed: whether all of it can be repaired and served here. */
static int check_kinds(const struct recovery *recovery)
{
	for (size_t i = 0; i < recovery->mark_count; i++) {
		const struct state_segment *kept = (void *)recovery->marks[i];
		const struct shmp_kind *kind = find_kind(kept->kind);
		char what[SHMP_NAME_MAX + 128];

		if (kind && kind->version == kept->kind_version)
			continue;
		snprintf(what, sizeof(what),
			 "%s is laid out as version %" PRIu32
			 " of kind %s, this broker knows %" PRIu32,
			 kept->name, kept->kind_version, kind ? kind->name : "unknown",
			 kind ? kind->version : 0);
		return refuse(recovery->left_by, what);
	}
	return 0;
}

static int restore_segment(struct recovery *recovery, struct state_segment *kept)
{
	struct segment *parent = find_segment(recovery, kept->parent);
	struct bundle_finding finding = { .fd_count = 0 };
	int r = 0;

	if (kept->parent == 0)
		r = bundle_findings_take(&recovery->findings, kept->item, &finding);
	else if (!parent)
		r = -ENOENT;
	if (r == 0)
		r = segment_restore(recovery->broker, kept, kept->name, find_kind(kept->kind),
				    parent, &finding, &recovery->segments[recovery->segment_count]);
	if (r == 0)
		recovery->segment_count++;
	if (r != -ENOENT && r != -EBADMSG)
		return r;
	log_event(LOG_ERR, "lost", "segment=%s reason=\"its descriptors were not kept\"",
		  kept->name);
	recovery->lost++;
	drop(recovery, &kept->mark);
	return 0;
}

/* In order of generation: an arena is older than what is in it. */
static int restore_segments(struct recovery *recovery)
{
	int r = gather(recovery, STATE_SEGMENT);

	if (r == 0)
		r = check_kinds(recovery);
	if (r < 0 || recovery->mark_count == 0)
		return r;
	recovery->segments = calloc(recovery->mark_count, sizeof(struct segment *));
	if (!recovery->segments)
		return -ENOMEM;
	for (size_t i = 0; i < recovery->mark_count && r == 0; i++)
		r = restore_segment(recovery, (void *)recovery->marks[i]);
	for (size_t i = 0; i < recovery->segment_count; i++) {
		assert(recovery->segments[i]);
		if (recovery->segments[i]->nest)
			nest_relist(recovery->segments[i]);
		if (recovery->segments[i]->is_linked)
			ledger_forget_unlink(recovery->segments[i]);
	}
	return r;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* One whose holder had gone goes as well: the next holder's must not be in a stranger's hands. */
static void restore_bell(struct recovery *recovery, struct segment *segment, uint32_t index)
{
	struct place *place = &segment->places[index];
	struct bundle_finding finding;
	uint64_t bell = state_read(&place->kept->bell);

	if (bell == 0)
		return;
	if (!place_is_kept(place)) {
		ledger_bell_gone(segment, index);
		return;
	}
	if (bundle_findings_take(&recovery->findings, bell, &finding) < 0)
		return;
	place->ring_fd = finding.fds[0];
	place->poll_fd = finding.fd_count > 1 ? finding.fds[1] : -1;
}

static void restore_block(struct recovery *recovery, struct segment *segment,
			  struct state_places *block)
{
	uint32_t first = state_part_of(&block->mark) * STATE_PLACES_PER_BLOCK;

	for (uint32_t i = 0; i < STATE_PLACES_PER_BLOCK; i++) {
		if (first + i >= segment->plan.endpoint_count)
			break;
		place_restore(segment, first + i, &block->places[i]);
		restore_bell(recovery, segment, first + i);
	}
}

static int restore_places(struct recovery *recovery)
{
	int r = gather(recovery, STATE_PLACES);

	for (size_t i = 0; i < recovery->mark_count && r == 0; i++) {
		struct state_mark *mark = recovery->marks[i];
		struct segment *segment = find_segment(recovery, mark->owner);

		if (segment)
			restore_block(recovery, segment, (void *)mark);
		else
			drop(recovery, mark);
	}
	return r;
}

/* ---- clients and what they hold -------------------------------------------------------------- */

static int restore_clients(struct recovery *recovery)
{
	struct broker *broker = recovery->broker;
	int r = gather(recovery, STATE_CLIENT);

	for (size_t i = 0; i < recovery->mark_count && r == 0; i++) {
		struct state_client *kept = (void *)recovery->marks[i];
		struct bundle_finding finding;
		struct client *client;

		if (bundle_findings_take(&recovery->findings, kept->item, &finding) < 0)
			drop(recovery, &kept->mark); /* what it held is repaired */
		else
			r = client_restore(broker, kept, finding.fds[0], &client);
	}
	return r;
}

static struct client *find_client(const struct broker *broker, uint64_t serial)
{
	for (struct list *at = broker->clients.next; at != &broker->clients; at = at->next) {
		struct client *client = list_entry(at, struct client, link);

		if (client->serial == serial)
			return client;
	}
	return NULL;
}

/* One that was begun and not taken, or given back and not forgotten, was never there. */
static int restore_holding(const struct recovery *recovery, struct client *client,
			   struct state_holding *kept)
{
	struct segment *segment = find_segment(recovery, kept->generation);
	const struct shmp_role *role = segment && kept->role < segment->kind->role_count ?
					       &segment->kind->roles[kept->role] :
					       NULL;
	struct attachment *attachment;
	int r;

	if (!role ||
	    (!role->observes && (kept->place >= segment->plan.endpoint_count ||
				 !place_is_kept_for(segment, kept->place, kept->incarnation)))) {
		state_write(&kept->id, 0);
		return 0;
	}
	r = attachment_restore(client, segment, role, kept, &attachment);
	if (r == 0 && !role->observes)
		r = place_restore_holder(segment, kept->place, attachment);
	return r;
}

static int compare_holdings(const void *a, const void *b)
{
	uint64_t one = state_read(&(*(struct state_holding *const *)a)->id);
	uint64_t other = state_read(&(*(struct state_holding *const *)b)->id);

	return (one > other) - (one < other);
}

/* In order of id, as a client keeps them. */
static int restore_held(const struct recovery *recovery, struct client *client)
{
	size_t count = client->kept_block_count * STATE_HOLDINGS_PER_BLOCK, used = 0;
	struct state_holding **holdings = calloc(count + 1, sizeof(struct state_holding *));
	int r = 0;

	if (!holdings)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct state_holding *holding = &client->kept_blocks[i / STATE_HOLDINGS_PER_BLOCK]
							 ->holdings[i % STATE_HOLDINGS_PER_BLOCK];

		if (state_read(&holding->id) != 0)
			holdings[used++] = holding;
	}
	qsort(holdings, used, sizeof(struct state_holding *), compare_holdings);
	for (size_t i = 0; i < used && r == 0; i++)
		r = restore_holding(recovery, client, holdings[i]);
	free(holdings);
	return r;
}

static int restore_holdings(struct recovery *recovery)
{
	struct list *clients = &recovery->broker->clients;
	int r = gather(recovery, STATE_HOLDINGS);

	for (size_t i = 0; i < recovery->mark_count && r == 0; i++) {
		struct state_mark *mark = recovery->marks[i];
		struct client *client = find_client(recovery->broker, mark->owner);

		if (!client) {
			drop(recovery, mark);
			continue;
		}
		r = client_make_room_kept(client);
		if (r == 0)
			client->kept_blocks[client->kept_block_count++] = (void *)mark;
	}
	for (struct list *at = clients->next; at != clients && r == 0; at = at->next)
		r = restore_held(recovery, list_entry(at, struct client, link));
	return r;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Who holds nothing any more, and what is held by nobody any more. */
static void end_restoring(struct recovery *recovery)
{
	struct list *clients = &recovery->broker->clients;

	for (struct list *at = clients->next; at != clients;) {
		struct client *client = list_entry(at, struct client, link);

		at = at->next;
		if (client->attachment_count == 0 && !ledger_is_dying(client))
			client_close(client);
	}
	for (size_t i = 0; i < recovery->segment_count; i++) {
		struct segment *segment = recovery->segments[i];

		for (uint32_t k = 0; k < segment->plan.endpoint_count; k++)
			place_restore_end(segment, k);
	}
	/* an object takes its arena along: not before its turn */
	for (size_t i = 0; i < recovery->segment_count; i++)
		recovery->segments[i]->attachments++;
	for (size_t i = recovery->segment_count; i > 0; i--) {
		recovery->segments[i - 1]->attachments--;
		segment_release(recovery->segments[i - 1]);
	}
}

/* Those whose death was noticed, and all of it taken back but not told. */
static void end_dying(struct broker *broker)
{
	for (struct list *at = broker->clients.next; at != &broker->clients;) {
		struct client *client = list_entry(at, struct client, link);

		at = at->next;
		if (client->attachment_count == 0)
			repair_client(client);
	}
}

static void end(struct recovery *recovery)
{
	bundle_findings_deinit(&recovery->findings);
	free(recovery->items);
	free(recovery->marks);
	free(recovery->segments);
}

static int restore(struct recovery *recovery)
{
	int r = take_bundles(recovery);

	if (r == 0)
		r = restore_segments(recovery);
	if (r == 0)
		r = restore_places(recovery);
	if (r == 0)
		r = restore_clients(recovery);
	if (r == 0)
		r = restore_holdings(recovery);
	return r;
}

static void take_head(struct broker *broker)
{
	struct state_head *head = state_head(&broker->state);

	memcpy(broker->epoch, head->epoch, sizeof(broker->epoch));
	broker->generation = state_read(&head->generation);
	broker->client_serial = state_read(&head->client_serial);
	broker->restarts = state_read(&head->restarts) + 1;
	state_write(&head->restarts, broker->restarts);
	snprintf(head->broker, sizeof(head->broker), "%s", SHMBROKER_VERSION);
}

/* The record of deaths; one that is not there, or of another size, begins anew. */
static int take_deaths(struct broker *broker)
{
	int fd = systemd_listen_fd(DEATHS_NAME), r = -EBADMSG;

	if (fd >= 0) {
		r = state_file_take(&broker->death_records, fd);
		if (r < 0)
			close(fd);
	}
	if (r == 0)
		deaths_init(&broker->deaths, broker->death_records.base, DEATHS_ROOM);
	if (r != -EBADMSG)
		return r;
	systemd_unstore(DEATHS_NAME);
	return systemd_store(DEATHS_NAME, broker->death_records.fd);
}

static int make_state(struct broker *broker)
{
	int r;

	if (!systemd_has_store())
		return 0;
	r = state_make(broker->epoch, &broker->state);
	if (r == 0)
		r = systemd_store(STATE_NAME, broker->state.fd);
	return r;
}

static int take_state(struct broker *broker, int fd, struct state_origin *ret_origin)
{
	char what[64];
	int r = state_take(fd, &broker->state, ret_origin);

	if (r == -EPROTONOSUPPORT) {
		snprintf(what, sizeof(what), "its state is of version %" PRIu32 ", not %u",
			 ret_origin->version, STATE_VERSION);
		r = refuse(ret_origin->broker, what);
	}
	if (r < 0)
		close(fd);
	return r;
}

static int complain(const char *event, int error)
{
	const char *remedy = "it is tried again";

	if (error == -EMFILE || error == -ENFILE)
		remedy = "raise LimitNOFILE (ulimit -Hn)";
	else if (error == -ENOMEM)
		remedy = "give it more memory";
	log_event(LOG_ERR, event, "reason=\"%s\" remedy=\"%s\"", strerror(-error), remedy);
	return error;
}

/* The first broker that a manager has. */
static int begin_state(struct broker *broker)
{
	int r = make_state(broker);

	if (r == 0 && state_is_there(&broker->state))
		r = take_deaths(broker);
	return r < 0 ? complain("cannot_start", r) : 0;
}

int recovery_run(struct broker *broker)
{
	struct state_origin origin = { .version = 0 };
	struct recovery recovery = { .broker = broker, .left_by = origin.broker };
	uint64_t started_ns = shmp_clock_ns();
	int fd = systemd_listen_fd(STATE_NAME);
	int r;

	if (fd < 0)
		return begin_state(broker);
	r = take_state(broker, fd, &origin);
	if (r == 0)
		r = take_deaths(broker);
	if (r == 0)
		r = restore(&recovery);
	if (r < 0) {
		/* all stays as it is for another try, or another version */
		if (r != -EPROTONOSUPPORT)
			complain("cannot_recover", r);
		broker->has_abandoned = true; /* half a broker is not taken apart */
		end(&recovery);
		return r;
	}
	end_restoring(&recovery);
	end_dying(broker);
	take_head(broker);
	log_event(LOG_INFO, "recovered",
		  "segments=%zu lost=%zu endpoints=%" PRIu64 " restarts=%" PRIu64 " us=%" PRIu64,
		  recovery.segment_count, recovery.lost, broker->endpoint_count, broker->restarts,
		  (shmp_clock_ns() - started_ns) / 1000);
	bundle_findings_drop(&recovery.findings, &broker->bundles);
	end(&recovery);
	return 0;
}
