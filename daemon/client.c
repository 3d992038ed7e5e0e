#include "daemon/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/liveness.h"
#include "daemon/session.h"
#include "protocol/waiter.h"

static void free_client(void *owner)
{
	struct client *client = owner;

	if (client->pidfd >= 0)
		close(client->pidfd);
	credentials_deinit(&client->credentials);
	charge_release(&client->charge);
	free(client->attachments);
	free(client);
}

static void end(struct client *client)
{
	struct session *session = client->session;

	uv_poll_stop(&client->poll);
	client->session = NULL;
	if (session)
		session->client = NULL;
	repair_client(client);
	/* it may look alive: a forked child can hold the socket open for ever */
	if (session)
		session_close(session);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
	end(handles_owner((uv_handle_t *)poll));
}

static int watch(struct client *client)
{
	int r = uv_poll_init(&client->broker->loop, &client->poll, client->pidfd);

	if (r < 0)
		return r;
	handles_adopt(&client->handles, (uv_handle_t *)&client->poll);
	return uv_poll_start(&client->poll, UV_READABLE, on_end);
}

static int identify(struct client *client, int socket_fd)
{
	int r = -EOPNOTSUPP;

	if (!client->broker->options->no_peer_pidfd)
		r = liveness_of_peer(socket_fd, &client->pidfd);
	if (r == -EOPNOTSUPP)
		return 0; /* Hello will tell */
	return r < 0 ? r : watch(client);
}

static int charge(struct client *client)
{
	int r = quota_charge(&client->broker->quota, client->credentials.uid, QUOTA_CONNECTIONS, 1,
			     &client->charge);

	return r > 0 ? -EDQUOT : r;
}

static void enlist(struct client *client)
{
	struct broker *broker = client->broker;

	client->serial = ++broker->client_serial;
	client->since_ns = shmp_clock_ns();
	broker_random_text(client->token, sizeof(client->token));
	list_append(&broker->clients, &client->link);
	event_emit(broker, &(struct event){ .kind = "connected", .who = client });
}

int client_new(struct broker *broker, int socket_fd, bool is_control, struct client **ret_client)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->broker = broker;
	client->pidfd = -1;
	client->is_control = is_control;
	list_init(&client->link);
	handles_init(&client->handles, client, free_client);
	r = credentials_read(socket_fd, &client->credentials);
	if (r == 0)
		r = charge(client);
	if (r == 0)
		r = identify(client, socket_fd);
	if (r < 0) {
		client_close(client);
		return r;
	}
	enlist(client);
	*ret_client = client;
	return 0;
}

int client_identify(struct client *client, uint64_t start_time)
{
	int r = liveness_of_pid(client->credentials.pid, start_time, &client->pidfd);

	if (r < 0)
		return -EINVAL;
	client->start_time = start_time;
	return watch(client);
}

void client_move(struct client *client, struct session *session)
{
	struct session *earlier = client->session;
	struct client *fresh = session->client;

	client->session = session;
	session->client = client;
	fresh->session = NULL;
	client_close(fresh);
	if (!earlier)
		return;
	earlier->client = NULL;
	session_close(earlier);
}

bool client_has_ended(struct client *client)
{
	if (client->pidfd < 0 || !liveness_is_over(client->pidfd))
		return false;
	end(client);
	return true;
}

void client_hang_up(struct client *client)
{
	client->session = NULL;
	if (client->attachment_count > 0 && client_has_ended(client))
		return;
	event_emit(client->broker, &(struct event){ .kind = "disconnected",
						    .who = client,
						    .count = client->attachment_count });
	if (client->attachment_count == 0)
		client_close(client);
}

void client_leave(struct client *client)
{
	while (client->attachment_count > 0)
		attachment_close(client->attachments[client->attachment_count - 1], false);
}

void client_close(struct client *client)
{
	assert(client->attachment_count == 0 && !client->is_closing);
	client->is_closing = true;
	list_remove(&client->link);
	if (client->session)
		client->session->client = NULL;
	client->session = NULL;
	if (client->handles.open > 0)
		handles_close((uv_handle_t *)&client->poll);
	else
		free_client(client);
}

struct client *client_find(struct broker *broker, const char *token)
{
	for (struct list *at = broker->clients.next; at != &broker->clients; at = at->next) {
		struct client *client = list_entry(at, struct client, link);

		if (strcmp(client->token, token) == 0)
			return client;
	}
	return NULL;
}

bool client_is_same_process(const struct client *a, const struct client *b)
{
	return a->credentials.uid == b->credentials.uid && a->pidfd >= 0 && b->pidfd >= 0 &&
	       liveness_is_same(a->pidfd, a->credentials.pid, b->pidfd, b->credentials.pid);
}
