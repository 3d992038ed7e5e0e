#include "daemon/attachment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
#include "daemon/nest.h"
#include "daemon/place.h"
#include "daemon/segment.h"

/* Index of the first attachment whose id is not below @id. */
static size_t position_of(const struct client *client, uint64_t id)
{
	size_t low = 0, high = client->attachment_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (client->attachments[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct attachment *attachment_find(const struct client *client, uint64_t id)
{
	size_t at = position_of(client, id);

	if (at == client->attachment_count || client->attachments[at]->id != id)
		return NULL;
	return client->attachments[at];
}

bool attachment_observes(const struct attachment *attachment)
{
	return attachment->role->observes;
}

/* Ids only grow, so the end of the list is the place. */
static int enlist(struct client *client, struct attachment *attachment)
{
	if (client->attachment_count == client->attachment_room) {
		size_t room = client->attachment_room ? 2 * client->attachment_room : 4;
		struct attachment **list = realloc(client->attachments,
						   room * sizeof(struct attachment *));

		if (!list)
			return -ENOMEM;
		client->attachments = list;
		client->attachment_room = room;
	}
	client->attachments[client->attachment_count++] = attachment;
	return 0;
}

static void delist(struct attachment *attachment)
{
	struct client *client = attachment->client;
	size_t at = position_of(client, attachment->id);

	client->attachment_count--;
	memmove(client->attachments + at, client->attachments + at + 1,
		(client->attachment_count - at) * sizeof(struct attachment *));
}

static int prepare(struct attachment *attachment)
{
	struct client *client = attachment->client;
	int r = quota_charge(&client->broker->quota, client->credentials.uid, QUOTA_ENDPOINTS, 1,
			     &attachment->charge);

	if (r != 0)
		return r > 0 ? -EDQUOT : r;
	attachment->id = ++client->attachment_id;
	return enlist(client, attachment);
}

static void tell(const char *kind, const struct attachment *attachment)
{
	event_emit(attachment->client->broker,
		   &(struct event){ .kind = kind,
				    .who = attachment->client,
				    .segment = attachment->segment->name,
				    .role = attachment->role->name,
				    .has_endpoint = !attachment_observes(attachment),
				    .endpoint = attachment->place });
}

/*
 * Who maps a futex, if only to read it, can requeue those who sleep on it. Who may write the
 * segment could do worse anyway. In an arena he maps the neighbours, too, in whatever role.
 */
static int beware_of(const struct client *client, struct segment *segment)
{
	struct shmp_segment map;
	int r;

	if (policy_may_write(&client->credentials, &segment->ownership))
		return 0;
	if (segment->parent)
		return nest_beware(segment->parent);
	if (!segment->kind->require_pieces)
		return 0;
	r = segment_map(segment, SHMP_ACCESS_WRITE, false, &map);
	if (r < 0)
		return r;
	segment->kind->require_pieces(&map);
	shmp_segment_unmap(&map);
	return 0;
}

/* Kept first: what a successor finds held is finished by it, what it does not find never was. */
static int take(struct attachment *attachment)
{
	struct segment *segment = attachment->segment;
	bool observes = attachment_observes(attachment);
	int r = ledger_attachment(
		attachment, observes ? 0 : place_next_incarnation(segment, attachment->place));

	if (r == 0 && !observes)
		r = place_assign(segment, attachment->place, attachment);
	if (r < 0)
		ledger_attachment_gone(attachment);
	return r;
}

int attachment_open(struct client *client, struct segment *segment, const struct shmp_role *role,
		    uint32_t place, struct attachment **ret_attachment)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));
	int r;

	if (!attachment)
		return -ENOMEM;
	attachment->client = client;
	attachment->segment = segment;
	attachment->role = role;
	attachment->place = place;
	r = prepare(attachment);
	if (r == 0) {
		r = role->observes || segment->parent ? beware_of(client, segment) : 0;
		if (r == 0)
			r = take(attachment);
		if (r < 0)
			delist(attachment);
	}
	if (r < 0) {
		charge_release(&attachment->charge);
		free(attachment);
		return r;
	}
	segment->attachments++;
	tell("attached", attachment);
	*ret_attachment = attachment;
	return 0;
}

int attachment_restore(struct client *client, struct segment *segment, const struct shmp_role *role,
		       struct state_holding *kept, struct attachment **ret_attachment)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));
	int r;

	if (!attachment)
		return -ENOMEM;
	attachment->client = client;
	attachment->segment = segment;
	attachment->role = role;
	attachment->place = kept->place;
	attachment->id = state_read(&kept->id);
	attachment->kept = kept;
	attachment->charge = quota_force(&client->broker->quota, client->credentials.uid,
					 QUOTA_ENDPOINTS, 1);
	r = enlist(client, attachment);
	if (r < 0) {
		charge_release(&attachment->charge);
		free(attachment);
		return r;
	}
	segment->attachments++;
	*ret_attachment = attachment;
	return 0;
}

struct attachment *attachment_claim(struct client *client, const struct segment *segment,
				    const struct shmp_role *role)
{
	struct attachment *claimed = NULL;

	for (size_t i = client->attachment_count; i > 0; i--) {
		struct attachment *attachment = client->attachments[i - 1];

		if (!attachment->is_unheard)
			continue;
		attachment->is_unheard = false;
		if (!claimed && attachment->segment == segment && attachment->role == role)
			claimed = attachment;
		else
			attachment_close(attachment, false);
	}
	return claimed;
}

void attachment_close(struct attachment *attachment, bool died)
{
	struct segment *segment = attachment->segment;

	delist(attachment);
	segment->attachments--;
	if (!died)
		tell("detached", attachment);
	if (!attachment_observes(attachment))
		place_vacate(segment, attachment->place, died);
	ledger_attachment_gone(attachment);
	segment_release(segment);
	charge_release(&attachment->charge);
	free(attachment);
}
