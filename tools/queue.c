#include "tools/queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/stop.h"
#include "tools/text.h"
#include "tools/units.h"

#define SLICE_NS INT64_C(200000000) /* how late a signal may be noticed in the library's waits */

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
		.name = queue->role == SHMC_SPSC_PRODUCER ? "shmbrokerctl pub" : "shmbrokerctl sub",
	};
	struct shmc_error error;

	return shmc_connect(&options, &queue->client, &error) == SHMC_OK ?
		       0 :
		       queue_report_error(&error);
}

/* Without a size, whatever is there is as good. */
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

static int open_role(struct queue *queue)
{
	struct shmc_spsc_options options;
	struct shmc_error error;
	enum shmc_result result = shmc_spsc_open(queue->client, queue->name, queue->role,
						 &queue->spsc, &error);

	if (result == SHMC_NOT_FOUND)
		return report(EXIT_REFUSED, "NOT_FOUND", "%s; --create makes it", error.text);
	if (result != SHMC_OK)
		return queue_report_error(&error);
	shmc_spsc_options_of(queue->spsc, &options);
	queue->message_bytes_max = options.message_bytes_max;
	return 0;
}

int queue_open(const struct options *options, enum shmc_spsc_role role, struct queue *ret_queue)
{
	struct queue queue = {
		.options = options,
		.name = options->arguments[0],
		.role = role,
	};
	int code = connect_client(&queue);

	if (code == 0 && options->create)
		code = create(&queue);
	if (code == 0)
		code = open_role(&queue);
	if (code)
		queue_close(&queue);
	else
		*ret_queue = queue;
	return code;
}

void queue_close(struct queue *queue)
{
	queue->spsc = shmc_spsc_close(queue->spsc);
	if (queue->client)
		queue->client = shmc_disconnect(queue->client);
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
	struct control control;
	struct shmp_varlink_reply reply;
	cJSON *parameters;
	uint64_t pid = 0;

	if (control_open_quietly(queue->options, &control) != 0)
		return 0;
	parameters = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(parameters, "name", queue->name));
	if (control_call(&control, "org.shmbroker.control.Describe", parameters, &reply) == 0) {
		pid = pid_of(cJSON_GetObjectItemCaseSensitive(reply.parameters, "segment"), role);
		shmp_varlink_reply_deinit(&reply);
	}
	control_close(&control);
	return pid;
}

static int report_gone(const struct queue *queue, enum shmc_result result)
{
	bool is_sender = queue->role == SHMC_SPSC_PRODUCER;
	const char *role = is_sender ? "consumer" : "producer";
	uint64_t pid = ask_pid(queue, role);
	char *who = pid ? must_print(" (pid %" PRIu64 ")", pid) : must_print("%s", "");
	const char *what;
	int code;

	what = is_sender ? "and the queue is full; what is in it waits for the next one (pub "
			   "--follow stays for it)" :
			   "and all that it published has been received";
	code = report(code_of(result), shmc_result_name(result),
		      "the %s of '%s'%s %s %s; messages moved by this run: %" PRIu64, role,
		      queue->name, who, result == SHMC_PEER_DEAD ? "died" : "left", what,
		      queue->messages);
	free(who);
	return code;
}

int queue_check_broker(const struct queue *queue)
{
	struct shmc_error error;

	if (shmc_client_check(queue->client, &error) == SHMC_OK)
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
		result = shmc_spsc_wait_peer(queue->spsc, SLICE_NS);
		if (result == SHMC_TIMEOUT && queue_check_broker(queue) != 0)
			return EXIT_NO_BROKER;
	}
	return result == SHMC_OK ? 0 : queue_report(queue, "waiting at", result);
}

int queue_peer_gone(struct queue *queue, enum shmc_result result)
{
	if (queue->options->follow)
		return wait_for_peer(queue);
	if (result == SHMC_CLOSED && queue->role == SHMC_SPSC_CONSUMER)
		return 0;
	return report_gone(queue, result);
}

int queue_timed_out(const struct queue *queue)
{
	char text[UNITS_BYTES];

	return report(EXIT_TIMEOUT, "TIMEOUT", "'%s': nothing happened within %s", queue->name,
		      units_duration((uint64_t)queue->options->timeout_ns, text));
}
