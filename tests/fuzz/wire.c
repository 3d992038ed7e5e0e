/*
 * Any bytes in pieces of any length: the wire hands out exactly what stands between the NULs, in
 * order, until the first message over the limit. The first byte chooses the pieces.
 */
#include "protocol/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/fuzz.h"

#define LIMIT	  6000u /* more than the first buffer */
#define BYTES_MAX 40000u

/* What is left of the input as it should come out. */
struct expected {
	const uint8_t *data;
	size_t size;
};

static void check_message(struct expected *expected, const struct shmp_wire_message *message)
{
	FUZZ_CHECK(message->bytes < expected->size && message->bytes <= LIMIT);
	FUZZ_CHECK(message->fd_count == 0);
	FUZZ_CHECK(memcmp(expected->data, message->text, message->bytes + 1) == 0);
	expected->data += message->bytes + 1;
	expected->size -= message->bytes + 1;
}

/* Until the socket is empty; -EMSGSIZE ends it. */
static int drain(struct shmp_wire *wire, struct expected *expected)
{
	struct shmp_wire_message message;
	int r;

	do {
		while ((r = shmp_wire_next(wire, &message)) == 0)
			check_message(expected, &message);
		if (r == 1)
			r = shmp_wire_receive(wire);
		FUZZ_CHECK(wire->in_size <= LIMIT + 1);
	} while (r == 0);
	return r;
}

static void run(struct shmp_wire *wire, int sender, const uint8_t *data, size_t size, size_t piece)
{
	struct expected expected = { .data = data, .size = size };
	int r = -EAGAIN;

	for (size_t sent = 0; sent < size && r == -EAGAIN; sent += piece) {
		size_t bytes = piece < size - sent ? piece : size - sent;

		FUZZ_CHECK(send(sender, data + sent, bytes, 0) == (ssize_t)bytes);
		r = drain(wire, &expected);
	}
	if (r == -EMSGSIZE)
		FUZZ_CHECK(strnlen((const char *)expected.data, expected.size) > LIMIT);
	else
		FUZZ_CHECK(r == -EAGAIN && !memchr(expected.data, '\0', expected.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shmp_wire wire;
	int fds[2];

	if (size < 2 || size > BYTES_MAX)
		return 0;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	shmp_wire_init(&wire, fds[0], LIMIT, false);
	/* not more than some hundred pieces: it is their borders that matter, not their number */
	run(&wire, fds[1], data + 1, size - 1, 1 + size / 256 + 37 * (size_t)data[0]);
	shmp_wire_deinit(&wire);
	close(fds[1]);
	return 0;
}
