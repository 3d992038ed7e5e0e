/*
 * Any bytes on either socket: the broker answers each call that is one, once, with a reply that
 * parses, hangs up on what is none, and when its clients are gone holds nothing. The first byte
 * chooses the socket; the rest is what a client sends, NULs and all.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "daemon/segment.h"
#include "daemon/session.h"
#include "protocol/varlink.h"
#include "tests/support/fuzz.h"

#define BYTES_MAX 50000u /* fits the socket: nobody reads while it is written */

static struct broker broker;
static struct options options;

static void begin(void)
{
	static const struct interface *const client[] = { &interface_service, &interface_client,
							  NULL };
	static const struct interface *const control[] = { &interface_service, &interface_control,
							   NULL };

	log_to(-1);
	options_init(&options);
	options.bytes = options.bytes_per_uid = 1u << 20; /* what is larger is refused unmade */
	FUZZ_CHECK(broker_init(&broker, &options) == 0);
	broker.client_listener.broker = broker.control_listener.broker = &broker;
	broker.client_listener.path = broker.control_listener.path = "nowhere";
	broker.client_listener.interfaces = client;
	broker.control_listener.interfaces = control;
}

/* Calls that must be answered, up to the first thing that is none. */
static size_t count_calls(const uint8_t *data, size_t size)
{
	struct shmp_varlink_call call;
	size_t count = 0;

	while (size > 0) {
		const uint8_t *nul = memchr(data, '\0', size);

		if (!nul ||
		    shmp_varlink_parse_call((const char *)data, (size_t)(nul - data), &call) < 0)
			break;
		count += !call.oneway;
		shmp_varlink_call_deinit(&call);
		size -= (size_t)(nul - data) + 1;
		data = nul + 1;
	}
	return count;
}

/* What has come so far; returns how many calls that answers, and says when the broker hung up. */
static size_t read_replies(struct shmp_wire *wire, bool *ret_closed)
{
	struct shmp_wire_message message;
	struct shmp_varlink_reply reply;
	size_t count = 0;
	int r;

	do {
		while ((r = shmp_wire_next(wire, &message)) == 0) {
			FUZZ_CHECK(shmp_varlink_parse_reply(message.text, message.bytes, &reply) ==
				   0);
			count += !reply.continues;
			shmp_varlink_reply_deinit(&reply);
			shmp_wire_close_fds(message.fds, message.fd_count);
		}
		FUZZ_CHECK(r == 1);
		r = shmp_wire_receive(wire);
	} while (r == 0);
	FUZZ_CHECK(r == -EAGAIN || r == -EPIPE);
	*ret_closed = r == -EPIPE;
	return count;
}

/* A monitor goes on after the last byte, as long as it is read. */
static void stop_monitors(void)
{
	while (!list_is_empty(&broker.events.monitors))
		session_close(list_entry(broker.events.monitors.next, struct session, monitor));
}

static size_t talk(struct shmp_wire *wire)
{
	bool is_closed = false;
	size_t count = 0;

	while (!is_closed) {
		uv_run(&broker.loop, UV_RUN_NOWAIT);
		count += read_replies(wire, &is_closed);
		if (list_is_empty(&broker.reserve.running))
			stop_monitors();
	}
	return count;
}

/* This process lives on, so its clients would, too. */
static void forget_clients(void)
{
	while (!list_is_empty(&broker.clients)) {
		struct client *client = list_entry(broker.clients.next, struct client, link);

		client_leave(client);
		client_close(client);
	}
	while (!list_is_empty(&broker.reserve.running))
		uv_run(&broker.loop, UV_RUN_NOWAIT);
	while (broker.registry.count > 0)
		segment_unlink(broker.registry.segments[0]);
	while (broker.quota.user_count > 0)
		uv_run(&broker.loop, UV_RUN_NOWAIT);
}

static bool has(const uint8_t *data, size_t size, const char *word)
{
	return memmem(data, size, word, strlen(word)) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shmp_wire wire;
	size_t answers, calls;
	int pair[2];

	if (!data || size < 1 || size > BYTES_MAX)
		return 0;
	if (!broker.options)
		begin();
	calls = count_calls(data + 1, size - 1);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	shmp_wire_init(&wire, pair[0], SHMP_WIRE_REPLY_BYTES_MAX, true);
	FUZZ_CHECK(send(pair[0], data + 1, size - 1, 0) == (ssize_t)size - 1);
	shutdown(pair[0], SHUT_WR);
	session_new(data[0] & 1 ? &broker.control_listener : &broker.client_listener, pair[1]);
	answers = talk(&wire);
	FUZZ_CHECK(answers <= calls);
	/* these two end a connection before its last call */
	if (!has(data, size, "Leave") && !has(data, size, "Monitor") && !has(data, size, "\\u"))
		FUZZ_CHECK(answers == calls);
	shmp_wire_deinit(&wire);
	forget_clients();
	return 0;
}
