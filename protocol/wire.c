/*
 * Framing and descriptor passing over a stream socket.
 *
 * Input is one buffer [0, in_start) handed out, [in_start, in_parsed) searched, [.., in_used)
 * read. Descriptors wait in a list of arrivals, each with the offset just past the byte it came
 * with. Output is a list of messages.
 */
#include "protocol/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES_FIRST	4096u
#define FOREIGN_FDS_MAX 253u /* SCM_MAX_FD: the most one sendmsg carries */

static_assert(IN_BYTES_FIRST >= FOREIGN_FDS_MAX * sizeof(int), "input buffer holds any arrival");

struct shmp_wire_arrival {
	struct shmp_wire_arrival *next;
	size_t end; /* offset in the input just past the last byte of its recvmsg */
	size_t count;
	int fds[SHMP_WIRE_FDS_MAX];
};

struct shmp_wire_output {
	struct shmp_wire_output *next;
	size_t bytes; /* with the NUL */
	size_t sent;
	size_t fd_count;
	int fds[SHMP_WIRE_FDS_MAX];
	bool close_fds;
	char text[];
};

union control_buffer {
	char bytes[CMSG_SPACE(FOREIGN_FDS_MAX * sizeof(int))];
	struct cmsghdr aligned;
};

void shmp_wire_close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

void shmp_wire_init(struct shmp_wire *wire, int fd, size_t message_bytes_max, bool takes_fds)
{
	*wire = SHMP_WIRE_NULL;
	wire->fd = fd;
	wire->message_bytes_max = message_bytes_max;
	wire->takes_fds = takes_fds;
}

static void free_arrival(struct shmp_wire_arrival *arrival)
{
	shmp_wire_close_fds(arrival->fds, arrival->count);
	free(arrival);
}

static void free_output(struct shmp_wire_output *output)
{
	if (output->close_fds)
		shmp_wire_close_fds(output->fds, output->fd_count);
	free(output);
}

void shmp_wire_deinit(struct shmp_wire *wire)
{
	while (wire->in_arrivals) {
		struct shmp_wire_arrival *arrival = wire->in_arrivals;

		wire->in_arrivals = arrival->next;
		free_arrival(arrival);
	}
	while (wire->out_first) {
		struct shmp_wire_output *output = wire->out_first;

		wire->out_first = output->next;
		free_output(output);
	}
	shmp_wire_close_fds(wire->foreign_fds, wire->foreign_count);
	free(wire->foreign_fds);
	free(wire->in);
	if (wire->fd >= 0)
		close(wire->fd);
	*wire = SHMP_WIRE_NULL;
}

/* Input. */

static void in_drop(struct shmp_wire *wire)
{
	free(wire->in);
	wire->in = NULL;
	wire->in_size = 0;
	wire->in_used = 0;
	wire->in_start = 0;
	wire->in_parsed = 0;
}

/* Moves the rest of the input to the front. */
static void in_compact(struct shmp_wire *wire)
{
	if (wire->in_start == 0)
		return;
	memmove(wire->in, wire->in + wire->in_start, wire->in_used - wire->in_start);
	for (struct shmp_wire_arrival *a = wire->in_arrivals; a; a = a->next)
		a->end -= wire->in_start;
	wire->in_used -= wire->in_start;
	wire->in_parsed -= wire->in_start;
	wire->in_start = 0;
}

/* Room for at least one more byte, without ever holding more than the longest message. */
static int in_reserve(struct shmp_wire *wire)
{
	size_t size_max = wire->message_bytes_max + 1;
	size_t size = wire->in_size ? 2 * wire->in_size : IN_BYTES_FIRST;
	char *in;

	if (size_max < IN_BYTES_FIRST)
		size_max = IN_BYTES_FIRST;
	in_compact(wire);
	if (wire->in_used > wire->message_bytes_max)
		return -EMSGSIZE; /* nothing in it ends a message: see receive's contract */
	if (wire->in_used < wire->in_size)
		return 0;
	in = realloc(wire->in, size < size_max ? size : size_max);
	if (!in)
		return -ENOMEM;
	wire->in = in;
	wire->in_size = size < size_max ? size : size_max;
	return 0;
}

/* Copies every descriptor that came; returns how many. */
static size_t fds_of(struct msghdr *header, int *ret_fds)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		assert(count + bytes / sizeof(int) <= FOREIGN_FDS_MAX);
		memcpy(ret_fds + count, CMSG_DATA(c), bytes);
		count += bytes / sizeof(int);
	}
	return count;
}

/* The input is worthless now: its buffer carries them, so that this cannot fail. */
static void keep_foreign(struct shmp_wire *wire, const int *fds, size_t count)
{
	wire->foreign_fds = (int *)(void *)wire->in;
	wire->foreign_count = count;
	memcpy(wire->in, fds, count * sizeof(*fds));
	wire->in = NULL;
	in_drop(wire);
}

static int keep_arrival(struct shmp_wire *wire, const int *fds, size_t count)
{
	struct shmp_wire_arrival **end = &wire->in_arrivals;
	struct shmp_wire_arrival *arrival = calloc(1, sizeof(*arrival));

	if (!arrival) {
		shmp_wire_close_fds(fds, count);
		return -ENOMEM;
	}
	arrival->end = wire->in_used;
	arrival->count = count;
	memcpy(arrival->fds, fds, count * sizeof(*fds));
	while (*end)
		end = &(*end)->next;
	*end = arrival;
	return 0;
}

/* Settles the descriptors of one recvmsg, in_used already counting its bytes. */
static int in_take_fds(struct shmp_wire *wire, struct msghdr *header)
{
	int fds[FOREIGN_FDS_MAX];
	size_t count = fds_of(header, fds);
	bool is_cut = header->msg_flags & MSG_CTRUNC; /* other bits are set as well: test bits */

	if (!wire->takes_fds && count > 0)
		keep_foreign(wire, fds, count);
	else if (count > 0 && (is_cut || count > SHMP_WIRE_FDS_MAX))
		shmp_wire_close_fds(fds, count);
	else if (count > 0)
		return keep_arrival(wire, fds, count);
	return count > 0 || is_cut ? -EBADMSG : 0;
}

int shmp_wire_receive(struct shmp_wire *wire)
{
	union control_buffer control;
	struct iovec iov;
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;
	int r;

	assert(wire->in_parsed == wire->in_used);
	r = in_reserve(wire);
	if (r < 0)
		return r;
	iov.iov_base = wire->in + wire->in_used;
	iov.iov_len = wire->in_size - wire->in_used;
	do {
		got = recvmsg(wire->fd, &header, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		r = errno == ECONNRESET ? -EPIPE : -errno;
		if (wire->in_used == 0)
			in_drop(wire);
		return r;
	}
	wire->in_used += (size_t)got;
	r = in_take_fds(wire, &header);
	return r < 0 || got > 0 ? r : -EPIPE;
}

/* Descriptors of the message that ends before @end. Two arrivals in one are out of place. */
static int in_give_fds(struct shmp_wire *wire, size_t end, struct shmp_wire_message *message)
{
	struct shmp_wire_arrival *arrival = wire->in_arrivals;

	message->fd_count = 0;
	if (!arrival || arrival->end > end)
		return 0;
	if (arrival->next && arrival->next->end <= end)
		return -EBADMSG;
	wire->in_arrivals = arrival->next;
	memcpy(message->fds, arrival->fds, sizeof(message->fds));
	message->fd_count = arrival->count;
	free(arrival);
	return 0;
}

int shmp_wire_next(struct shmp_wire *wire, struct shmp_wire_message *ret_message)
{
	size_t unread = wire->in_used - wire->in_parsed;
	char *nul = unread ? memchr(wire->in + wire->in_parsed, '\0', unread) : NULL;
	struct shmp_wire_message message = { .fd_count = 0 };
	int r;

	if (!nul) {
		wire->in_parsed = wire->in_used;
		if (wire->in_start == wire->in_used)
			in_drop(wire);
		return 1;
	}
	message.text = wire->in + wire->in_start;
	message.bytes = (size_t)(nul - message.text);
	if (message.bytes > wire->message_bytes_max)
		return -EMSGSIZE;
	wire->in_parsed = (size_t)(nul - wire->in) + 1;
	wire->in_start = wire->in_parsed;
	r = in_give_fds(wire, wire->in_start, &message);
	if (r == 0)
		*ret_message = message;
	return r;
}

size_t shmp_wire_take_foreign(struct shmp_wire *wire, int **ret_fds)
{
	size_t count = wire->foreign_count;

	if (count > 0)
		*ret_fds = wire->foreign_fds;
	wire->foreign_fds = NULL;
	wire->foreign_count = 0;
	return count;
}

/* Output. */

int shmp_wire_queue(struct shmp_wire *wire, const char *text, size_t bytes, const int *fds,
		    size_t fd_count, bool close_fds)
{
	struct shmp_wire_output *output = text ? malloc(sizeof(*output) + bytes + 1) : NULL;

	assert(fd_count <= SHMP_WIRE_FDS_MAX);
	if (!output) {
		if (close_fds)
			shmp_wire_close_fds(fds, fd_count);
		return -ENOMEM;
	}
	output->next = NULL;
	output->bytes = bytes + 1;
	output->sent = 0;
	output->fd_count = fd_count;
	output->close_fds = close_fds;
	if (fd_count > 0)
		memcpy(output->fds, fds, fd_count * sizeof(*fds));
	memcpy(output->text, text, bytes);
	output->text[bytes] = '\0';

	if (wire->out_last)
		wire->out_last->next = output;
	else
		wire->out_first = output;
	wire->out_last = output;
	wire->out_bytes += output->bytes;
	return 0;
}

static void attach_fds(struct msghdr *header, union control_buffer *control, const int *fds,
		       size_t count)
{
	struct cmsghdr *c;

	header->msg_control = control->bytes;
	header->msg_controllen = CMSG_SPACE(count * sizeof(*fds));
	memset(control->bytes, 0, header->msg_controllen);
	c = CMSG_FIRSTHDR(header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(*fds));
	memcpy(CMSG_DATA(c), fds, count * sizeof(*fds));
}

/* One sendmsg of one message: descriptors with its first byte, the rest without. */
static int send_some(struct shmp_wire *wire, struct shmp_wire_output *output)
{
	union control_buffer control;
	struct iovec iov = {
		.iov_base = output->text + output->sent,
		.iov_len = output->bytes - output->sent,
	};
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (output->sent == 0 && output->fd_count > 0)
		attach_fds(&header, &control, output->fds, output->fd_count);
	do {
		sent = sendmsg(wire->fd, &header, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	output->sent += (size_t)sent;
	wire->out_bytes -= (size_t)sent;
	return 0;
}

int shmp_wire_send_now(struct shmp_wire *wire, const char *text, size_t bytes)
{
	ssize_t sent;

	if (wire->out_first)
		return -EAGAIN;
	do {
		sent = send(wire->fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == bytes ? 0 : -EPIPE;
}

int shmp_wire_flush(struct shmp_wire *wire)
{
	while (wire->out_first) {
		struct shmp_wire_output *output = wire->out_first;
		int r = send_some(wire, output);

		if (r < 0)
			return r;
		if (output->sent < output->bytes)
			continue;
		wire->out_first = output->next;
		if (!wire->out_first)
			wire->out_last = NULL;
		free_output(output);
	}
	return 0;
}
