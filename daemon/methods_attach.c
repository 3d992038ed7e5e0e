/*
 * org.shmbroker: Attach and Detach.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/methods_client.h"
#include "daemon/place.h"
#include "daemon/segment.h"

/* @kind may be NULL: any. */
static bool check_kind(struct call *call, const struct segment *segment, const char *kind)
{
	if (!kind || strcmp(segment->kind->name, kind) == 0)
		return true;
	call_fault(call, SHMP_FAULT_MISMATCH,
		   &(struct about){ .name = segment->name, .parameter = "kind" },
		   "%s is of kind %s, not %.64s", segment->name, segment->kind->name, kind);
	return false;
}

/* A caller that says nothing compares for itself. */
static bool check_version(struct call *call, const struct segment *segment)
{
	const struct shmp_kind *kind = segment->kind;
	uint64_t version = kind->version;

	if (!call_u64_optional(call, "kind_version", UINT32_MAX, &version))
		return false;
	if (version == kind->version)
		return true;
	call_fault(call, SHMP_FAULT_MISMATCH,
		   &(struct about){ .name = segment->name, .parameter = "kind_version" },
		   "%s is laid out as version %" PRIu32
		   " of kind %s, this client understands version %" PRIu64
		   ": update whichever is older, the client or the broker",
		   segment->name, kind->version, kind->name, version);
	return false;
}

static bool check_option(struct call *call, const struct segment *segment, const cJSON *options,
			 const char *key)
{
	int index = shmp_kind_option(segment->kind, key);
	struct about about = { .name = segment->name, .parameter = key };
	uint64_t wanted;

	if (index < 0) {
		call_fault(call, SHMP_FAULT_INVALID, &about, "kind %s has no option \"%.64s\"",
			   segment->kind->name, key);
		return false;
	}
	if (shmp_json_u64(options, key, UINT64_MAX, &wanted) < 0) {
		call_fault(call, SHMP_FAULT_INVALID, &about, "%s is not a whole number from 0 on",
			   key);
		return false;
	}
	if (segment->plan.option[index] == wanted)
		return true;
	call_fault(call, SHMP_FAULT_MISMATCH, &about,
		   "%s has %s %" PRIu64 ", and was opened as one that has %" PRIu64, segment->name,
		   key, segment->plan.option[index], wanted);
	return false;
}

/* What the caller relies on; another is refused before anybody can notice that it came. */
static bool check_options(struct call *call, const struct segment *segment)
{
	const cJSON *options = NULL;

	if (!call_object_optional(call, "options", &options))
		return false;
	for (const cJSON *item = options ? options->child : NULL; item; item = item->next)
		if (!check_option(call, segment, options, item->string))
			return false;
	return true;
}

static const struct shmp_role *find_role(struct call *call, const struct segment *segment,
					 const char *name)
{
	const struct shmp_role *role = shmp_kind_role(segment->kind, name);

	if (!role)
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "role" },
			   "kind %s has no role \"%.64s\"", segment->kind->name, name);
	return role;
}

/* What a role may write of an object is, for whoever has the descriptor, all of the arena's. */
static bool needs_write_right(const struct segment *segment, const struct shmp_role *role)
{
	return role->writes || (segment->parent && (role->ctl == SHMP_ACCESS_WRITE ||
						    role->data == SHMP_ACCESS_WRITE));
}

static bool check_rights(struct call *call, const struct segment *segment,
			 const struct shmp_role *role)
{
	const struct credentials *who = &call_client(call)->credentials;
	bool writes = needs_write_right(segment, role);
	bool may = writes ? policy_may_write(who, &segment->ownership) :
			    policy_may_read(who, &segment->ownership);

	if (may)
		return true;
	call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = segment->name },
		   "user %u may not %s %s: it is user %u's with mode %04o", who->uid,
		   writes ? "write" : "read", segment->name, segment->ownership.uid,
		   segment->ownership.mode);
	return false;
}

/* Without the kernel's word on who it is, its death could not be seen. */
static bool check_identity(struct call *call)
{
	if (call_client(call)->pidfd >= 0)
		return true;
	call_fault(call, SHMP_FAULT_UNSUPPORTED, &(struct about){ .name = NULL },
		   "this kernel (before 6.5) does not say who is connected: say Hello with "
		   "start_time, from within the broker's pid namespace");
	return false;
}

static void answer_busy(struct call *call, const struct segment *segment,
			const struct shmp_role *role, const struct place *place)
{
	struct about about = {
		.name = segment->name, .role = role->name, .has_pid = true, .pid = place->pid
	};
	uint32_t count = segment_role_places(segment, role);

	if (count > 1)
		call_fault(call, SHMP_FAULT_BUSY, &about,
			   "all %u places of %s are taken, one of them by process %d", count,
			   segment->name, place->pid);
	else if (place->holder)
		call_fault(call, SHMP_FAULT_BUSY, &about, "%s has its %s already: process %d",
			   segment->name, role->name, place->pid);
	else
		call_fault(call, SHMP_FAULT_BUSY, &about,
			   "what the last %s of %s left (process %d) is being repaired", role->name,
			   segment->name, place->pid);
}

/* Who comes right after a death must not be told that the dead one is still there. */
static bool find_place(struct call *call, const struct segment *segment,
		       const struct shmp_role *role, uint32_t *ret_place)
{
	const struct client *caller = call_client(call);
	const struct attachment *holder;
	uint32_t first = shmp_role_first(role, &segment->plan);

	if (role->observes || place_find(segment, role, ret_place) == 0)
		return true;
	for (uint32_t i = 0; i < segment_role_places(segment, role); i++) {
		holder = segment->places[first + i].holder;
		if (holder && holder->client != caller && client_has_ended(holder->client))
			break;
	}
	if (place_find(segment, role, ret_place) == 0)
		return true;
	answer_busy(call, segment, role, &segment->places[*ret_place]);
	return false;
}

static void answer_failure(struct call *call, const struct segment *segment, int error)
{
	struct broker *broker = call_broker(call);
	uid_t uid = call_client(call)->credentials.uid;

	if (error == -EDQUOT)
		call_fault(call, SHMP_FAULT_QUOTA, &(struct about){ .limit_name = "endpoints" },
			   "user %u has %" PRIu64 " endpoints, the limit is %" PRIu64
			   " (endpoints-per-uid)",
			   uid, quota_used(&broker->quota, uid, QUOTA_ENDPOINTS),
			   broker->quota.limit[QUOTA_ENDPOINTS]);
	else if (error == -EBADMSG)
		call_fault(call, SHMP_FAULT_CORRUPT, &(struct about){ .name = segment->name },
			   "%s holds what no peer of its kind writes", segment->name);
	else
		call_broken(call, error);
}

/* Where in which files an object is. */
static void add_offsets(cJSON *geometry, const struct segment *segment)
{
	shmp_json_add_u64(geometry, "ctl_offset", segment->plan.ctl_offset);
	shmp_json_add_u64(geometry, "ctl_file_bytes", segment->parent->plan.objects_bytes);
	shmp_json_add_u64(geometry, "data_offset", segment->plan.data_offset);
	shmp_json_add_u64(geometry, "data_file_bytes", segment->parent->plan.data_bytes);
}

static void add_geometry(cJSON *reply, const struct segment *segment)
{
	cJSON *geometry = shmp_json_add_object(reply, "geometry");
	const struct shmp_plan *plan = &segment->plan;

	shmp_json_add_u64(geometry, "ctl_bytes", plan->ctl_bytes);
	shmp_json_add_u64(geometry, "data_bytes", plan->data_bytes);
	shmp_json_add_u64(geometry, "control_bytes", plan->control_bytes);
	shmp_json_add_u64(geometry, "endpoint_count", plan->endpoint_count);
	shmp_json_add_u64(geometry, "kind_version", segment->kind->version);
	shmp_json_add_bool(geometry, "mirrored", segment->kind->mirrored);
	segment_add_memory(geometry, segment);
	if (segment->parent)
		add_offsets(geometry, segment);
}

static int pick(enum shmp_access access, int writable, int readonly)
{
	if (access == SHMP_ACCESS_NONE)
		return -1;
	return access == SHMP_ACCESS_WRITE ? writable : readonly;
}

/* Adds @fd to @fds and its index to @reply. */
static void add_fd(cJSON *reply, const char *key, int fd, int *fds, size_t *count)
{
	shmp_json_add_i64(reply, key, fd < 0 ? -1 : (int64_t)*count);
	if (fd >= 0)
		fds[(*count)++] = fd;
}

static void answer(struct call *call, const struct attachment *attachment)
{
	const struct segment *segment = attachment->segment;
	const struct shmp_role *role = attachment->role;
	const struct shmp_segment_fds *all = &segment->fds;
	bool observes = attachment_observes(attachment);
	cJSON *reply = cJSON_CreateObject();
	size_t fd_count = 0;
	int fds[2];

	shmp_json_add_u64(reply, "id", attachment->id);
	shmp_json_add_text(reply, "kind", segment->kind->name);
	shmp_json_add_u64(reply, "generation", segment->generation);
	shmp_json_add_i64(reply, "endpoint", observes ? -1 : (int64_t)attachment->place);
	shmp_json_add_u64(reply, "incarnation",
			  observes ? 0 : segment->places[attachment->place].incarnation);
	add_geometry(reply, segment);
	segment_add_options(reply, segment);
	shmp_json_add_u64(reply, "mode", segment->ownership.mode);
	shmp_json_add_u64(reply, "uid", segment->ownership.uid);
	shmp_json_add_u64(reply, "gid", segment->ownership.gid);
	add_fd(reply, "ctl", pick(role->ctl, all->ctl, all->ctl_readonly), fds, &fd_count);
	add_fd(reply, "data", pick(role->data, all->data, all->data_readonly), fds, &fd_count);
	/* they stay open until sent: the attachment keeps the segment, and cannot go before */
	call_reply_fds(call, reply, fds, fd_count, false);
}

void method_attach(struct call *call)
{
	const char *name, *kind = NULL, *role_name;
	const struct shmp_role *role;
	struct attachment *attachment;
	struct segment *segment;
	uint32_t place = 0;
	int r;

	if (!method_name(call, &name) || !call_string_optional(call, "kind", &kind) ||
	    !call_string(call, "role", &role_name) || !check_identity(call))
		return;
	segment = method_segment(call, name);
	if (!segment || !check_kind(call, segment, kind) || !check_version(call, segment))
		return;
	role = find_role(call, segment, role_name);
	if (!role || !check_rights(call, segment, role) || !check_options(call, segment))
		return;
	/* said again, by one who did not get the answer */
	attachment = attachment_claim(call_client(call), segment, role);
	if (attachment) {
		answer(call, attachment);
		return;
	}
	if (!find_place(call, segment, role, &place))
		return;
	r = attachment_open(call_client(call), segment, role, place, &attachment);
	if (r < 0)
		answer_failure(call, segment, r);
	else
		answer(call, attachment);
}

void method_detach(struct call *call)
{
	struct attachment *attachment = method_attachment(call);

	if (!attachment || !method_own_endpoint(call, attachment))
		return;
	attachment_close(attachment, false);
	call_done(call);
}
