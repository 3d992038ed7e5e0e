#include "daemon/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/ledger.h"
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
	free(client->kept_blocks);
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

/* Before Linux 6.5 only the number is known yet. */
static bool seems_same_process(const struct client *a, const struct client *b)
{
	if (a->pidfd >= 0 && b->pidfd >= 0)
		return client_is_same_process(a, b);
	return a->credentials.pid == b->credentials.pid && a->credentials.pid != 0;
}

/* Also where the loop has not heard of it yet. */
static bool has_lost_connection(const struct client *client)
{
	struct pollfd poll_fd = { .events = 0 };

	if (!client->session)
		return true;
	poll_fd.fd = client->session->wire.fd;
	return poll(&poll_fd, 1, 0) == 1;
}

/*
 * Whether its process has lost a connection with what it holds. That one is still charged, and the
 * two become one with the Hello: who has reached the limit can come back, with one for each.
 */
static bool comes_back(const struct client *client)
{
	const struct list *clients = &client->broker->clients;
	size_t lost = 0, extra = 0;

	for (const struct list *at = clients->next; at != clients; at = at->next) {
		const struct client *other = list_entry(at, struct client, link);

		if (!seems_same_process(other, client))
			continue;
		if (has_lost_connection(other))
			lost += other->attachment_count > 0;
		else
			extra += other->is_extra;
	}
	return lost > extra;
}

static int charge(struct client *client)
{
	struct quota *quota = &client->broker->quota;
	uid_t uid = client->credentials.uid;
	int r;

	if (quota_used(quota, uid, QUOTA_CONNECTIONS) >= quota->limit[QUOTA_CONNECTIONS] &&
	    comes_back(client)) {
		client->is_extra = true;
		client->charge = quota_force(quota, uid, QUOTA_CONNECTIONS, 1);
		return client->charge.user ? 0 : -ENOMEM;
	}
	r = quota_charge(quota, uid, QUOTA_CONNECTIONS, 1, &client->charge);
	return r > 0 ? -EDQUOT : r;
}

static void enlist(struct client *client)
{
	struct broker *broker = client->broker;

	client->serial = ledger_next_serial(broker);
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
		r = identify(client, socket_fd);
	if (r == 0)
		r = charge(client);
	if (r < 0) {
		client_close(client);
		return r;
	}
	enlist(client);
	*ret_client = client;
	return 0;
}

static void read_kept(struct client *client, const struct state_client *kept)
{
	client->credentials =
		(struct credentials){ .pid = (pid_t)kept->pid, .uid = kept->uid, .gid = kept->gid };
	client->serial = kept->mark.owner;
	client->since_ns = kept->since_ns;
	client->start_time = kept->start_time;
	client->attachment_id = state_read(&kept->attachment_id);
	client->has_membarrier = kept->has_membarrier;
	client->is_control = kept->is_control;
	client->is_restored = true;
	snprintf(client->token, sizeof(client->token), "%s", kept->token);
	snprintf(client->name, sizeof(client->name), "%s", kept->name);
}

int client_restore(struct broker *broker, struct state_client *kept, int pidfd,
		   struct client **ret_client)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client) {
		close(pidfd);
		return -ENOMEM;
	}
	client->broker = broker;
	client->pidfd = pidfd;
	list_init(&client->link);
	handles_init(&client->handles, client, free_client);
	read_kept(client, kept);
	client->charge = quota_force(&broker->quota, client->credentials.uid, QUOTA_CONNECTIONS, 1);
	r = watch(client);
	if (r < 0) {
		client_close(client);
		return r;
	}
	list_append(&broker->clients, &client->link);
	client->kept = kept;
	*ret_client = client;
	return 0;
}

int client_make_room_kept(struct client *client)
{
	size_t room = client->kept_block_room ? 2 * client->kept_block_room : 2;
	struct state_holdings **blocks;

	if (client->kept_block_count < client->kept_block_room)
		return 0;
	blocks = realloc(client->kept_blocks, room * sizeof(struct state_holdings *));
	if (!blocks)
		return -ENOMEM;
	client->kept_blocks = blocks;
	client->kept_block_room = room;
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

	/* it may be another user by now; and an earlier broker did not keep the groups */
	credentials_deinit(&client->credentials);
	client->credentials = fresh->credentials;
	fresh->credentials.groups = NULL;
	client->is_restored = false;
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
	ledger_client_gone(client);
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
	return a->pidfd >= 0 && b->pidfd >= 0 &&
	       liveness_is_same(a->pidfd, a->credentials.pid, b->pidfd, b->credentials.pid);
}
