#include "daemon/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/broker.h"
#include "daemon/segment.h"
#include "daemon/session.h"

#define SERVICE_PREFIX "org.varlink.service."

void call_init(struct call *call)
{
	memset(call, 0, sizeof(*call));
	call->message = SHMP_VARLINK_CALL_NULL;
	list_init(&call->waiting);
}

void call_abandon(struct call *call)
{
	if (call->making)
		call->making->creator = NULL;
	call->making = NULL;
	list_remove(&call->waiting);
	shmp_varlink_call_deinit(&call->message);
	call->is_active = false;
}

struct session *call_session(struct call *call)
{
	return list_entry(call, struct session, call);
}

struct broker *call_broker(struct call *call)
{
	return call_session(call)->broker;
}

struct client *call_client(struct call *call)
{
	return call_session(call)->client;
}

/* @r: what queueing the answer said. */
static void finish(struct call *call, int r)
{
	struct session *session = call_session(call);
	bool was_waiting = call->is_waiting;

	shmp_varlink_call_deinit(&call->message);
	call->is_active = false;
	call->is_waiting = false;
	if (r < 0)
		session_close(session);
	else if (was_waiting)
		traffic_wake(session);
}

void call_reply_fds(struct call *call, cJSON *parameters, const int *fds, size_t fd_count,
		    bool close_fds)
{
	struct session *session = call_session(call);
	int r = 0;

	assert(fd_count <= CALL_FDS_MAX);
	if (!call->message.oneway) {
		r = parameters ? shmp_varlink_queue_reply(&session->wire, parameters, false, fds,
							  fd_count, close_fds) :
				 -ENOMEM;
		if (!parameters && close_fds)
			shmp_wire_close_fds(fds, fd_count);
		session->unread_fds += fd_count;
	} else if (close_fds) {
		shmp_wire_close_fds(fds, fd_count);
	}
	cJSON_Delete(parameters);
	finish(call, r);
}

void call_reply(struct call *call, cJSON *parameters)
{
	call_reply_fds(call, parameters, NULL, 0, false);
}

void call_done(struct call *call)
{
	struct session *session = call_session(call);
	int r = 0;

	if (!call->message.oneway)
		r = shmp_varlink_queue_reply(&session->wire, NULL, false, NULL, 0, false);
	finish(call, r);
}

int call_continue(struct call *call, const cJSON *parameters)
{
	struct session *session = call_session(call);
	int r;

	if (call->message.oneway)
		return 0;
	if (!parameters)
		return -ENOMEM;
	r = shmp_varlink_queue_reply(&session->wire, parameters, true, NULL, 0, false);
	traffic_wake(session);
	return r;
}

void call_error(struct call *call, const char *error, cJSON *parameters)
{
	struct session *session = call_session(call);
	int r = 0;

	session->broker->counters.errors++;
	if (!call->message.oneway)
		r = parameters ? shmp_varlink_queue_error(&session->wire, error, parameters) :
				 -ENOMEM;
	cJSON_Delete(parameters);
	finish(call, r);
}

void call_invalid(struct call *call, const char *parameter)
{
	cJSON *parameters = cJSON_CreateObject();

	shmp_json_add_text(parameters, "parameter", parameter);
	call_error(call, SERVICE_PREFIX "InvalidParameter", parameters);
}

static void add_text(cJSON *object, const char *key, const char *text)
{
	if (text)
		shmp_json_add_text(object, key, text);
}

static cJSON *object_of(const struct about *about, const char *message)
{
	cJSON *object = cJSON_CreateObject();

	add_text(object, "name", about->name);
	add_text(object, "parameter", about->parameter);
	add_text(object, "role", about->role);
	add_text(object, "limit", about->limit_name);
	if (about->has_pid)
		shmp_json_add_i64(object, "pid", about->pid);
	if (about->has_limit)
		shmp_json_add_u64(object, "limit", about->limit);
	add_text(object, "message", message);
	return object;
}

/* A peer's text may have been cut within a character. */
static void make_ascii(char *text)
{
	for (; *text; text++) {
		if (*text & 0x80)
			*text = '?';
	}
}

/* Somebody was kept out: worth an event, be it policy or limit. */
static bool is_refusal(enum shmp_fault fault)
{
	return fault == SHMP_FAULT_DENIED || fault == SHMP_FAULT_QUOTA ||
	       fault == SHMP_FAULT_NO_SPACE;
}

void call_fault(struct call *call, enum shmp_fault fault, const struct about *about,
		const char *format, ...)
{
	char message[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	make_ascii(message);
	if (is_refusal(fault))
		event_emit(call_broker(call), &(struct event){ .kind = "refused",
							       .who = call_client(call),
							       .segment = about->name,
							       .message = message });
	call_error(call, shmp_fault_error(fault), object_of(about, message));
}

static void answer_no_descriptors(struct call *call, const char *what)
{
	struct rlimit limit = { .rlim_cur = 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	call_fault(call, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
		   "the broker %s, of which it may have %llu (RLIMIT_NOFILE): remove segments that "
		   "nobody uses, or raise its limit (LimitNOFILE=, ulimit -Hn) and restart it",
		   what, (unsigned long long)limit.rlim_cur);
}

void call_broken(struct call *call, int error)
{
	if (error == -EMFILE)
		answer_no_descriptors(call, "has no descriptors left");
	else if (error == -ETOOMANYREFS)
		answer_no_descriptors(call, "cannot keep more descriptors for the next broker");
	else
		call_fault(call, SHMP_FAULT_NO_SPACE, &(struct about){ .name = NULL },
			   "the broker could not do it: %s", strerror(-error));
}

/* Parameters. */

static bool settle(struct call *call, const char *key, int r, bool optional)
{
	if (r == 0 || (r == 1 && optional))
		return true;
	call_invalid(call, key);
	return false;
}

bool call_string(struct call *call, const char *key, const char **ret_value)
{
	int r = shmp_json_string(call->message.parameters, key, ret_value);

	return settle(call, key, r, false);
}

bool call_string_optional(struct call *call, const char *key, const char **ret_value)
{
	int r = shmp_json_string(call->message.parameters, key, ret_value);

	return settle(call, key, r, true);
}

bool call_u64(struct call *call, const char *key, uint64_t max, uint64_t *ret_value)
{
	int r = shmp_json_u64(call->message.parameters, key, max, ret_value);

	return settle(call, key, r, false);
}

bool call_u64_optional(struct call *call, const char *key, uint64_t max, uint64_t *ret_value)
{
	int r = shmp_json_u64(call->message.parameters, key, max, ret_value);

	return settle(call, key, r, true);
}

bool call_i64(struct call *call, const char *key, int64_t min, int64_t max, int64_t *ret_value)
{
	int r = shmp_json_i64(call->message.parameters, key, min, max, ret_value);

	return settle(call, key, r, false);
}

bool call_bool_optional(struct call *call, const char *key, bool *ret_value)
{
	int r = shmp_json_bool(call->message.parameters, key, ret_value);

	return settle(call, key, r, true);
}

bool call_object_optional(struct call *call, const char *key, const cJSON **ret_value)
{
	int r = shmp_json_object(call->message.parameters, key, ret_value);

	return settle(call, key, r, true);
}

bool call_array_optional(struct call *call, const char *key, const cJSON **ret_value)
{
	int r = shmp_json_array(call->message.parameters, key, ret_value);

	return settle(call, key, r, true);
}
