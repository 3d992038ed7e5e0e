#include "daemon/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/segment.h"

static struct state *state_of(const struct segment *segment)
{
	return &segment->broker->state;
}

uint64_t ledger_next_generation(struct broker *broker)
{
	broker->generation++;
	if (state_is_there(&broker->state))
		state_write(&state_head(&broker->state)->generation, broker->generation);
	return broker->generation;
}

uint64_t ledger_next_serial(struct broker *broker)
{
	broker->client_serial++;
	if (state_is_there(&broker->state))
		state_write(&state_head(&broker->state)->client_serial, broker->client_serial);
	return broker->client_serial;
}

/* 0 and *ret_item, or -errno. */
static int park(struct broker *broker, const int *fds, size_t count, uint64_t *ret_item)
{
	struct state_head *head = state_head(&broker->state);
	uint64_t item = state_read(&head->item) + 1;
	int r;

	state_write(&head->item, item);
	r = bundles_park(&broker->bundles, item, fds, count);
	if (r == 0)
		*ret_item = item;
	return r;
}

/* A broker that ends in good order leaves everything to the next. */
static void unpark(struct broker *broker, uint64_t item)
{
	if (!broker->is_stopping)
		bundles_drop(&broker->bundles, item);
}

/* Segments. */

static int park_segment(struct segment *segment, uint64_t *ret_item)
{
	const struct shmp_segment_fds *all = &segment->fds;
	int fds[BUNDLE_FDS_MAX] = { all->ctl };
	size_t count = 1;

	*ret_item = 0;
	if (segment->parent)
		return 0;
	if (all->data >= 0)
		fds[count++] = all->data;
	if (all->objects >= 0)
		fds[count++] = all->objects;
	return park(segment->broker, fds, count, ret_item);
}

static struct state_mark *block_of(const struct state *state, const struct state_place *place)
{
	size_t offset = (size_t)((const uint8_t *)place - state->base);

	return (void *)(state->base + offset / STATE_BLOCK_BYTES * STATE_BLOCK_BYTES);
}

static void drop_places(struct segment *segment)
{
	struct state *state = state_of(segment);

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i += STATE_PLACES_PER_BLOCK) {
		if (segment->places[i].kept)
			state_drop(state, block_of(state, segment->places[i].kept));
	}
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		segment->places[i].kept = NULL;
}

static int add_places(struct segment *segment)
{
	uint32_t count = segment->plan.endpoint_count;

	for (uint32_t first = 0; first < count; first += STATE_PLACES_PER_BLOCK) {
		struct state_places *block = NULL;
		int r = state_add(state_of(segment), (void **)&block);

		if (r < 0)
			return r;
		for (uint32_t i = 0; i < STATE_PLACES_PER_BLOCK && first + i < count; i++)
			segment->places[first + i].kept = &block->places[i];
		state_commit(&block->mark, STATE_PLACES, segment->generation,
			     first / STATE_PLACES_PER_BLOCK);
	}
	return 0;
}

static void write_segment(const struct segment *segment, struct state_segment *kept, uint64_t item)
{
	kept->parent = segment->parent ? segment->parent->generation : 0;
	kept->created_ns = segment->created_ns;
	kept->item = item;
	kept->tag = segment->tag;
	kept->kind = segment->kind->id;
	kept->kind_version = segment->kind->version;
	kept->uid = segment->ownership.uid;
	kept->gid = segment->ownership.gid;
	kept->mode = segment->ownership.mode;
	kept->entry = segment->entry;
	kept->plan = segment->plan;
	snprintf(kept->name, sizeof(kept->name), "%s", segment->name);
	state_write(&kept->flags, segment->is_linked ? STATE_LINKED : 0);
}

int ledger_segment(struct segment *segment)
{
	struct state *state = state_of(segment);
	struct state_segment *kept = NULL;
	uint64_t item = 0;
	int r;

	if (!state_is_there(state))
		return 0;
	r = state_add(state, (void **)&kept);
	if (r == 0)
		r = add_places(segment);
	if (r == 0)
		r = park_segment(segment, &item);
	if (r < 0) {
		drop_places(segment);
		state_drop(state, &kept->mark);
		return r;
	}
	write_segment(segment, kept, item);
	state_commit(&kept->mark, STATE_SEGMENT, segment->generation, 0);
	segment->kept = kept;
	return 0;
}

static void set_flags(const struct segment *segment, uint64_t set, uint64_t clear)
{
	struct state_segment *kept = segment->kept;

	if (kept)
		state_write(&kept->flags, (state_read(&kept->flags) | set) & ~clear);
}

void ledger_unlinked(const struct segment *segment)
{
	set_flags(segment, 0, STATE_LINKED);
}

static struct state_unlinks *unlinks_of(struct broker *broker)
{
	return state_is_there(&broker->state) ? &state_head(&broker->state)->unlinks :
						&broker->unlinks;
}

void ledger_unlink(const struct segment *segment, uint64_t tag)
{
	struct state_unlinks *unlinks = unlinks_of(segment->broker);
	uint64_t count = state_read(&unlinks->count);
	struct state_unlink *call = &unlinks->calls[count % STATE_UNLINKS];

	state_write(&call->tag, 0);
	call->generation = segment->generation;
	state_write(&call->tag, tag);
	state_write(&unlinks->count, count + 1);
}

bool ledger_knows_unlink(struct broker *broker, uint64_t tag)
{
	const struct state_unlinks *unlinks = unlinks_of(broker);

	for (size_t i = 0; i < STATE_UNLINKS; i++)
		if (state_read(&unlinks->calls[i].tag) == tag)
			return true;
	return false;
}

void ledger_forget_unlink(const struct segment *segment)
{
	struct state_unlinks *unlinks = unlinks_of(segment->broker);

	for (size_t i = 0; i < STATE_UNLINKS; i++)
		if (unlinks->calls[i].generation == segment->generation)
			state_write(&unlinks->calls[i].tag, 0);
}

void ledger_strangers(const struct segment *segment)
{
	set_flags(segment, STATE_STRANGERS, 0);
}

void ledger_segment_gone(struct segment *segment)
{
	struct state_segment *kept = segment->kept;
	uint64_t item;

	if (!kept)
		return;
	item = kept->item;
	segment->kept = NULL;
	state_drop(state_of(segment), &kept->mark);
	drop_places(segment);
	if (item == 0 || segment->broker->is_stopping)
		return;
	bundle_empty_file(segment->fds.ctl);
	bundle_empty_file(segment->fds.data);
	bundle_empty_file(segment->fds.objects);
	unpark(segment->broker, item);
}

/* Clients and what they hold. */

static int ledger_client(struct client *client)
{
	struct broker *broker = client->broker;
	struct state_client *kept = NULL;
	int r;

	if (client->kept || !state_is_there(&broker->state))
		return 0;
	r = state_add(&broker->state, (void **)&kept);
	if (r < 0)
		return r;
	r = park(broker, &client->pidfd, 1, &kept->item);
	if (r < 0) {
		state_drop(&broker->state, &kept->mark);
		return r;
	}
	kept->start_time = client->start_time;
	kept->since_ns = client->since_ns;
	kept->pid = (uint32_t)client->credentials.pid;
	kept->uid = client->credentials.uid;
	kept->gid = client->credentials.gid;
	kept->has_membarrier = client->has_membarrier;
	kept->is_control = client->is_control;
	memcpy(kept->token, client->token, sizeof(client->token));
	memcpy(kept->name, client->name, sizeof(client->name));
	state_commit(&kept->mark, STATE_CLIENT, client->serial, 0);
	client->kept = kept;
	return 0;
}

static struct state_holding *free_holding(const struct client *client)
{
	for (size_t i = client->kept_block_count; i > 0; i--) {
		struct state_holdings *block = client->kept_blocks[i - 1];

		for (size_t k = 0; k < STATE_HOLDINGS_PER_BLOCK; k++)
			if (state_read(&block->holdings[k].id) == 0)
				return &block->holdings[k];
	}
	return NULL;
}

static int add_holdings(struct client *client)
{
	struct state_holdings *block = NULL;
	int r = client_make_room_kept(client);

	if (r == 0)
		r = state_add(&client->broker->state, (void **)&block);
	if (r < 0)
		return r;
	client->kept_blocks[client->kept_block_count] = block;
	state_commit(&block->mark, STATE_HOLDINGS, client->serial,
		     (uint32_t)client->kept_block_count++);
	return 0;
}

int ledger_attachment(struct attachment *attachment, uint64_t incarnation)
{
	struct client *client = attachment->client;
	struct state_holding *holding;
	int r;

	if (!attachment->segment->kept)
		return 0;
	r = ledger_client(client);
	if (r == 0 && !free_holding(client))
		r = add_holdings(client);
	if (r < 0)
		return r;
	holding = free_holding(client);
	holding->generation = attachment->segment->generation;
	holding->incarnation = incarnation;
	holding->place = attachment->place;
	holding->role = (uint32_t)(attachment->role - attachment->segment->kind->roles);
	state_write(&client->kept->attachment_id, attachment->id);
	state_write(&holding->id, attachment->id);
	attachment->kept = holding;
	return 0;
}

void ledger_attachment_gone(struct attachment *attachment)
{
	if (attachment->kept)
		state_write(&attachment->kept->id, 0);
	attachment->kept = NULL;
}

bool ledger_is_dying(const struct client *client)
{
	return client->kept && state_read(&client->kept->noticed_ns) != 0;
}

void ledger_client_died(struct client *client, struct death_notice *notice)
{
	struct state_client *kept = client->kept;

	if (!kept)
		return;
	if (ledger_is_dying(client)) {
		notice->noticed_ns = state_read(&kept->noticed_ns);
		notice->at_ns = kept->died_ns;
		notice->held = (uint32_t)kept->held;
		notice->goes_on = true;
		return;
	}
	kept->died_ns = notice->at_ns;
	kept->held = notice->held;
	state_write(&kept->noticed_ns, notice->noticed_ns);
}

void ledger_client_gone(struct client *client)
{
	struct broker *broker = client->broker;
	uint64_t item;

	if (!client->kept || !state_is_there(&broker->state))
		return;
	item = client->kept->item;
	state_drop(&broker->state, &client->kept->mark);
	for (size_t i = 0; i < client->kept_block_count; i++)
		state_drop(&broker->state, &client->kept_blocks[i]->mark);
	client->kept = NULL;
	client->kept_block_count = 0;
	unpark(broker, item);
}

/* Places. */

void ledger_place(const struct segment *segment, uint32_t index, enum state_place_status status)
{
	const struct place *place = &segment->places[index];
	struct state_place *kept = place->kept;
	uint64_t deaths = (uint64_t)place->deaths + (status == STATE_PLACE_DYING);

	if (!kept)
		return;
	if (status == STATE_PLACE_HELD) {
		kept->incarnation = place->incarnation;
		kept->pid = (uint32_t)place->pid;
		kept->uid = place->uid;
		kept->role = (uint32_t)(place->role - segment->kind->roles);
	}
	state_write(&kept->word, deaths << 8 | status);
}

void ledger_death(const struct segment *segment, uint32_t index)
{
	const struct place *place = &segment->places[index];

	if (place->kept)
		place->kept->death = (uint32_t)place->death;
}

int ledger_bell(struct segment *segment, uint32_t index)
{
	const struct place *place = &segment->places[index];
	int fds[2] = { place->ring_fd, place->poll_fd };
	uint64_t item;
	int r;

	if (!place->kept)
		return 0;
	r = park(segment->broker, fds, 2, &item);
	if (r == 0)
		state_write(&place->kept->bell, item);
	return r;
}

void ledger_bell_gone(struct segment *segment, uint32_t index)
{
	struct state_place *kept = segment->places[index].kept;
	uint64_t item;

	if (!kept)
		return;
	item = state_read(&kept->bell);
	if (item == 0)
		return;
	state_write(&kept->bell, 0);
	unpark(segment->broker, item);
}
