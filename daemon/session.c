#include "daemon/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/disposal.h"

#define SEND_BUFFER_BYTES 16384

void sessions_close(struct broker *broker)
{
	while (!list_is_empty(&broker->sessions))
		session_close(list_entry(broker->sessions.next, struct session, link));
}

static void free_session(void *owner)
{
	struct session *session = owner;

	dispose_wire(session->broker, &session->wire, session->uid);
	free(session);
}

/* Too many connections: the one call it will make is answered before it is read. */
static void refuse(struct broker *broker, int fd, uid_t uid)
{
	static const char format[] =
		"{\"error\":\"org.shmbroker.Quota\",\"parameters\":{\"limit\":\"connections\","
		"\"message\":\"user %u has %llu connections, the limit (connections-per-uid)\"}}";
	char text[sizeof(format) + 64];
	int bytes = snprintf(text, sizeof(text), format, uid,
			     (unsigned long long)broker->options->connections_per_uid);

	send(fd, text, (size_t)bytes + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int meet(struct session *session, int fd)
{
	struct broker *broker = session->broker;
	bool is_control = session->listener == &broker->control_listener;
	int r = client_new(broker, fd, is_control, &session->client);

	if (r == -EDQUOT) {
		struct credentials who;

		if (credentials_read(fd, &who) == 0) {
			session->uid = who.uid;
			refuse(broker, fd, who.uid);
			credentials_deinit(&who);
		}
	}
	if (r < 0)
		return r;
	session->client->session = session;
	session->uid = session->client->credentials.uid;
	return 0;
}

static void narrow(int fd)
{
	int bytes = SEND_BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int watch(struct session *session)
{
	int r = uv_poll_init(&session->broker->loop, &session->poll, session->wire.fd);

	if (r < 0)
		return r;
	handles_adopt(&session->handles, (uv_handle_t *)&session->poll);
	list_append(&session->broker->sessions, &session->link);
	return 0;
}

/* Nobody knows it yet. */
static void discard(struct session *session)
{
	if (session->client) {
		session->client->session = NULL;
		client_hang_up(session->client);
	}
	free_session(session);
}

int session_new(const struct listener *listener, int fd)
{
	struct session *session = calloc(1, sizeof(*session));
	int r;

	if (!session) {
		close(fd);
		return -ENOMEM;
	}
	session->broker = listener->broker;
	session->listener = listener;
	list_init(&session->link);
	list_init(&session->pending);
	list_init(&session->monitor);
	call_init(&session->call);
	handles_init(&session->handles, session, free_session);
	shmp_wire_init(&session->wire, fd, SHMP_WIRE_REQUEST_BYTES_MAX, false);
	narrow(fd);
	r = meet(session, fd);
	if (r == 0)
		r = watch(session);
	if (r < 0)
		discard(session);
	else
		traffic_begin(session);
	return r;
}

void session_close(struct session *session)
{
	if (session->is_closing)
		return;
	session->is_closing = true;
	list_remove(&session->link);
	list_remove(&session->pending);
	list_remove(&session->monitor);
	call_abandon(&session->call);
	if (session->client) {
		struct client *client = session->client;

		session->client = NULL;
		client_hang_up(client);
	}
	handles_close((uv_handle_t *)&session->poll);
}
