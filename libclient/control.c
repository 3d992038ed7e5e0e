#include "libclient/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol/waiter.h"

struct shmc__awaited {
	struct shmc__awaited *next;
	shmc__reply_fn fn; /* NULL: nobody cares */
	void *context;
};

/* What a waiting call gets. */
struct control_call {
	bool is_done;
	bool is_lost;
	struct shmc__reply reply;
};

void shmc__reply_deinit(struct shmc__reply *reply)
{
	for (size_t i = 0; i < reply->fd_count; i++) {
		if (reply->fds[i] >= 0)
			close(reply->fds[i]);
	}
	reply->fd_count = 0;
	shmp_varlink_reply_deinit(&reply->varlink);
}

void shmc__control_init(struct shmc__control *control)
{
	*control = (struct shmc__control){ .wire = SHMP_WIRE_NULL, .socket = SHMC__HOLDING_NULL };
}

void shmc__control_open(struct shmc__control *control, struct shmc__holding *socket)
{
	int fd = socket->fd;

	shmc__process_lock();
	shmc__process_release(socket);
	shmc__process_hold_fd(&control->socket, fd);
	shmc__process_unlock();
	shmp_wire_init(&control->wire, fd, SHMP_WIRE_REPLY_BYTES_MAX, true);
}

static struct shmc__awaited *control_take_first(struct shmc__control *control)
{
	struct shmc__awaited *awaited = control->first;

	if (!awaited)
		return NULL;
	control->first = awaited->next;
	if (!control->first)
		control->last = NULL;
	return awaited;
}

static void control_lose_replies(struct shmc__control *control)
{
	struct shmc__awaited *awaited;

	while ((awaited = control_take_first(control))) {
		if (awaited->fn)
			awaited->fn(awaited->context, NULL);
		free(awaited);
	}
}

void shmc__control_close(struct shmc__control *control)
{
	if (shmc__control_is_open(control)) {
		control->wire.fd = -1;
		shmc__process_close_fd(&control->socket);
		shmp_wire_deinit(&control->wire);
	}
	control_lose_replies(control);
}

void shmc__control_abandon(struct shmc__control *control)
{
	struct shmc__awaited *awaited;

	control->wire.fd = -1;
	shmp_wire_deinit(&control->wire);
	while ((awaited = control_take_first(control)))
		free(awaited);
}

static int control_await(struct shmc__control *control, shmc__reply_fn fn, void *context,
			 struct shmc__awaited **ret_awaited)
{
	struct shmc__awaited *awaited = calloc(1, sizeof(*awaited));

	if (!awaited)
		return -ENOMEM;
	awaited->fn = fn;
	awaited->context = context;
	if (control->last)
		control->last->next = awaited;
	else
		control->first = awaited;
	control->last = awaited;
	*ret_awaited = awaited;
	return 0;
}

/* The newest entry, whose call could not be queued. */
static void control_await_not(struct shmc__control *control, struct shmc__awaited *newest)
{
	struct shmc__awaited **at = &control->first;

	control->last = NULL;
	while (*at != newest) {
		control->last = *at;
		at = &(*at)->next;
	}
	*at = NULL;
	free(newest);
}

/* 0 also when some of it has to wait for the socket; -EPIPE, still open: what was said may count. */
static int control_flush(struct shmc__control *control)
{
	int r = shmp_wire_flush(&control->wire);

	return r == 0 || r == -EAGAIN ? 0 : -EPIPE;
}

static int control_queue(struct shmc__control *control, const char *method, const cJSON *parameters,
			 shmc__reply_fn fn, void *context, struct shmc__awaited **ret_awaited)
{
	int r = 0;

	*ret_awaited = NULL;
	if (!shmc__control_is_open(control))
		return -EPIPE;
	if (fn)
		r = control_await(control, fn, context, ret_awaited);
	if (r == 0)
		r = shmp_varlink_queue_call(&control->wire, method, parameters, !fn, false);
	if (r == 0)
		return control_flush(control);
	if (*ret_awaited)
		control_await_not(control, *ret_awaited);
	*ret_awaited = NULL;
	return r;
}

int shmc__control_send_text(struct shmc__control *control, const char *text, size_t bytes)
{
	int r;

	if (!shmc__control_is_open(control))
		return -EPIPE;
	r = shmp_wire_send_now(&control->wire, text, bytes);
	if (r == -EPIPE)
		shmc__control_close(control);
	return r;
}

int shmc__control_send(struct shmc__control *control, const char *method, const cJSON *parameters,
		       shmc__reply_fn fn, void *context)
{
	struct shmc__awaited *awaited;
	int r = control_queue(control, method, parameters, fn, context, &awaited);

	if (r == -EPIPE)
		shmc__control_close(control);
	return r;
}

static int control_hand_out(struct shmc__control *control, struct shmp_wire_message *message)
{
	struct shmc__reply reply = { .fd_count = message->fd_count };
	struct shmc__awaited *awaited = control_take_first(control);
	int r;

	memcpy(reply.fds, message->fds, sizeof(reply.fds));
	r = shmp_varlink_parse_reply(message->text, message->bytes, &reply.varlink);
	/* Nobody asked, or more than one answer was promised: no honest broker does. */
	if (r == 0 && (!awaited || reply.varlink.continues))
		r = -EBADMSG;
	if (awaited && awaited->fn)
		awaited->fn(awaited->context, r == 0 ? &reply : NULL);
	free(awaited);
	shmc__reply_deinit(&reply);
	return r;
}

/* One recvmsg and what it completed. 0, -EAGAIN, or closed. */
static int control_receive(struct shmc__control *control)
{
	struct shmp_wire_message message;
	int r = shmp_wire_receive(&control->wire);

	/* What came before a hang-up counts: next is asked even then. After any other failure what
	 * came may lack its descriptors. */
	while (r == 0 || r == -EPIPE) {
		int next = shmp_wire_next(&control->wire, &message);

		if (next == 0)
			next = control_hand_out(control, &message);
		if (next == 0)
			continue;
		if (next < 0)
			r = next;
		break;
	}
	if (r < 0 && r != -EAGAIN) {
		shmc__control_close(control);
		return r == -EBADMSG || r == -ENOMEM ? r : -EPIPE;
	}
	return r;
}

int shmc__control_collect(struct shmc__control *control)
{
	int r;

	if (!shmc__control_is_open(control))
		return -EPIPE;
	do {
		r = control_receive(control);
	} while (r == 0);
	return r == -EAGAIN ? 0 : r;
}

void shmc__control_forget(struct shmc__control *control, const void *context)
{
	for (struct shmc__awaited *a = control->first; a; a = a->next) {
		if (a->context == context)
			a->fn = NULL;
	}
}

static void control_take_reply(void *context, struct shmc__reply *reply)
{
	struct control_call *call = context;

	call->is_done = true;
	call->is_lost = !reply;
	if (!reply)
		return;
	call->reply = *reply;
	*reply = (struct shmc__reply){ .fd_count = 0 };
}

/* 0 when there may be something to do, -ETIMEDOUT. */
static int control_poll(struct shmc__control *control, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = control->wire.fd, .events = POLLIN };

	if (control->wire.out_bytes > 0)
		poll_fd.events |= POLLOUT;
	for (;;) {
		uint64_t now = shmp_clock_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec timeout = {
			.tv_sec = (time_t)(left / UINT64_C(1000000000)),
			.tv_nsec = (long)(left % UINT64_C(1000000000)),
		};
		int r = ppoll(&poll_fd, 1, &timeout, NULL);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int control_wait(struct shmc__control *control, struct control_call *call,
			uint64_t deadline_ns)
{
	while (!call->is_done) {
		int r = control_poll(control, deadline_ns);

		if (r == 0)
			r = control_flush(control);
		if (r == 0)
			r = control_receive(control);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
	return call->is_lost ? -EPIPE : 0;
}

/* The broker takes nothing any more: it may have said why before it hung up. */
static void control_hear_out(struct shmc__control *control)
{
	while (shmc__control_is_open(control) && control_receive(control) == 0)
		;
	shmc__control_close(control);
}

int shmc__control_call(struct shmc__control *control, const char *method, const cJSON *parameters,
		       uint64_t deadline_ns, shmc__reply_fn late, void *late_context,
		       struct shmc__reply *ret_reply)
{
	struct control_call call = { .is_done = false };
	struct shmc__awaited *awaited;
	int r = control_queue(control, method, parameters, control_take_reply, &call, &awaited);

	if (r == 0)
		r = control_wait(control, &call, deadline_ns);
	if (r == -EPIPE)
		control_hear_out(control);
	if (call.is_done && !call.is_lost) {
		*ret_reply = call.reply;
		return 0;
	}
	if (!call.is_done && awaited) {
		/* still in the queue, and this frame is about to go */
		awaited->fn = late;
		awaited->context = late_context;
	}
	return r;
}
