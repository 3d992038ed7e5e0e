/*
 * The broker's socket with bytes in hand: framing, order, oneway, and what breaks a connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/varlink.h"
#include "tests/support/broker.h"
#include "tests/support/runner.h"

#define INFO	"{\"method\":\"org.varlink.service.GetInfo\"}"
#define UNKNOWN "{\"method\":\"org.example.Nothing\"}"

static void send_all(int fd, const void *bytes, size_t count)
{
	ck_assert_int_eq(send(fd, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
}

#define send_literal(fd, text) send_all(fd, text, sizeof(text))

/* One reply, parsed; false when the broker hung up. */
static bool receive(struct shmp_wire *wire, struct shmp_varlink_reply *ret_reply)
{
	struct shmp_wire_message message;
	int r;

	while ((r = shmp_wire_next(wire, &message)) == 1) {
		r = shmp_wire_receive(wire);
		if (r == -EPIPE)
			return false;
		ck_assert_int_eq(r, 0);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(shmp_varlink_parse_reply(message.text, message.bytes, ret_reply), 0);
	return true;
}

static void expect_error(struct shmp_wire *wire, const char *error)
{
	struct shmp_varlink_reply reply;

	ck_assert(receive(wire, &reply));
	ck_assert_str_eq(reply.error, error);
	shmp_varlink_reply_deinit(&reply);
}

static void expect_hang_up(struct shmp_wire *wire)
{
	struct shmp_varlink_reply reply;

	ck_assert(!receive(wire, &reply));
}

static struct shmp_wire connect_to(const struct shmt_broker *broker)
{
	struct shmp_wire wire;
	int fd = shmt_broker_connect(broker->address);

	ck_assert_int_ge(fd, 0);
	shmp_wire_init(&wire, fd, SHMP_WIRE_REPLY_BYTES_MAX, false);
	return wire;
}

/* Others notice nothing, and the broker ends in good order. */
static void end(struct shmt_broker *broker, struct shmp_wire *wire)
{
	struct shmp_wire other = connect_to(broker);

	send_literal(other.fd, INFO);
	expect_error(&other, "");
	shmp_wire_deinit(&other);
	shmp_wire_deinit(wire);
	shmt_broker_stop(broker);
}

TEST(get_info_is_answered_without_a_hello)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);

	send_literal(wire.fd, INFO);
	expect_error(&wire, "");
	end(&broker, &wire);
}

TEST(pipelined_calls_are_answered_in_order)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);

	for (int i = 0; i < 50; i++)
		send_literal(wire.fd, INFO "\0" UNKNOWN);
	for (int i = 0; i < 50; i++) {
		expect_error(&wire, "");
		expect_error(&wire, "org.varlink.service.InterfaceNotFound");
	}
	end(&broker, &wire);
}

TEST(oneway_calls_get_no_reply_not_even_an_error)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);

	send_literal(wire.fd, "{\"method\":\"org.example.Nothing\",\"oneway\":true}");
	send_literal(wire.fd, "{\"method\":\"org.varlink.service.GetInfo\",\"oneway\":true}");
	send_literal(wire.fd, "{\"method\":\"org.shmbroker.Ring\",\"oneway\":true}");
	send_literal(wire.fd, UNKNOWN);
	expect_error(&wire, "org.varlink.service.InterfaceNotFound");
	end(&broker, &wire);
}

TEST(call_in_single_bytes_is_answered)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);

	for (size_t i = 0; i < sizeof(INFO); i++)
		send_all(wire.fd, &INFO[i], 1);
	expect_error(&wire, "");
	end(&broker, &wire);
}

TEST(broken_framing_closes_the_connection)
{
	static const char *const broken[] = {
		"",
		"nonsense",
		"[]",
		"{}",
		"{\"method\":1}",
		"{\"method\":\"a.B\"} x",
		"{\"method\":\"a.B\",\"parameters\":[]}",
		"{\"method\":\"a\\u0000.B\"}",
		"\xff",
	};
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);

	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		shmp_wire_deinit(&wire);
		wire = connect_to(&broker);
		send_all(wire.fd, broken[i], strlen(broken[i]) + 1);
		expect_hang_up(&wire);
	}
	end(&broker, &wire);
}

TEST(depth_bomb_closes_the_connection)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);
	size_t depth = 30000;
	char *text = calloc(1, 2 * depth + 64);
	char *middle = stpcpy(text, "{\"method\":\"a.B\",\"parameters\":{\"x\":");

	memset(middle, '[', depth);
	memset(middle + depth, ']', depth);
	strcpy(middle + 2 * depth, "}}");
	send_all(wire.fd, text, strlen(text) + 1);
	expect_hang_up(&wire);
	free(text);
	end(&broker, &wire);
}

/* Blanks behind the object are legal: a request of any length can be made. */
static char *padded_info(size_t bytes)
{
	char *text = malloc(bytes + 1);

	memset(text, ' ', bytes);
	memcpy(text, INFO, strlen(INFO));
	text[bytes] = '\0';
	return text;
}

TEST(longest_request_is_answered)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);
	char *text = padded_info(SHMP_WIRE_REQUEST_BYTES_MAX);

	for (int i = 0; i < 3; i++) {
		send_all(wire.fd, text, SHMP_WIRE_REQUEST_BYTES_MAX + 1);
		expect_error(&wire, "");
	}
	free(text);
	end(&broker, &wire);
}

TEST(request_over_the_limit_closes_the_connection)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmp_wire wire = connect_to(&broker);
	char *text = padded_info(SHMP_WIRE_REQUEST_BYTES_MAX + 1);

	send_all(wire.fd, text, SHMP_WIRE_REQUEST_BYTES_MAX + 2);
	expect_hang_up(&wire);
	free(text);
	end(&broker, &wire);
}

SHMT_MAIN
