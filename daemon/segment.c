#include "daemon/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/bundle.h"
#include "daemon/call.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
#include "daemon/liveness.h"
#include "daemon/nest.h"
#include "protocol/doorbell.h"
#include "protocol/varlink.h"

uint64_t segment_bytes(const struct segment *segment)
{
	return shmp_segment_bytes(&segment->plan);
}

static void leave_parent(struct segment *segment)
{
	struct segment *parent = segment->parent;

	nest_give(segment);
	segment->fds = SHMP_SEGMENT_FDS_NULL; /* not its own */
	parent->objects--;
	segment_release(parent);
}

static void close_creator(struct segment *segment)
{
	if (segment->creator_pidfd >= 0)
		close(segment->creator_pidfd);
	segment->creator_pidfd = -1;
}

static void segment_free(struct segment *segment)
{
	assert(list_is_empty(&segment->waiting) && list_is_empty(&segment->pending));
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		assert(segment->places[i].ring_fd < 0);
	}
	ledger_segment_gone(segment);
	if (segment->bytes.user)
		segment->broker->segment_bytes -= segment_bytes(segment);
	charge_release(&segment->bytes);
	charge_release(&segment->charge);
	if (segment->parent)
		leave_parent(segment);
	nest_free(segment->nest);
	shmp_segment_close(&segment->fds);
	close_creator(segment);
	free(segment->init);
	free(segment->name);
	free(segment);
}

static struct segment *allocate(const char *name, const struct shmp_plan *plan)
{
	struct segment *segment =
		calloc(1, sizeof(*segment) + plan->endpoint_count * sizeof(segment->places[0]));

	if (!segment)
		return NULL;
	segment->name = strdup(name);
	if (!segment->name) {
		free(segment);
		return NULL;
	}
	segment->plan = *plan;
	segment->fds = SHMP_SEGMENT_FDS_NULL;
	segment->creator_pidfd = -1;
	list_init(&segment->pending);
	list_init(&segment->waiting);
	list_init(&segment->sibling);
	for (uint32_t i = 0; i < plan->endpoint_count; i++) {
		segment->places[i].ring_fd = -1;
		segment->places[i].poll_fd = -1;
	}
	return segment;
}

static int charge(struct segment *segment, enum quota_kind *ret_quota)
{
	struct broker *broker = segment->broker;
	uint64_t bytes = segment_bytes(segment);
	uid_t uid = segment->ownership.uid;
	int r;

	if (bytes > broker->options->bytes ||
	    broker->segment_bytes > broker->options->bytes - bytes)
		return -ENOSPC;
	*ret_quota = QUOTA_SEGMENTS;
	r = quota_charge(&broker->quota, uid, QUOTA_SEGMENTS, 1, &segment->charge);
	if (r != 0)
		return r > 0 ? -EDQUOT : r;
	*ret_quota = QUOTA_BYTES;
	r = quota_charge(&broker->quota, uid, QUOTA_BYTES, bytes, &segment->bytes);
	if (r != 0)
		return r > 0 ? -EDQUOT : r;
	broker->segment_bytes += bytes;
	return 0;
}

/* "shmbroker:" and the end of the name, where it tells most; for /proc/PID/maps. */
static int make(struct segment *segment)
{
	const char *name = segment->name;
	size_t length = strlen(name);

	return shmp_segment_make(&segment->plan, length > 128 ? name + length - 128 : name,
				 segment->broker->proc_fd_dir, &segment->fds);
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int segment_new(struct broker *broker, const char *name, const struct shmp_kind *kind,
		const struct shmp_plan *plan, const struct ownership *owner,
		enum quota_kind *ret_quota, struct segment **ret_segment)
{
	struct segment *segment = allocate(name, plan);
	int r;

	if (!segment)
		return -ENOMEM;
	segment->broker = broker;
	segment->kind = kind;
	segment->ownership = *owner;
	segment->created_ns = realtime_ns();
	r = charge(segment, ret_quota);
	if (r == 0)
		r = make(segment);
	if (r == 0)
		r = registry_add(&broker->registry, segment);
	if (r < 0) {
		segment_free(segment);
		return r;
	}
	segment->is_linked = true;
	segment->generation = ledger_next_generation(broker);
	*ret_segment = segment;
	return 0;
}

static void borrow_fds(struct segment *segment)
{
	const struct shmp_segment_fds *fds = &segment->parent->fds;

	segment->fds.ctl = fds->objects;
	segment->fds.ctl_readonly = fds->objects_readonly;
	if (segment->plan.data_bytes == 0)
		return;
	segment->fds.data = fds->data;
	segment->fds.data_readonly = fds->data_readonly;
}

/* Its memory, and with it its parent's. */
static int enter_parent(struct segment *segment, struct segment *parent)
{
	int r;

	segment->parent = parent;
	r = nest_take(segment);
	if (r != 0) {
		segment->parent = NULL;
		return r;
	}
	parent->objects++;
	borrow_fds(segment);
	return 0;
}

int segment_new_inside(struct segment *parent, const char *name, const struct shmp_kind *kind,
		       const struct shmp_plan *plan, struct segment **ret_segment)
{
	struct broker *broker = parent->broker;
	struct segment *segment = allocate(name, plan);
	int r;

	if (!segment)
		return -ENOMEM;
	segment->broker = broker;
	segment->kind = kind;
	segment->ownership = parent->ownership;
	segment->created_ns = realtime_ns();
	r = quota_charge(&broker->quota, parent->ownership.uid, QUOTA_SEGMENTS, 1,
			 &segment->charge);
	if (r > 0)
		r = -EDQUOT;
	if (r == 0)
		r = enter_parent(segment, parent);
	if (r == 0) {
		r = registry_add(&broker->registry, segment);
		if (r < 0)
			nest_delist(segment);
	}
	if (r != 0) {
		segment_free(segment);
		return r;
	}
	segment->is_linked = true;
	segment->generation = ledger_next_generation(broker);
	*ret_segment = segment;
	return 0;
}

/* Of its own: the client goes with its connection, and the process may end later than that. */
void segment_set_creator(struct segment *segment, struct call *creator)
{
	int pidfd = call_client(creator)->pidfd;

	segment->creator = creator;
	creator->making = segment;
	if (pidfd >= 0 && !creator->message.oneway)
		segment->creator_pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
}

bool segment_lost_creator(struct segment *segment)
{
	bool is_lost = segment->creator_pidfd >= 0 && liveness_is_over(segment->creator_pidfd);

	close_creator(segment);
	return is_lost;
}

int segment_complete(struct segment *segment)
{
	struct shmp_segment map;
	int r = segment->parent ? 0 : shmp_segment_seal(&segment->fds);

	if (r == 0 && segment->kind->holder)
		r = nest_new(segment, &segment->nest);
	if (r == 0)
		r = segment_map(segment, SHMP_ACCESS_WRITE, true, &map);
	if (r < 0)
		return r;
	shmp_segment_write_head(&map, segment->kind->id, segment->kind->version,
				segment->generation, segment->created_ns);
	segment->kind->init(&map);
	if (segment->kind->load_init)
		segment->kind->load_init(&map, segment->init, segment->init_bytes);
	free(segment->init);
	segment->init = NULL;
	if (segment->parent && segment->parent->nest->has_strangers &&
	    segment->kind->require_pieces)
		segment->kind->require_pieces(&map);
	shmp_segment_unmap(&map);
	r = ledger_segment(segment);
	if (r < 0)
		return r;
	segment->is_ready = true;
	if (segment->parent)
		nest_enlist(segment);
	return 0;
}

/* As its plan says: an object borrows its parent's. */
static int take_fds(struct segment *segment, const struct bundle_finding *finding)
{
	const struct shmp_plan *plan = &segment->plan;
	struct shmp_segment_fds *fds = &segment->fds;
	size_t count = 1 + (plan->data_bytes != 0) + (plan->objects_bytes != 0), at = 0;

	if (finding->fd_count != count) {
		for (size_t i = 0; i < finding->fd_count; i++)
			close(finding->fds[i]);
		return -EBADMSG;
	}
	fds->ctl = finding->fds[at++];
	if (plan->data_bytes != 0)
		fds->data = finding->fds[at++];
	if (plan->objects_bytes != 0)
		fds->objects = finding->fds[at++];
	return shmp_segment_open_readonly(segment->broker->proc_fd_dir, fds);
}

static int restore_memory(struct segment *segment, struct segment *parent,
			  const struct bundle_finding *finding)
{
	struct broker *broker = segment->broker;
	int r;

	if (parent) {
		segment->parent = parent;
		r = nest_restore(segment);
		if (r < 0) {
			segment->parent = NULL;
			return r;
		}
		parent->objects++;
		borrow_fds(segment);
		return 0;
	}
	segment->bytes = quota_force(&broker->quota, segment->ownership.uid, QUOTA_BYTES,
				     segment_bytes(segment));
	if (segment->bytes.user)
		broker->segment_bytes += segment_bytes(segment);
	r = take_fds(segment, finding);
	if (r == 0 && segment->kind->holder)
		r = nest_new(segment, &segment->nest);
	return r;
}

static void read_kept(struct segment *segment, const struct state_segment *kept)
{
	uint64_t flags = state_read(&kept->flags);

	segment->generation = kept->mark.owner;
	segment->created_ns = kept->created_ns;
	segment->tag = kept->tag;
	segment->ownership = (struct ownership){ kept->uid, kept->gid, kept->mode };
	segment->entry = kept->entry;
	segment->is_linked = (flags & STATE_LINKED) != 0;
}

int segment_restore(struct broker *broker, struct state_segment *kept, const char *name,
		    const struct shmp_kind *kind, struct segment *parent,
		    const struct bundle_finding *finding, struct segment **ret_segment)
{
	struct segment *segment = allocate(name, &kept->plan);
	int r;

	if (!segment)
		return -ENOMEM;
	segment->broker = broker;
	segment->kind = kind;
	read_kept(segment, kept);
	segment->charge = quota_force(&broker->quota, segment->ownership.uid, QUOTA_SEGMENTS, 1);
	r = restore_memory(segment, parent, finding);
	if (r == 0 && segment->is_linked) {
		r = registry_add(&broker->registry, segment);
		if (r < 0 && segment->parent)
			nest_delist(segment);
	}
	if (r < 0) {
		segment_free(segment);
		return r;
	}
	if (segment->nest)
		segment->nest->has_strangers = (state_read(&kept->flags) & STATE_STRANGERS) != 0;
	segment->is_ready = true;
	segment->kept = kept;
	*ret_segment = segment;
	return 0;
}

void segment_release(struct segment *segment)
{
	if (!segment->is_linked && segment->attachments == 0 && segment->repairing == 0 &&
	    segment->objects == 0)
		segment_free(segment);
}

/* What is being made still finds out when it is done. */
static void unlink_objects(struct segment *parent)
{
	const struct nest *nest = parent->nest;

	for (uint32_t i = 0; i < nest->entry_count; i++)
		if (nest->entries[i] && nest->entries[i]->is_ready)
			segment_unlink(nest->entries[i]);
}

void segment_unlink(struct segment *segment)
{
	assert(segment->is_linked);
	if (segment->nest)
		unlink_objects(segment);
	ledger_unlinked(segment);
	if (segment->parent)
		nest_delist(segment);
	registry_remove(&segment->broker->registry, segment);
	segment->is_linked = false;
	segment_release(segment);
}

int segment_map(const struct segment *segment, enum shmp_access access, bool all,
		struct shmp_segment *ret_map)
{
	bool has_data = segment->fds.data >= 0 && (all || !segment->kind->ctl_suffices);
	struct shmp_plan plan = segment->plan;

	/* for one call: whoever uses it for longer has them filled in and locked */
	plan.memory &= SHMP_MEMORY_HUGE_PAGES;
	return shmp_segment_map(&plan, segment->kind->mirrored, segment->fds.ctl, access,
				segment->fds.data, has_data ? access : SHMP_ACCESS_NONE, ret_map);
}

void segment_ring(const struct segment *segment)
{
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (segment->places[i].ring_fd >= 0)
			shmp_doorbell_ring(segment->places[i].ring_fd);
	}
}

uint32_t segment_role_places(const struct segment *segment, const struct shmp_role *role)
{
	return shmp_role_places(role, &segment->plan);
}

const struct shmp_role *segment_role_at(const struct segment *segment, uint32_t index)
{
	const struct shmp_role *only = NULL;

	if (segment->places[index].role)
		return segment->places[index].role;
	for (size_t i = 0; i < segment->kind->role_count; i++) {
		const struct shmp_role *role = &segment->kind->roles[i];

		uint32_t first = shmp_role_first(role, &segment->plan);

		if (index < first || index - first >= segment_role_places(segment, role))
			continue;
		if (only)
			return NULL;
		only = role;
	}
	return only;
}

void segment_add_memory(cJSON *object, const struct segment *segment)
{
	uint32_t memory = segment->plan.memory;

	shmp_json_add_bool(object, "huge_pages", (memory & SHMP_MEMORY_HUGE_PAGES) != 0);
	shmp_json_add_bool(object, "prefault", (memory & SHMP_MEMORY_PREFAULT) != 0);
	shmp_json_add_bool(object, "mlock", (memory & SHMP_MEMORY_MLOCK) != 0);
}

void segment_add_options(cJSON *object, const struct segment *segment)
{
	cJSON *options = shmp_json_add_object(object, "options");

	for (size_t i = 0; i < segment->kind->option_count; i++)
		shmp_json_add_u64(options, segment->kind->options[i].name, segment->plan.option[i]);
}
