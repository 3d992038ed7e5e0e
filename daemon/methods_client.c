/*
 * org.shmbroker: the session, what there is to make, and doorbells. Opening and closing segments
 * is in methods_create.c, methods_unlink.c and methods_attach.c.
 */
#include "daemon/methods_client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "config.h"
#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/liveness.h"
#include "daemon/place.h"
#include "daemon/segment.h"
#include "daemon/session.h"
#include "protocol/doorbell.h"
#include "protocol/interfaces.h"
#include "protocol/name.h"

bool method_name(struct call *call, const char **ret_name)
{
	const char *why;

	if (!call_string(call, "name", ret_name))
		return false;
	why = shmp_name_check(*ret_name);
	if (!why)
		return true;
	call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "name" },
		   "\"%.300s\" is no name: %s", *ret_name, why);
	return false;
}

struct segment *method_segment(struct call *call, const char *name)
{
	struct segment *segment = registry_find(&call_broker(call)->registry, name);

	if (!segment)
		call_fault(call, SHMP_FAULT_NOT_FOUND, &(struct about){ .name = name },
			   "there is no segment %s", name);
	return segment;
}

void method_answer_dead(struct call *call)
{
	call_fault(call, SHMP_FAULT_STALE, &(struct about){ .name = NULL },
		   "the caller, process %d, has ended", call_client(call)->credentials.pid);
}

/* What is said oneway nobody waits for. */
bool method_caller_is_dead(struct call *call)
{
	int pidfd = call_client(call)->pidfd;

	if (call->message.oneway || pidfd < 0 || !liveness_is_over(pidfd))
		return false;
	method_answer_dead(call);
	return true;
}

/* Hello. */

static bool is_client_name(const char *name)
{
	if (strlen(name) > CLIENT_NAME_MAX)
		return false;
	for (; *name; name++) {
		if (*name < 0x20 || *name > 0x7e || *name == '"' || *name == '\\')
			return false;
	}
	return true;
}

static bool hello_name(struct call *call)
{
	struct client *client = call_client(call);
	const char *name = client->name;

	if (!call_string_optional(call, "name", &name))
		return false;
	if (!is_client_name(name)) {
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "name" },
			   "a client's name is at most %u printable characters without \" and \\",
			   CLIENT_NAME_MAX);
		return false;
	}
	memmove(client->name, name, strlen(name) + 1);
	return true;
}

/* Kernels before 6.5 do not tell who is there. */
static bool hello_identify(struct call *call)
{
	struct client *client = call_client(call);
	uint64_t start_time = 0;

	if (!call_u64_optional(call, "start_time", INT64_MAX, &start_time))
		return false;
	if (client->pidfd >= 0 || start_time == 0)
		return true;
	if (client_identify(client, start_time) == 0)
		return true;
	call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "start_time" },
		   "process %d did not start at %" PRIu64 ", or the broker cannot see it",
		   client->credentials.pid, start_time);
	return false;
}

/*
 * Of what an earlier connection or an earlier broker gave it, the client has only what it lists:
 * the answer to an Attach may have been lost. It has not touched the others. One that it is about to
 * ask for again it gets by that: who saw it come must not see it go.
 */
static void keep_held(struct client *client, const cJSON *held, bool opening)
{
	const cJSON *item;

	for (size_t i = 0; i < client->attachment_count; i++)
		client->attachments[i]->is_held = false;
	cJSON_ArrayForEach(item, held)
	{
		struct attachment *attachment = attachment_find(client,
								(uint64_t)item->valuedouble);

		if (attachment)
			attachment->is_held = true;
	}
	for (size_t i = client->attachment_count; i > 0; i--) {
		struct attachment *attachment = client->attachments[i - 1];

		attachment->is_unheard = !attachment->is_held && opening;
		if (!attachment->is_held && !opening)
			attachment_close(attachment, false);
	}
}

/* Takes up an earlier client's session if this is its process. */
static bool hello_resume(struct call *call, bool *ret_resumed)
{
	struct session *session = call_session(call);
	struct client *fresh = session->client, *earlier;
	const char *token = NULL;
	const cJSON *held = NULL;
	bool opening = false;

	if (!call_string_optional(call, "resume", &token) ||
	    !call_array_optional(call, "held", &held) ||
	    !call_bool_optional(call, "opening", &opening))
		return false;
	earlier = token ? client_find(session->broker, token) : NULL;
	if (!earlier || earlier == fresh)
		return true;
	if (fresh->attachment_count > 0 || !client_is_same_process(earlier, fresh)) {
		call_fault(
			call, SHMP_FAULT_DENIED, &(struct about){ .name = "" },
			"a session is taken up by its own process only, before it opens anything");
		return false;
	}
	client_move(earlier, session);
	*ret_resumed = true;
	if (held)
		keep_held(earlier, held, opening);
	return true;
}

static void hello(struct call *call)
{
	bool has_membarrier = false, resumed = false;
	struct client *client;
	cJSON *reply;

	if (!call_bool_optional(call, "membarrier", &has_membarrier) || !hello_identify(call) ||
	    !hello_resume(call, &resumed) || !hello_name(call))
		return;
	client = call_client(call);
	client->has_membarrier = has_membarrier;
	reply = cJSON_CreateObject();
	shmp_json_add_text(reply, "version", SHMBROKER_VERSION);
	shmp_json_add_text(reply, "epoch", call_broker(call)->epoch);
	shmp_json_add_text(reply, "session", client->token);
	shmp_json_add_bool(reply, "resumed", resumed);
	shmp_json_add_i64(reply, "pid", client->credentials.pid);
	call_reply(call, reply);
}

static void leave(struct call *call)
{
	client_leave(call_client(call));
	call_session(call)->is_ending = true;
	call_done(call);
}

/* Kinds. */

static cJSON *option_object(const struct shmp_option *option)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_text(object, "name", option->name);
	shmp_json_add_text(object, "help", option->help);
	shmp_json_add_u64(object, "min", option->min);
	shmp_json_add_u64(object, "max", option->max);
	shmp_json_add_u64(object, "default", option->preset);
	return object;
}

static cJSON *kind_object(const struct shmp_kind *kind)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *list;

	shmp_json_add_text(object, "name", kind->name);
	shmp_json_add_u64(object, "version", kind->version);
	list = shmp_json_add_array(object, "roles");
	for (size_t i = 0; i < kind->role_count; i++)
		shmp_json_append(list, cJSON_CreateString(kind->roles[i].name));
	list = shmp_json_add_array(object, "options");
	for (size_t i = 0; i < kind->option_count; i++)
		shmp_json_append(list, option_object(&kind->options[i]));
	return object;
}

static void kinds(struct call *call)
{
	cJSON *reply = cJSON_CreateObject();
	cJSON *list = shmp_json_add_array(reply, "kinds");

	for (size_t i = 0; i < shmp_kind_count; i++)
		shmp_json_append(list, kind_object(shmp_kinds[i]));
	call_reply(call, reply);
}

/* Doorbells. */

struct attachment *method_attachment(struct call *call)
{
	struct attachment *attachment;
	uint64_t id;

	if (!call_u64(call, "id", INT64_MAX, &id))
		return NULL;
	attachment = attachment_find(call_client(call), id);
	if (!attachment)
		call_fault(call, SHMP_FAULT_STALE, &(struct about){ .name = NULL },
			   "this session has nothing open under id %" PRIu64, id);
	return attachment;
}

bool method_own_endpoint(struct call *call, const struct attachment *attachment)
{
	bool observes = attachment_observes(attachment);
	int64_t endpoint, incarnation;

	if (!call_i64(call, "endpoint", -1, SHMP_ENDPOINTS_MAX, &endpoint) ||
	    !call_i64(call, "incarnation", 0, INT64_MAX, &incarnation))
		return false;
	if (endpoint != (observes ? -1 : (int64_t)attachment->place)) {
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "endpoint" },
			   "endpoint %" PRId64 " of %s is not held under this id", endpoint,
			   attachment->segment->name);
		return false;
	}
	if (observes ||
	    (uint64_t)incarnation == attachment->segment->places[attachment->place].incarnation)
		return true;
	call_fault(call, SHMP_FAULT_STALE, &(struct about){ .name = NULL },
		   "incarnation %" PRId64 " of endpoint %" PRId64 " of %s is over", incarnation,
		   endpoint, attachment->segment->name);
	return false;
}

/* Adds a descriptor to @fds and its index to @reply. 0 or -errno. */
static int add_bell(cJSON *reply, const char *key, int bell, int *fds, size_t *count)
{
	/* the reply may wait to be sent while the place's holder dies: it takes a duplicate */
	int fd = fcntl(bell, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	shmp_json_add_u64(reply, key, *count);
	fds[(*count)++] = fd;
	return 0;
}

/* @poll may be -1: only the ringing end is asked for. */
static void reply_bell(struct call *call, cJSON *reply, int poll, int ring)
{
	size_t count = 0;
	int fds[2];
	int r = poll < 0 ? 0 : add_bell(reply, "poll", poll, fds, &count);

	if (r == 0)
		r = add_bell(reply, "ring", ring, fds, &count);
	if (r == 0) {
		call_reply_fds(call, reply, fds, count, true);
		return;
	}
	shmp_wire_close_fds(fds, count);
	cJSON_Delete(reply);
	call_broken(call, r);
}

static void make_doorbell(struct call *call)
{
	struct attachment *attachment = method_attachment(call);
	const struct place *place;
	int r;

	if (!attachment || !method_own_endpoint(call, attachment))
		return;
	if (attachment_observes(attachment)) {
		call_fault(call, SHMP_FAULT_UNSUPPORTED, &(struct about){ .name = NULL },
			   "an observer has no doorbell");
		return;
	}
	r = place_make_bell(attachment->segment, attachment->place);
	place = &attachment->segment->places[attachment->place];
	if (r < 0)
		call_broken(call, r);
	else
		reply_bell(call, cJSON_CreateObject(), place->poll_fd, place->ring_fd);
}

/* A counterpart's place; observers ring nobody. */
static struct place *method_counterpart(struct call *call)
{
	struct attachment *attachment = method_attachment(call);
	struct segment *segment;
	uint64_t endpoint;

	if (!attachment || !call_u64(call, "endpoint", SHMP_ENDPOINTS_MAX, &endpoint))
		return NULL;
	segment = attachment->segment;
	if (endpoint >= segment->plan.endpoint_count) {
		call_fault(call, SHMP_FAULT_INVALID, &(struct about){ .parameter = "endpoint" },
			   "%s has endpoints 0 to %" PRIu32, segment->name,
			   segment->plan.endpoint_count - 1);
		return NULL;
	}
	if (attachment_observes(attachment)) {
		call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = segment->name },
			   "an observer of %s rings nobody", segment->name);
		return NULL;
	}
	return &segment->places[endpoint];
}

static void take_doorbell(struct call *call)
{
	struct place *place = method_counterpart(call);
	cJSON *reply;

	if (!place)
		return;
	if (place->ring_fd < 0) {
		call_fault(call, SHMP_FAULT_NOT_FOUND, &(struct about){ .name = "" },
			   "this endpoint has no doorbell");
		return;
	}
	reply = cJSON_CreateObject();
	shmp_json_add_u64(reply, "incarnation", place->incarnation);
	reply_bell(call, reply, -1, place->ring_fd);
}

static void ring(struct call *call)
{
	struct place *place = method_counterpart(call);

	if (!place)
		return;
	if (place->ring_fd >= 0)
		shmp_doorbell_ring(place->ring_fd);
	call_done(call);
}

static const struct method methods[] = {
	{ "Hello", "name membarrier start_time resume held opening", hello },
	{ "Create", "name kind options mode reuse owner group huge_pages prefault mlock init tag",
	  method_create },
	{ "Attach", "name kind role kind_version options", method_attach },
	{ "Detach", "id endpoint incarnation", method_detach },
	{ "Unlink", "name tag", method_unlink },
	{ "Kinds", "", kinds },
	{ "MakeDoorbell", "id endpoint incarnation", make_doorbell },
	{ "TakeDoorbell", "id endpoint", take_doorbell },
	{ "Ring", "id endpoint", ring },
	{ "Leave", "", leave },
};

const struct interface interface_client = {
	.name = "org.shmbroker",
	.text = shmp_interface_client,
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(methods[0]),
};
