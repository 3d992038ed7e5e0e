/*
 * org.shmbroker: Create.
 *
 * A creation takes its name at once, reserves its memory in a helper and becomes visible when it
 * is complete. Whoever wants the same name meanwhile waits and is then answered as if he had come
 * after: exactly one creates it, and nobody is told of a segment that then fails.
 *
 * Who has died by then has created nothing: whoever knows of his end and finds the name free is not
 * surprised by it later. Who has only hung up may say it again.
 *
 * "arena:object" goes the same way, but for its memory: a piece of the arena's, which is cleared,
 * by a helper if that would take long.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/log.h"
#include "daemon/methods_client.h"
#include "daemon/nest.h"
#include "daemon/segment.h"
#include "protocol/base64.h"
#include "protocol/name.h"

#define MODE_PRESET   0600u
#define CLEAR_AT_ONCE (256u << 10) /* bytes; some 50 us */

struct request {
	const char *name;
	struct segment *parent; /* NULL: it is not to be an object */
	const struct shmp_kind *kind;
	struct shmp_plan plan;
	struct ownership owner;
	bool reuse;
	uint64_t tag; /* of this call, 0 = none */
	void *init;   /* the kind's affair; its owner's to free */
	size_t init_bytes;
};

/* Reading the request. */

static bool check_parent(struct call *call, const struct segment *parent, const char *object)
{
	uint32_t limit;

	if (!parent->nest) {
		call_fault(call, SHMP_FAULT_MISMATCH,
			   &(struct about){ .name = parent->name, .parameter = "kind" },
			   "%s is of kind %s, which holds no objects: only an arena does",
			   parent->name, parent->kind->name);
		return false;
	}
	limit = nest_name_bytes(parent);
	if (strlen(object) <= limit)
		return true;
	call_fault(call, SHMP_FAULT_TOO_BIG,
		   &(struct about){ .parameter = "name", .has_limit = true, .limit = limit },
		   "\"%s\" has %zu bytes, names in %s have at most %" PRIu32 " (name_bytes)",
		   object, strlen(object), parent->name, limit);
	return false;
}

/* Of "arena:object" the arena. */
static bool read_parent(struct call *call, const char *name, struct segment **ret_parent)
{
	const char *object = shmp_name_object(name);
	char arena[SHMP_NAME_MAX + 1];

	if (!object)
		return true;
	snprintf(arena, sizeof(arena), "%.*s", (int)(object - name - 1), name);
	*ret_parent = registry_find(&call_broker(call)->registry, arena);
	if (*ret_parent)
		return check_parent(call, *ret_parent, object);
	call_fault(call, SHMP_FAULT_NOT_FOUND, &(struct about){ .name = arena },
		   "there is no arena %s to make %s in", arena, name);
	return false;
}

static bool read_kind(struct call *call, const struct segment *parent,
		      const struct shmp_kind **ret_kind)
{
	const char *name;

	if (!call_string(call, "kind", &name))
		return false;
	*ret_kind = shmp_kind_find(name);
	if (*ret_kind && !(parent && (*ret_kind)->holder))
		return true;
	if (*ret_kind)
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "kind" },
			   "an arena is no object: %s cannot hold another", parent->name);
	else
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "kind" },
			   "there is no kind \"%.64s\"; `shmbrokerctl kinds` lists what there is",
			   name);
	return false;
}

static bool check_range(struct call *call, const struct shmp_option *option, uint64_t value)
{
	if (value < option->min)
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = option->name },
			   "%s %" PRIu64 " is below %" PRIu64, option->name, value, option->min);
	else if (value > option->max)
		call_fault(call, SHMP_FAULT_TOO_BIG,
			   &(struct about){ .parameter = option->name,
					    .has_limit = true,
					    .limit = option->max },
			   "%s %" PRIu64 " is above %" PRIu64, option->name, value, option->max);
	else
		return true;
	return false;
}

static bool read_option(struct call *call, const struct shmp_kind *kind, const cJSON *options,
			const char *key, uint64_t *option)
{
	int index = shmp_kind_option(kind, key);

	if (index < 0) {
		call_fault(
			call, SHMP_FAULT_INVALID, &(struct about){ .parameter = key },
			"kind %s has no option \"%.64s\"; `shmbrokerctl kinds` lists those it has",
			kind->name, key);
		return false;
	}
	if (shmp_json_u64(options, key, UINT64_MAX, &option[index]) < 0) {
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = key },
			   "%s is not a whole number from 0 on", key);
		return false;
	}
	return check_range(call, &kind->options[index], option[index]);
}

static bool read_options(struct call *call, const struct shmp_kind *kind, uint64_t *option)
{
	const cJSON *options = NULL;
	const cJSON *item;

	for (size_t i = 0; i < kind->option_count; i++)
		option[i] = kind->options[i].preset;
	if (!call_object_optional(call, "options", &options))
		return false;
	for (item = options ? options->child : NULL; item; item = item->next) {
		if (!read_option(call, kind, options, item->string, option))
			return false;
	}
	return true;
}

/* Memory of any kind, by the names of its parameters. */
static const struct {
	const char *name;
	enum shmp_memory flag;
} memories[] = {
	{ "huge_pages", SHMP_MEMORY_HUGE_PAGES },
	{ "prefault", SHMP_MEMORY_PREFAULT },
	{ "mlock", SHMP_MEMORY_MLOCK },
};

static bool read_memory(struct call *call, const struct segment *parent,
			const struct shmp_kind *kind, struct shmp_plan *plan)
{
	const char *why = "the objects of an arena are mapped by the page of 4 KiB";
	uint32_t memory = 0;

	for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
		bool is_set = false;

		if (!call_bool_optional(call, memories[i].name, &is_set))
			return false;
		memory |= is_set ? (uint32_t)memories[i].flag : 0;
	}
	if (!(parent && (memory & SHMP_MEMORY_HUGE_PAGES) != 0) &&
	    shmp_segment_plan_memory(plan, kind->mirrored, memory, &why) == 0)
		return true;
	call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "huge_pages" },
		   "huge_pages: %s", why);
	return false;
}

/* An object is whose the arena is, with its rights, and nothing may be said of it. */
static bool read_no_owner(struct call *call, const struct segment *parent,
			  struct ownership *ret_owner)
{
	static const char *const keys[] = { "owner", "group", "mode" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		uint64_t value = UINT64_MAX;

		if (!call_u64_optional(call, keys[i], UINT32_MAX, &value))
			return false;
		if (value == UINT64_MAX)
			continue;
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = keys[i] },
			   "%s: an object has that of its arena %s", keys[i], parent->name);
		return false;
	}
	*ret_owner = parent->ownership;
	return true;
}

/* Whose it shall be. Who may not give it to others is told so by check_rights. */
static bool read_owner(struct call *call, struct ownership *ret_owner)
{
	const struct credentials *who = &call_client(call)->credentials;
	uint64_t uid = who->uid, gid = who->gid, mode = MODE_PRESET;

	if (!call_u64_optional(call, "owner", UINT32_MAX - 1, &uid) ||
	    !call_u64_optional(call, "group", UINT32_MAX - 1, &gid) ||
	    !call_u64_optional(call, "mode", POLICY_MODE_MAX, &mode))
		return false;
	*ret_owner = (struct ownership){ (uid_t)uid, (gid_t)gid, (uint32_t)mode };
	return true;
}

static bool make_plan(struct call *call, const struct segment *parent, const struct shmp_kind *kind,
		      struct shmp_plan *ret_plan)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const char *why = "";
	int r;

	if (!read_options(call, kind, option))
		return false;
	r = kind->plan(option, ret_plan, &why);
	if (r == 0 && parent)
		shmp_segment_plan_packed(ret_plan);
	if (r == 0)
		return true;
	call_fault(call, SHMP_FAULT_INVALID,
		   &(struct about){ .parameter = kind->options[r - 1].name }, "%s %" PRIu64 ": %s",
		   kind->options[r - 1].name, option[r - 1], why);
	return false;
}

/* What the kind wants beside numbers: decoded here, understood by the kind alone. */
static bool read_init(struct call *call, struct request *request)
{
	const struct shmp_kind *kind = request->kind;
	const char *text = "", *why = "";
	int r;

	if (!call_string_optional(call, "init", &text))
		return false;
	if (!kind->check_init) {
		if (*text)
			call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "init" },
				   "kind %s takes no init", kind->name);
		return !*text;
	}
	request->init = malloc(kind->init_bytes_max);
	if (!request->init) {
		call_broken(call, -ENOMEM);
		return false;
	}
	r = shmp_base64_decode(text, request->init, kind->init_bytes_max, &request->init_bytes);
	if (r < 0)
		why = r == -ERANGE ? "it is too long" : "it is no Base64";
	else
		r = kind->check_init(&request->plan, request->init, request->init_bytes, &why);
	if (r == -ENOMEM)
		call_broken(call, r);
	else if (r < 0)
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "init" },
			   "init: %s", why);
	return r == 0;
}

static bool read_request(struct call *call, struct request *request)
{
	if (!read_parent(call, request->name, &request->parent) ||
	    !read_kind(call, request->parent, &request->kind))
		return false;
	return (request->parent ? read_no_owner(call, request->parent, &request->owner) :
				  read_owner(call, &request->owner)) &&
	       call_bool_optional(call, "reuse", &request->reuse) &&
	       make_plan(call, request->parent, request->kind, &request->plan) &&
	       read_memory(call, request->parent, request->kind, &request->plan) &&
	       read_init(call, request);
}

/* Answers. */

static void answer(struct call *call, const struct segment *segment, bool created)
{
	cJSON *reply = cJSON_CreateObject();

	shmp_json_add_bool(reply, "created", created);
	segment_add_options(reply, segment);
	call_reply(call, reply);
}

static void answer_mismatch(struct call *call, const struct segment *segment, const char *parameter,
			    uint64_t has, uint64_t wanted)
{
	call_fault(call, SHMP_FAULT_MISMATCH,
		   &(struct about){ .name = segment->name, .parameter = parameter },
		   "%s exists with %s %" PRIu64 ", not %" PRIu64, segment->name, parameter, has,
		   wanted);
}

/* The name is taken. */
static void answer_existing(struct call *call, const struct segment *segment,
			    const struct request *request)
{
	if (!request->reuse) {
		call_fault(call, SHMP_FAULT_EXISTS, &(struct about){ .name = segment->name },
			   "%s exists already, of kind %s", segment->name, segment->kind->name);
		return;
	}
	if (segment->kind != request->kind) {
		call_fault(call, SHMP_FAULT_MISMATCH,
			   &(struct about){ .name = segment->name, .parameter = "kind" },
			   "%s exists and is of kind %s, not %s", segment->name,
			   segment->kind->name, request->kind->name);
		return;
	}
	for (size_t i = 0; i < segment->kind->option_count; i++) {
		if (segment->plan.option[i] == request->plan.option[i])
			continue;
		answer_mismatch(call, segment, segment->kind->options[i].name,
				segment->plan.option[i], request->plan.option[i]);
		return;
	}
	for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
		uint32_t flag = memories[i].flag;

		if ((segment->plan.memory & flag) == (request->plan.memory & flag))
			continue;
		answer_mismatch(call, segment, memories[i].name, (segment->plan.memory & flag) != 0,
				(request->plan.memory & flag) != 0);
		return;
	}
	answer(call, segment, false);
}

static void answer_quota(struct call *call, enum quota_kind kind, uid_t uid)
{
	struct broker *broker = call_broker(call);

	call_fault(call, SHMP_FAULT_QUOTA, &(struct about){ .limit_name = quota_name(kind) },
		   "user %u has %" PRIu64 " %s, the limit is %" PRIu64 " (%s)", uid,
		   quota_used(&broker->quota, uid, kind), quota_name(kind),
		   broker->quota.limit[kind], quota_option(kind));
}

static void answer_no_space(struct call *call, const char *name, uint64_t bytes)
{
	struct broker *broker = call_broker(call);

	call_fault(call, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
		   "%s wants %" PRIu64 " bytes; all segments together have %" PRIu64 " of %" PRIu64
		   " (bytes): make it smaller, remove others, or raise that option",
		   name, bytes, broker->segment_bytes, broker->options->bytes);
}

static void answer_failure(struct call *call, const struct request *request, int error,
			   enum quota_kind kind)
{
	uint64_t bytes = shmp_segment_bytes(&request->plan);

	if (error == -EDQUOT)
		answer_quota(call, kind, request->owner.uid);
	else if (error == -ENOSPC)
		answer_no_space(call, request->name, bytes);
	else if ((request->plan.memory & SHMP_MEMORY_HUGE_PAGES) != 0 && error != -ENOMEM &&
		 error != -EMFILE && error != -ENFILE)
		call_fault(call, SHMP_FAULT_UNSUPPORTED, &(struct about){ .name = NULL },
			   "this kernel has no huge pages of 2 MiB (%s): create %s without "
			   "huge_pages",
			   strerror(-error), request->name);
	else
		call_broken(call, error);
}

/* Making it. */

static void retry_waiting(struct list *waiting)
{
	while (!list_is_empty(waiting)) {
		struct call *call = list_entry(waiting->next, struct call, waiting);

		list_remove(&call->waiting);
		method_create(call);
	}
}

/* 0 where the kernel does not say. */
static uint64_t huge_pages(const char *what)
{
	unsigned long count = 0;
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages",
		 what);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lu", &count) != 1)
		count = 0;
	fclose(file);
	return count;
}

static void fail_for_want_of_huge_pages(struct segment *segment, struct call *creator)
{
	/* those it got before there were no more are free, too */
	shmp_segment_close(&segment->fds);
	call_fault(creator, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
		   "%s wants %" PRIu64 " huge pages of 2 MiB, %" PRIu64 " of %" PRIu64
		   " are free: raise vm.nr_hugepages (sysctl -w vm.nr_hugepages=N), or create it "
		   "without huge_pages",
		   segment->name, segment->plan.data_bytes / SHMP_HUGE_PAGE_BYTES,
		   huge_pages("free"), huge_pages("nr"));
}

/* It lost the arena that it was to be in. */
static void fail_for_want_of_parent(const struct segment *segment, struct call *creator)
{
	if (creator)
		call_fault(creator, SHMP_FAULT_NOT_FOUND, &(struct about){ .name = segment->name },
			   "%s was unlinked while %s was being made", segment->parent->name,
			   segment->name);
}

static void fail(struct segment *segment, struct call *creator, int error)
{
	uint64_t bytes = segment_bytes(segment);

	if (error == -ECANCELED) {
		if (creator)
			method_answer_dead(creator);
		return;
	}
	if (segment->parent && !segment->parent->is_linked) {
		fail_for_want_of_parent(segment, creator);
		return;
	}
	log_event(LOG_WARNING, "no_memory", "segment=%s uid=%u bytes=%" PRIu64 " reason=\"%s\"",
		  segment->name, segment->ownership.uid, bytes, strerror(-error));
	if (!creator)
		return;
	if ((segment->plan.memory & SHMP_MEMORY_HUGE_PAGES) != 0) {
		fail_for_want_of_huge_pages(segment, creator);
		return;
	}
	call_fault(creator, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
		   "%s wants %" PRIu64 " bytes, which could not be reserved: %s", segment->name,
		   bytes, strerror(-error));
}

static void on_reserved(struct segment *segment, int result)
{
	struct call *creator = segment->creator;
	struct list waiting;

	list_init(&waiting);
	list_move_all(&segment->waiting, &waiting);
	segment->creator = NULL;
	if (creator)
		creator->making = NULL;
	if (result == 0 && segment->parent && !segment->parent->is_linked)
		result = -ENOENT;
	if (segment_lost_creator(segment))
		result = -ECANCELED;
	if (result == 0)
		result = segment_complete(segment);
	if (result < 0) {
		fail(segment, creator, result);
		segment_unlink(segment);
	} else {
		event_emit(segment->broker,
			   &(struct event){ .kind = "created",
					    .who = creator ? call_client(creator) : NULL,
					    .segment = segment->name });
		if (creator)
			answer(creator, segment, true);
	}
	retry_waiting(&waiting);
}

static bool check_owner(struct call *call, const struct request *request)
{
	const struct credentials *who = &call_client(call)->credentials;

	if (policy_may_give(who, request->owner.uid, request->owner.gid))
		return true;
	if (who->uid != request->owner.uid)
		call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = request->name },
			   "owner: user %u may not create %s for user %u, only root may", who->uid,
			   request->name, request->owner.uid);
	else
		call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = request->name },
			   "group: user %u may not give %s to group %u, only its members may",
			   who->uid, request->name, request->owner.gid);
	return false;
}

static bool check_rights(struct call *call, const char *name)
{
	const struct policy *policy = &call_broker(call)->options->policy;
	const struct credentials *who = &call_client(call)->credentials;
	const struct policy_rule *rule = policy_rule_for(policy, name);

	if (policy_may_create(policy, who, name))
		return true;
	call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = name },
		   "user %u may not create %s: the configuration keeps \"%s\" for others", who->uid,
		   name, rule ? rule->prefix : "");
	return false;
}

static void answer_lack(struct call *call, const struct request *request, enum nest_lack lack)
{
	const struct segment *parent = request->parent;
	const struct nest *nest = parent->nest;
	bool is_control = lack == NEST_LACK_CONTROL;
	const struct heap *heap = is_control ? &nest->control : &nest->data;

	if (lack == NEST_LACK_ENTRY)
		call_fault(call, SHMP_FAULT_QUOTA, &(struct about){ .limit_name = "entries" },
			   "%s has %" PRIu32 " objects, as many as its table has entries: unlink "
			   "one, or make an arena with more (entries)",
			   parent->name, nest->used);
	else
		call_fault(
			call, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
			"%s wants %" PRIu64 " bytes of %s's %s; %" PRIu64
			" are free, at most %" PRIu64
			" in one piece: unlink some objects, or make an arena with more (%s_bytes)",
			request->name,
			is_control ? request->plan.ctl_bytes : request->plan.data_bytes,
			parent->name, is_control ? "control" : "data", heap->free_bytes,
			heap_largest(heap), is_control ? "control" : "data");
}

static bool check_parent_rights(struct call *call, const struct request *request)
{
	const struct credentials *who = &call_client(call)->credentials;
	const struct segment *parent = request->parent;

	if (policy_may_write(who, &parent->ownership))
		return true;
	call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = request->name },
		   "user %u may not create %s: %s is user %u's with mode %04o", who->uid,
		   request->name, parent->name, parent->ownership.uid, parent->ownership.mode);
	return false;
}

/* Then on_reserved is called, now or later. 0 or -errno. */
static int clear(struct segment *segment)
{
	if (segment_bytes(segment) > CLEAR_AT_ONCE)
		return reserve_start(segment, on_reserved);
	on_reserved(segment, shmp_segment_clear(&segment->fds, &segment->plan));
	return 0;
}

static void begin_inside(struct call *call, struct request *request)
{
	struct segment *segment;
	int r;

	if (!check_parent_rights(call, request))
		return;
	r = segment_new_inside(request->parent, request->name, request->kind, &request->plan,
			       &segment);
	if (r > 0)
		answer_lack(call, request, (enum nest_lack)r);
	else if (r < 0)
		answer_failure(call, request, r, QUOTA_SEGMENTS);
	if (r != 0)
		return;
	segment->tag = request->tag;
	segment->init = request->init;
	segment->init_bytes = request->init_bytes;
	request->init = NULL;
	segment_set_creator(segment, call);
	r = clear(segment);
	if (r == 0)
		return;
	segment->creator = NULL;
	call->making = NULL;
	segment_unlink(segment);
	answer_failure(call, request, r, QUOTA_KINDS);
}

static void begin(struct call *call, struct request *request)
{
	enum quota_kind quota = QUOTA_KINDS;
	struct segment *segment;
	int r;

	if (request->parent) {
		begin_inside(call, request);
		return;
	}
	if (!check_rights(call, request->name) || !check_owner(call, request))
		return;
	r = segment_new(call_broker(call), request->name, request->kind, &request->plan,
			&request->owner, &quota, &segment);
	if (r == 0) {
		segment->tag = request->tag;
		segment->init = request->init;
		segment->init_bytes = request->init_bytes;
		request->init = NULL;
		r = reserve_start(segment, on_reserved);
		if (r < 0)
			segment_unlink(segment);
	}
	if (r < 0) {
		answer_failure(call, request, r, quota);
		return;
	}
	segment_set_creator(segment, call);
}

/* A name that is free, taken, or being made. */
static void take_up(struct call *call, struct request *request)
{
	struct segment *segment = registry_find_claimed(&call_broker(call)->registry,
							request->name);

	if (!segment)
		begin(call, request);
	else if (segment->is_ready)
		answer_existing(call, segment, request);
	else
		list_append(&segment->waiting, &call->waiting);
}

/* Said again, by one who did not get the answer: known by its tag, whatever else it says. */
static bool is_known(struct call *call, const struct request *request)
{
	struct segment *segment = registry_find_claimed(&call_broker(call)->registry,
							request->name);

	if (!segment || request->tag == 0 || segment->tag != request->tag)
		return false;
	if (segment->is_ready)
		answer(call, segment, true);
	else
		list_append(&segment->waiting, &call->waiting);
	return true;
}

void method_create(struct call *call)
{
	struct request request = { .init = NULL };

	if (method_caller_is_dead(call) || !method_name(call, &request.name) ||
	    !call_u64_optional(call, "tag", INT64_MAX, &request.tag))
		return;
	if (!is_known(call, &request) && read_request(call, &request))
		take_up(call, &request);
	free(request.init);
}
