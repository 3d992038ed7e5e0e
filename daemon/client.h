/*
 * Client: a process as the broker knows it through one connection, and what it holds.
 *
 * It outlives its connection. When that hangs up while the process lives and holds something, the
 * client is in quarantine: nothing is taken from it until the process ends, leaves, or takes its
 * session up again on a new connection.
 *
 *	connected --hang-up--> quarantine (holds something) --Hello(resume)--> connected
 *	    |  \--hang-up, holds nothing--> gone
 *	    +-----process ended, from either-----> repaired, gone
 */
#ifndef SHMBROKER_CLIENT_H
#define SHMBROKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/handles.h"
#include "daemon/list.h"
#include "daemon/policy.h"
#include "daemon/quota.h"

#define CLIENT_NAME_MAX	   64u
#define CLIENT_TOKEN_BYTES 33u

struct attachment;
struct broker;
struct session;
struct state_client;
struct state_holdings;

struct client {
	struct broker *broker;
	struct handles handles;
	uv_poll_t poll; /* on pidfd */
	int pidfd;	/* -1 = not identified yet (kernels before 6.5) */
	struct credentials credentials;
	uint64_t start_time; /* verified; 0 = not needed */
	uint64_t serial;
	uint64_t since_ns;
	struct session *session;	 /* NULL = in quarantine */
	struct list link;		 /* in broker */
	struct charge charge;		 /* of the connection */
	struct attachment **attachments; /* in order of id */
	size_t attachment_count;
	size_t attachment_room;
	uint64_t attachment_id; /* given out last */
	struct state_client *kept;
	struct state_holdings **kept_blocks;
	size_t kept_block_count;
	size_t kept_block_room;
	bool has_membarrier;
	bool is_control; /* came by the control socket */
	bool is_closing;
	bool is_restored; /* from what an earlier broker kept, and not back yet */
	bool is_extra;	  /* beyond the limit of connections, to take up an earlier one's session */
	char token[CLIENT_TOKEN_BYTES];
	char name[CLIENT_NAME_MAX + 1]; /* what it calls itself */
};

/*
 * Whoever made the connection @socket_fd. 0; -ESRCH it is dead already; -EDQUOT it has too many
 * connections; another -errno.
 */
int client_new(struct broker *broker, int socket_fd, bool is_control, struct client **ret_client);
/* One that an earlier broker kept, in quarantine; takes @pidfd. 0 or -errno. */
int client_restore(struct broker *broker, struct state_client *kept, int pidfd,
		   struct client **ret_client);
/* Room for one more of kept_blocks. 0 or -ENOMEM. */
int client_make_room_kept(struct client *client);
/* Starts to watch an unidentified one's process. 0; -EINVAL not the process it says it is. */
int client_identify(struct client *client, uint64_t start_time);
/* Gives @session to the earlier @client of the same process; the fresh one ends. What the process
 * may do is from then on what the fresh one may. */
void client_move(struct client *client, struct session *session);
/*
 * Looks whether its process has ended, of which the loop may not have heard yet; if so all that it
 * held is taken back, and true.
 */
bool client_has_ended(struct client *client);
/* Its connection is gone. */
void client_hang_up(struct client *client);
/* Gives everything back as the process would by itself. */
void client_leave(struct client *client);
/* Ends it, what it holds being gone. */
void client_close(struct client *client);

/* The quarantined or connected one with this token, NULL when there is none. */
struct client *client_find(struct broker *broker, const char *token);
/* Whether both are the same process, by the kernel's knowledge. */
bool client_is_same_process(const struct client *a, const struct client *b);

#endif
