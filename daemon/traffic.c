#include "daemon/traffic.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "daemon/session.h"

#define UNREAD_FDS_MAX	   16u
#define MESSAGE_MEMORY_MIN 512u /* a socket buffer's own size, without any payload */
#define CALLS_PER_TURN	   16
#define RETRY_MS_MIN	   2
#define RETRY_MS_MAX	   512

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);
static void on_turn(uv_idle_t *idle);

/* What to wait for. */

/*
 * Which descriptors have been read the kernel does not say, but how much of its memory is unread:
 * so many messages at most, with so many descriptors each.
 */
static bool may_send_fds(struct session *session)
{
	int unread = 0;
	size_t most;

	if (session->unread_fds < UNREAD_FDS_MAX)
		return true;
	if (ioctl(session->wire.fd, SIOCOUTQ, &unread) < 0)
		return false;
	most = (size_t)unread / MESSAGE_MEMORY_MIN * CALL_FDS_MAX;
	if (session->unread_fds > most)
		session->unread_fds = most;
	return session->unread_fds < UNREAD_FDS_MAX;
}

static bool may_take_call(struct session *session)
{
	return session->has_input && !session->call.is_active && session->wire.out_bytes == 0 &&
	       !session->is_ending && may_send_fds(session);
}

static int wanted_events(struct session *session)
{
	if (session->is_closing)
		return 0;
	if (session->wire.out_bytes > 0)
		return UV_WRITABLE;
	if (session->call.is_active)
		return session->has_hung_up ? 0 : UV_DISCONNECT;
	/* not before the next call is there: who asks again has mostly read what was sent */
	return session->has_input && !may_send_fds(session) ? UV_WRITABLE : UV_READABLE;
}

static void make_ready(struct session *session)
{
	struct traffic *traffic = &session->broker->traffic;

	list_remove(&session->pending);
	list_append(&traffic->ready, &session->pending);
	if (!uv_is_active((uv_handle_t *)&traffic->turn))
		uv_idle_start(&traffic->turn, on_turn);
}

static void watch(struct session *session)
{
	int events = wanted_events(session);

	if (events == UV_READABLE && session->has_input)
		make_ready(session); /* its descriptors have been read just now */
	if (!list_is_empty(&session->pending))
		events = 0; /* it will be called */
	if (events == session->watched)
		return;
	session->watched = events;
	if (events)
		uv_poll_start(&session->poll, events, on_poll);
	else
		uv_poll_stop(&session->poll);
}

static void retry_later(struct session *session)
{
	struct traffic *traffic = &session->broker->traffic;

	list_remove(&session->pending);
	list_append(&traffic->retry, &session->pending);
	/* who has waited long in vain must not delay who has just begun */
	if (uv_is_active((uv_handle_t *)&traffic->timer) &&
	    uv_timer_get_due_in(&traffic->timer) <= RETRY_MS_MIN)
		return;
	traffic->retry_ms = RETRY_MS_MIN;
	uv_timer_start(&traffic->timer, on_timer, traffic->retry_ms, 0);
}

/* Sending and taking calls. */

static void close_for(struct session *session, const char *why)
{
	if (session->client)
		log_event(LOG_NOTICE, "closed", "pid=%d uid=%u reason=\"%s\"",
			  session->client->credentials.pid, session->client->credentials.uid, why);
	session_close(session);
}

/* 0 all sent; 1 not yet; -errno the session is closed. */
static int flush(struct session *session)
{
	int r = shmp_wire_flush(&session->wire);

	if (r == 0) {
		event_drained(session);
		r = shmp_wire_flush(&session->wire);
	}
	if (r == 0)
		return 0;
	if (r == -EAGAIN)
		return 1;
	if (r == -ETOOMANYREFS) {
		retry_later(session);
		return 1;
	}
	session_close(session);
	return r;
}

static void take_call(struct session *session, const struct shmp_wire_message *message)
{
	struct call *call = &session->call;
	int r = shmp_varlink_parse_call(message->text, message->bytes, &call->message);

	session->broker->counters.requests++;
	if (r < 0) {
		close_for(session, "not a Varlink call");
		return;
	}
	call->is_active = true;
	dispatch(call, session->listener->interfaces);
	if (session->is_closing)
		return;
	call->is_waiting = call->is_active;
}

static const char *reason_of(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return "request too long";
	case -EBADMSG:
		return "sent descriptors";
	default:
		return strerror(-error);
	}
}

/* What has arrived already, some calls at a time so that others get their turn. */
static void take_calls(struct session *session)
{
	struct shmp_wire_message message;
	int calls = 0;
	int r = 0;

	while (!session->is_closing && may_take_call(session) && r == 0) {
		if (calls++ == CALLS_PER_TURN) {
			make_ready(session);
			return;
		}
		r = shmp_wire_next(&session->wire, &message);
		session->has_input = r == 0;
		if (r == 0)
			take_call(session, &message);
		if (r == 0 && !session->is_closing && flush(session) < 0)
			return;
	}
	if (r < 0 && !session->is_closing)
		close_for(session, reason_of(r));
}

/* Nothing can come any more; what is under way is still answered. */
static void end_if_done(struct session *session)
{
	if (session->is_closing || session->call.is_active || session->wire.out_bytes > 0)
		return;
	if (session->is_ending || (session->is_half_closed && !session->has_input))
		session_close(session);
}

static void go_on(struct session *session)
{
	if (flush(session) < 0)
		return;
	take_calls(session);
	end_if_done(session);
	if (!session->is_closing)
		watch(session);
}

static void receive(struct session *session)
{
	int r = shmp_wire_receive(&session->wire);

	session->has_input |= r == 0;
	if (r == -EPIPE)
		session->is_half_closed = true;
	else if (r == -EBADMSG || r == -EMSGSIZE)
		close_for(session, reason_of(r));
	else if (r < 0 && r != -EAGAIN)
		session_close(session);
}

/* The other side sends no more, or is gone altogether. */
static void look_at_hang_up(struct session *session)
{
	struct pollfd poll_fd = { .fd = session->wire.fd };

	session->has_hung_up = true;
	if (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR))
		session_close(session);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct session *session = handles_owner((uv_handle_t *)poll);
	int watched = session->watched;

	/* libuv has stopped watching: the peer is gone, with replies unread or not */
	if (status < 0)
		session->watched = 0;
	if (session->wire.out_bytes > 0)
		; /* go_on sends */
	else if (watched == UV_WRITABLE && !may_send_fds(session))
		retry_later(session); /* writable does not mean that all is read */
	else if (watched == UV_DISCONNECT)
		look_at_hang_up(session);
	else if (!session->has_input)
		receive(session);
	if (!session->is_closing)
		go_on(session);
}

/* Turns and retries of all. */

static void run_all(struct list *from)
{
	struct list todo;

	list_init(&todo);
	list_move_all(from, &todo);
	while (!list_is_empty(&todo)) {
		struct session *session = list_entry(todo.next, struct session, pending);

		list_remove(&session->pending);
		go_on(session);
	}
}

static void on_turn(uv_idle_t *idle)
{
	struct broker *broker = handles_owner((uv_handle_t *)idle);

	run_all(&broker->traffic.ready);
	if (list_is_empty(&broker->traffic.ready))
		uv_idle_stop(idle);
}

static bool is_stuck(struct session *session)
{
	return session->wire.out_bytes == 0 && !may_send_fds(session);
}

static void on_timer(uv_timer_t *timer)
{
	struct broker *broker = handles_owner((uv_handle_t *)timer);
	struct traffic *traffic = &broker->traffic;
	struct list todo;

	list_init(&todo);
	list_move_all(&traffic->retry, &todo);
	traffic->retry_ms = 2 * traffic->retry_ms < RETRY_MS_MAX ? 2 * traffic->retry_ms :
								   RETRY_MS_MAX;
	while (!list_is_empty(&todo)) {
		struct session *session = list_entry(todo.next, struct session, pending);

		list_remove(&session->pending);
		if (is_stuck(session))
			list_append(&traffic->retry, &session->pending);
		else
			go_on(session);
	}
	if (!list_is_empty(&traffic->retry))
		uv_timer_start(timer, on_timer, traffic->retry_ms, 0);
}

void traffic_init(struct broker *broker)
{
	struct traffic *traffic = &broker->traffic;

	list_init(&traffic->ready);
	list_init(&traffic->retry);
	uv_idle_init(&broker->loop, &traffic->turn);
	uv_timer_init(&broker->loop, &traffic->timer);
	handles_adopt(&broker->handles, (uv_handle_t *)&traffic->turn);
	handles_adopt(&broker->handles, (uv_handle_t *)&traffic->timer);
}

void traffic_begin(struct session *session)
{
	/* most clients have spoken by now */
	receive(session);
	if (!session->is_closing)
		go_on(session);
}

void traffic_wake(struct session *session)
{
	if (!session->is_closing && list_is_empty(&session->pending))
		make_ready(session);
}
