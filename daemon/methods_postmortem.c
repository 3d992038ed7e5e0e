#include "daemon/methods_postmortem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/call.h"
#include "daemon/client.h"
#include "daemon/liveness.h"
#include "daemon/segment.h"
#include "daemon/status.h"
#include "daemon/systemd.h"
#include "protocol/name.h"
#include "protocol/varlink.h"
#include "protocol/waiter.h"

#define PAGE_MAX	   100u
#define PAGE_WAITS_MAX	   500u	 /* a reply stays far below what the wire takes, */
#define PAGE_ENDPOINTS_MAX 2000u /* and the loop is not held up */
#define PIDS_MAX	   16u
#define NEARLY(used, max)  ((max) > 0 && (used) >= (max) - (max) / 5) /* four fifths */

/* Deaths. */

static cJSON *hold_object(const struct death_hold *hold)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_text(object, "what", hold->what);
	shmp_json_add_u64(object, "count", hold->count);
	shmp_json_add_bool(object, "at_least", hold->is_least != 0);
	shmp_json_add_text(object, "fate", hold->fate);
	return object;
}

static void add_who(cJSON *object, const struct death_record *record)
{
	shmp_json_add_u64(object, "pid", record->pid);
	shmp_json_add_u64(object, "uid", record->uid);
	shmp_json_add_text(object, "name", record->name);
	if (record->start_time != 0)
		shmp_json_add_u64(object, "start_time", record->start_time);
}

static cJSON *death_object(const struct death_record *record)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *holds;

	add_who(object, record);
	status_add_end(object, record->end, record->end_value);
	shmp_json_add_u64(object, "count", record->count);
	status_add_time(object, "first", record->first_ns);
	status_add_time(object, "last", record->last_ns);
	shmp_json_add_text(object, "segment", record->segment);
	shmp_json_add_text(object, "kind", record->kind);
	shmp_json_add_text(object, "role", record->role);
	if (record->endpoint != UINT32_MAX)
		shmp_json_add_u64(object, "endpoint", record->endpoint);
	shmp_json_add_u64(object, "held", record->held);
	shmp_json_add_u64(object, "places", record->places);
	holds = shmp_json_add_array(object, "holds");
	for (uint32_t i = 0; i < record->hold_count; i++)
		shmp_json_append(holds, hold_object(&record->holds[i]));
	if (record->repair_ns != 0)
		shmp_json_add_u64(object, "repair_ns", record->repair_ns);
	shmp_json_add_u64(object, "repair_max_ns", record->repair_max_ns);
	return object;
}

static bool is_asked_for(const struct death_record *record, const char *name)
{
	return !name || strcmp(record->segment, name) == 0 || strcmp(record->name, name) == 0;
}

void method_deaths(struct call *call)
{
	const struct deaths *deaths = &call_broker(call)->deaths;
	uint64_t before = INT64_MAX, limit = PAGE_MAX;
	const struct death_record *record;
	const char *name = NULL;
	cJSON *reply, *list;

	if (!call_string_optional(call, "name", &name) ||
	    !call_u64_optional(call, "before", INT64_MAX, &before) ||
	    !call_u64_optional(call, "limit", INT64_MAX, &limit))
		return;
	if (limit == 0 || limit > PAGE_MAX)
		limit = PAGE_MAX;
	reply = cJSON_CreateObject();
	list = shmp_json_add_array(reply, "deaths");
	while (limit > 0 && (record = deaths_next(deaths, before)) != NULL) {
		before = record->serial;
		if (!is_asked_for(record, name))
			continue;
		shmp_json_append(list, death_object(record));
		limit--;
	}
	if (limit == 0 && deaths_next(deaths, before))
		shmp_json_add_u64(reply, "next", before);
	call_reply(call, reply);
}

/* Who waits for whom. */

struct page {
	cJSON *list;
	uint64_t count;
	uint64_t omitted; /* of the last segment: there are too many for one reply */
	const struct segment *segment;
};

static void add_pid(cJSON *pids, const struct place *place)
{
	if (place->holder && (unsigned)cJSON_GetArraySize(pids) < PIDS_MAX)
		shmp_json_append(pids, cJSON_CreateNumber(place->pid));
}

static void add_named(cJSON *object, cJSON *pids, const struct segment *segment, uint32_t index)
{
	const struct shmp_role *role = segment_role_at(segment, index);
	const struct place *place = &segment->places[index];

	shmp_json_add_u64(object, "by", index);
	shmp_json_add_text(object, "by_role", role ? role->name : "");
	shmp_json_add_text(object, "by_state", status_of_place(place));
	shmp_json_add_u64(object, "by_count", place->holder != NULL);
	add_pid(pids, place);
}

/* All in the role but who waits himself. */
static void add_role(cJSON *object, cJSON *pids, const struct segment *segment,
		     const struct shmp_wait *wait)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		const struct place *place = &segment->places[i];

		if (!place->holder || i == wait->endpoint ||
		    strcmp(place->role->name, wait->role) != 0)
			continue;
		count++;
		add_pid(pids, place);
	}
	shmp_json_add_text(object, "by_role", wait->role);
	shmp_json_add_u64(object, "by_count", count);
}

static void add_by(cJSON *object, const struct segment *segment, const struct shmp_wait *wait)
{
	cJSON *pids = cJSON_CreateArray();

	if (wait->by >= 0)
		add_named(object, pids, segment, (uint32_t)wait->by);
	else
		add_role(object, pids, segment, wait);
	shmp_json_put(object, "by_pids", pids);
	if (wait->tid != 0)
		shmp_json_add_u64(object, "tid", wait->tid);
	if (wait->since_ns != 0)
		shmp_json_add_u64(object, "since_ns", wait->since_ns);
}

/* A place that nobody holds waits for nothing, whatever its bits say. */
static bool can_be(const struct segment *segment, const struct shmp_wait *wait)
{
	return wait->endpoint < segment->plan.endpoint_count &&
	       wait->by < (int64_t)segment->plan.endpoint_count &&
	       segment->places[wait->endpoint].holder;
}

static void add_wait(void *context, const struct shmp_wait *wait)
{
	struct page *page = context;
	const struct segment *segment = page->segment;
	const struct place *place;
	cJSON *object;

	if (!can_be(segment, wait))
		return;
	if (page->count == PAGE_WAITS_MAX) {
		page->omitted++;
		return;
	}
	place = &segment->places[wait->endpoint];
	object = cJSON_CreateObject();
	shmp_json_add_text(object, "segment", segment->name);
	shmp_json_add_text(object, "kind", segment->kind->name);
	shmp_json_add_u64(object, "endpoint", wait->endpoint);
	shmp_json_add_text(object, "role", place->role->name);
	shmp_json_add_i64(object, "pid", place->pid);
	shmp_json_add_u64(object, "uid", place->uid);
	shmp_json_add_bool(object, "idle", wait->is_idle);
	shmp_json_add_text(object, "what", wait->what);
	shmp_json_add_text(object, "why", wait->why);
	if (wait->count != 0)
		shmp_json_add_u64(object, "count", wait->count);
	add_by(object, segment, wait);
	shmp_json_append(page->list, object);
	page->count++;
}

/* 0 or -errno: half a list would be a wrong one. */
static int add_segment(struct page *page, const struct segment *segment)
{
	struct shmp_segment map;
	int r;

	if (!segment->is_ready || !segment->kind->waits_for || segment->attachments == 0)
		return 0;
	r = segment_map(segment, SHMP_ACCESS_READ, false, &map);
	if (r < 0)
		return r;
	page->segment = segment;
	segment->kind->waits_for(&map, add_wait, page);
	shmp_segment_unmap(&map);
	return 0;
}

/* Whole segments, each as far as it fits into a page of its own. */
static int add_segments(struct page *page, const struct registry *registry, const char *after,
			cJSON *reply)
{
	uint64_t endpoints = 0, segments = 0;
	const char *last = NULL;
	size_t at;
	int r = 0;

	for (at = registry_after(registry, after);
	     r == 0 && at < registry->count && segments < PAGE_MAX &&
	     endpoints < PAGE_ENDPOINTS_MAX && page->count < PAGE_WAITS_MAX / 2;
	     at++, segments++) {
		last = registry->segments[at]->name;
		r = add_segment(page, registry->segments[at]);
		endpoints += registry->segments[at]->plan.endpoint_count;
	}
	if (at < registry->count)
		shmp_json_add_text(reply, "next", last);
	return r;
}

void method_blocked(struct call *call)
{
	const struct registry *registry = &call_broker(call)->registry;
	const char *name = NULL, *after = NULL;
	struct page page = { .list = NULL };
	struct segment *segment = NULL;
	cJSON *reply;
	int r;

	if (!call_string_optional(call, "name", &name) ||
	    !call_string_optional(call, "after", &after))
		return;
	if (name) {
		segment = control_segment(call, name);
		if (!segment)
			return;
	}
	reply = cJSON_CreateObject();
	page.list = shmp_json_add_array(reply, "waits");
	r = segment ? add_segment(&page, segment) : add_segments(&page, registry, after, reply);
	if (r < 0) {
		cJSON_Delete(reply);
		call_broken(call, r);
		return;
	}
	shmp_json_add_u64(reply, "omitted", page.omitted);
	call_reply(call, reply);
}

/* Health. */

static void add_limit(cJSON *list, const char *name, uint64_t used, uint64_t max,
		      const char *option, const uid_t *uid)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_text(object, "name", name);
	if (uid)
		shmp_json_add_u64(object, "uid", *uid);
	shmp_json_add_u64(object, "used", used);
	shmp_json_add_u64(object, "max", max);
	shmp_json_add_text(object, "option", option);
	shmp_json_append(list, object);
}

/* Linux 6.2 says how many there are; before, the lowest free one does, where no gaps are. */
static uint64_t count_descriptors(const struct broker *broker)
{
	struct stat status;
	int lowest;

	if (fstat(broker->proc_fd_dir, &status) == 0 && status.st_size > 0)
		return (uint64_t)status.st_size;
	lowest = fcntl(broker->proc_fd_dir, F_DUPFD_CLOEXEC, 0);
	if (lowest >= 0)
		close(lowest);
	return lowest < 0 ? 0 : (uint64_t)lowest;
}

static void add_descriptors(cJSON *list, const struct broker *broker)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		add_limit(list, "descriptors", count_descriptors(broker), limit.rlim_cur,
			  "LimitNOFILE", NULL);
}

static void add_users(cJSON *list, const struct quota *quota)
{
	for (size_t i = 0; i < quota->user_count; i++) {
		const struct quota_user *user = quota->users[i];

		for (enum quota_kind kind = 0; kind < QUOTA_KINDS; kind++) {
			if (!NEARLY(user->used[kind], quota->limit[kind]) ||
			    (unsigned)cJSON_GetArraySize(list) >= PAGE_MAX)
				continue;
			add_limit(list, quota_name(kind), user->used[kind], quota->limit[kind],
				  quota_option(kind), &user->uid);
		}
	}
}

static void add_feature(cJSON *list, const char *name, bool available, const char *otherwise)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_text(object, "name", name);
	shmp_json_add_bool(object, "available", available);
	shmp_json_add_text(object, "otherwise", otherwise);
	shmp_json_append(list, object);
}

/* Asks the kernel with a socket of its own. */
static bool has_peer_pidfd(const struct broker *broker)
{
	int pair[2], pidfd = -1, r;

	if (broker->options->no_peer_pidfd ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	r = liveness_of_peer(pair[0], &pidfd);
	close(pair[0]);
	close(pair[1]);
	if (r == 0)
		close(pidfd);
	return r == 0;
}

static void add_features(cJSON *reply, const struct broker *broker)
{
	cJSON *list = shmp_json_add_array(reply, "features");

	add_feature(list, "membarrier", shmp_membarrier_register(),
		    "whoever publishes pays a fence for each message");
	add_feature(list, "peer_pidfd", has_peer_pidfd(broker),
		    "clients say when they started, and the broker has to see them in /proc");
	add_feature(list, "passrights", broker->has_passrights,
		    "descriptors that a stranger sends are closed one by one");
}

/* Processes that could not register. */
static uint64_t count_fencing(const struct broker *broker)
{
	uint64_t count = 0;

	for (const struct list *at = broker->clients.next; at != &broker->clients; at = at->next) {
		const struct client *client = list_entry(at, struct client, link);

		count += !client->is_control && !client->has_membarrier &&
			 client->attachment_count > 0;
	}
	return count;
}

static uint64_t count_repairing(const struct broker *broker)
{
	const struct list *pending = &broker->repairs.pending;
	uint64_t count = 0;

	for (const struct list *at = pending->next; at != pending; at = at->next)
		count++;
	return count;
}

void method_health(struct call *call)
{
	const struct broker *broker = call_broker(call);
	cJSON *reply = cJSON_CreateObject();
	cJSON *list = shmp_json_add_array(reply, "limits");

	add_limit(list, "bytes", broker->segment_bytes, broker->options->bytes, "bytes", NULL);
	add_descriptors(list, broker);
	add_users(list, &broker->quota);
	add_features(reply, broker);
	shmp_json_add_bool(reply, "kept", state_is_there(&broker->state) && systemd_has_store());
	shmp_json_add_u64(reply, "fencing", count_fencing(broker));
	shmp_json_add_u64(reply, "repairing", count_repairing(broker));
	shmp_json_add_u64(reply, "refusals", broker->quota.refusals);
	call_reply(call, reply);
}
