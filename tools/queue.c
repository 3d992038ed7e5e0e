#include "tools/queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/stop.h"
#include "tools/text.h"
#include "tools/units.h"

#define SLICE_NS   INT64_C(200000000) /* how late a signal may be noticed in the library's waits */
#define KIND_BYTES 32

static int code_of(enum shmc_result result)
{
	switch (result) {
	case SHMC_BROKER_LOST:
		return EXIT_NO_BROKER;
	case SHMC_PEER_DEAD:
	case SHMC_CLOSED:
		return EXIT_PEER;
	case SHMC_TIMEOUT:
		return EXIT_TIMEOUT;
	default:
		return EXIT_REFUSED;
	}
}

int queue_report_error(const struct shmc_error *error)
{
	return report(code_of(error->result), shmc_result_name(error->result), "%s", error->text);
}

int queue_report(const struct queue *queue, const char *what, enum shmc_result result)
{
	return report(code_of(result), shmc_result_name(result), "%s '%s': %s", what, queue->name,
		      shmc_result_text(result));
}

static int connect_client(struct queue *queue)
{
	char room[CONTROL_PATH_BYTES];
	struct shmc_client_options options = {
		.address = control_client_path(queue->options, room),
		.name = queue->sends ? "shmbrokerctl pub" : "shmbrokerctl sub",
	};
	struct shmc_error error;

	return shmc_connect(&options, &queue->client, &error) == SHMC_OK ?
		       0 :
		       queue_report_error(&error);
}

/* Without a size, whatever is there is as good, of whatever kind. */
static int create(struct queue *queue)
{
	struct shmc_spsc_options options = {
		.capacity_bytes = queue->options->create_bytes,
		.reuse = queue->options->create_bytes != 0,
	};
	struct shmc_error error;
	enum shmc_result result = shmc_spsc_create(queue->client, queue->name, &options, &error);

	if (result == SHMC_EXISTS && !options.reuse)
		return 0;
	return result == SHMC_OK ? 0 : queue_report_error(&error);
}

/*
 * What the control socket knows about it. Whoever may not ask there goes without, and that there is
 * none of the name is said by who opens it.
 */
static int describe(const struct queue *queue, struct shmp_varlink_reply *ret_reply)
{
	struct control control;
	cJSON *parameters;
	int code = control_open_quietly(queue->options, &control);

	if (code)
		return code;
	parameters = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(parameters, "name", queue->name));
	code = control_call_quietly(&control, "org.shmbroker.control.Describe", parameters,
				    ret_reply);
	control_close(&control);
	return code;
}

/* "" when it cannot be had. */
static void ask_kind(const struct queue *queue, char kind[static KIND_BYTES])
{
	struct shmp_varlink_reply reply;
	const cJSON *segment;

	*kind = '\0';
	if (describe(queue, &reply) != 0)
		return;
	segment = cJSON_GetObjectItemCaseSensitive(reply.parameters, "segment");
	snprintf(kind, KIND_BYTES, "%s", show_string(segment, "kind"));
	shmp_varlink_reply_deinit(&reply);
}

/* @about says of what kind it is. */
static int report_kind(const char *about)
{
	char *kinds = must_print("%s", queue_kinds[0].name);
	int code;

	for (size_t i = 1; i < queue_kind_count; i++) {
		char *more = must_print("%s, %s", kinds, queue_kinds[i].name);

		free(kinds);
		kinds = more;
	}
	code = report(EXIT_REFUSED, "MISMATCH",
		      "%s; pub and sub work on %s. What is in any kind is shown by peek and tail, "
		      "values of a record, an array or an atomic by get",
		      about, kinds);
	free(kinds);
	return code;
}

/* @name is not "". What speaks against opening it at all: 0 = nothing. */
static int check_kind(const struct queue *queue, const char *name)
{
	const struct queue_kind *kind = queue_kinds;
	char *about;
	int code;

	while (kind < queue_kinds + queue_kind_count && strcmp(name, kind->name) != 0)
		kind++;
	if (kind == queue_kinds + queue_kind_count) {
		about = must_print("'%s' is of kind %s", queue->name, name);
		code = report_kind(about);
		free(about);
		return code;
	}
	if (queue->options->from == OPTIONS_FROM_PRESET || kind->takes_from)
		return 0;
	return report(EXIT_USAGE, "Usage",
		      "--from: '%s' is of kind %s, whose messages are each taken once, the oldest "
		      "first",
		      queue->name, name);
}

/* As the kind of that name; where it is "", as the first that fits. */
static enum shmc_result open_handle(struct queue *queue, const char *name, struct shmc_error *error)
{
	bool has_from = queue->options->from != OPTIONS_FROM_PRESET;
	enum shmc_result result = SHMC_MISMATCH;

	for (size_t i = 0; i < queue_kind_count && result == SHMC_MISMATCH; i++) {
		const struct queue_kind *kind = &queue_kinds[i];

		if ((*name && strcmp(name, kind->name) != 0) || (has_from && !kind->takes_from))
			continue;
		result = kind->open(queue, error);
		if (result == SHMC_OK)
			queue->kind = kind;
	}
	return result;
}

static int open_any(struct queue *queue)
{
	char name[KIND_BYTES];
	struct shmc_error error = { .result = SHMC_MISMATCH };
	enum shmc_result result;
	int code;

	ask_kind(queue, name);
	code = *name ? check_kind(queue, name) : 0;
	if (code)
		return code;
	result = open_handle(queue, name, &error);
	if (result == SHMC_NOT_FOUND)
		return report(EXIT_REFUSED, "NOT_FOUND",
			      "%s; --create makes it, of kind spsc, and shmbrokerctl create of any "
			      "kind",
			      error.text);
	if (result == SHMC_MISMATCH && !*name)
		return report_kind(error.text);
	return result == SHMC_OK ? 0 : queue_report_error(&error);
}

int queue_open(const struct options *options, bool sends, struct queue *ret_queue)
{
	struct queue queue = {
		.options = options,
		.name = options->arguments[0],
		.sends = sends,
	};
	int code = connect_client(&queue);

	if (code == 0 && options->create)
		code = create(&queue);
	if (code == 0)
		code = open_any(&queue);
	if (code)
		queue_close(&queue);
	else
		*ret_queue = queue;
	return code;
}

void queue_close(struct queue *queue)
{
	if (queue->kind)
		queue->kind->close(queue);
	queue->kind = NULL;
	if (queue->client)
		queue->client = shmc_disconnect(queue->client);
	free(queue->room);
	queue->room = NULL;
}

/* The pid that the broker remembers for a role, 0 when it cannot be had. */
static uint64_t pid_of(const cJSON *segment, const char *role)
{
	const cJSON *endpoint;

	cJSON_ArrayForEach(endpoint, cJSON_GetObjectItemCaseSensitive(segment, "endpoints"))
	{
		if (strcmp(show_string(endpoint, "role"), role) == 0)
			return show_u64(endpoint, "pid");
	}
	return 0;
}

/* Whoever may not ask the control socket gets a report without the pid. */
static uint64_t ask_pid(const struct queue *queue, const char *role)
{
	struct shmp_varlink_reply reply;
	uint64_t pid;

	if (describe(queue, &reply) != 0)
		return 0;
	pid = pid_of(cJSON_GetObjectItemCaseSensitive(reply.parameters, "segment"), role);
	shmp_varlink_reply_deinit(&reply);
	return pid;
}

static int report_gone(const struct queue *queue, enum shmc_result result)
{
	const char *role = queue->sends ? queue->kind->receiver : queue->kind->sender;
	uint64_t pid = ask_pid(queue, role);
	char *who = pid ? must_print(" (pid %" PRIu64 ")", pid) : must_print("%s", "");
	const char *what;
	int code;

	what = queue->sends ? "and the queue is full; what is in it waits for the next one (pub "
			      "--follow stays for it)" :
			      "and all that it published has been received";
	code = report(code_of(result), shmc_result_name(result),
		      "the %s of '%s'%s %s %s; messages moved by this run: %" PRIu64, role,
		      queue->name, who, result == SHMC_PEER_DEAD ? "died" : "left", what,
		      queue->messages);
	free(who);
	return code;
}

enum shmc_result queue_find_broker(struct shmc_client *client, struct shmc_error *ret_error)
{
	enum shmc_result result = shmc_client_check(client, ret_error);
	struct shmc_error error;

	if (result != SHMC_BROKER_LOST)
		return result;
	switch (shmc_client_resume(client, &error)) {
	case SHMC_OK:
		return SHMC_OK;
	case SHMC_STALE:
		*ret_error = error;
		return SHMC_STALE;
	default: /* what came first says more */
		return result;
	}
}

int queue_check_broker(const struct queue *queue)
{
	struct shmc_error error;

	if (queue_find_broker(queue->client, &error) == SHMC_OK)
		return 0;
	return report(code_of(error.result), shmc_result_name(error.result),
		      "%s; messages of '%s' moved by this run: %" PRIu64, error.text, queue->name,
		      queue->messages);
}

static int wait_for_peer(struct queue *queue)
{
	int64_t timeout_ns = queue->options->timeout_ns;
	enum shmc_result result = SHMC_TIMEOUT;

	for (int64_t waited_ns = 0; result == SHMC_TIMEOUT; waited_ns += SLICE_NS) {
		if (stop_code())
			return stop_code();
		if (timeout_ns >= 0 && waited_ns >= timeout_ns)
			return queue_timed_out(queue);
		result = queue->kind->wait_peer(queue, SLICE_NS);
		if (result == SHMC_TIMEOUT && queue_check_broker(queue) != 0)
			return EXIT_NO_BROKER;
	}
	return result == SHMC_OK ? 0 : queue_report(queue, "waiting at", result);
}

int queue_peer_gone(struct queue *queue, enum shmc_result result)
{
	if (queue->options->follow && queue->kind->wait_peer)
		return wait_for_peer(queue);
	if (result == SHMC_CLOSED && !queue->sends)
		return 0;
	return report_gone(queue, result);
}

int queue_timed_out(const struct queue *queue)
{
	char text[UNITS_BYTES];

	return report(EXIT_TIMEOUT, "TIMEOUT", "'%s': nothing happened within %s", queue->name,
		      units_duration((uint64_t)queue->options->timeout_ns, text));
}
