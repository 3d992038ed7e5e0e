#include "daemon/disposal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "protocol/wire.h"

struct disposal {
	uv_work_t work;
	struct list link;
	struct charge charge;
	int socket;
	int *fds;
	size_t fd_count;
};

void disposals_init(struct list *disposals)
{
	list_init(disposals);
}

bool disposals_abandon(struct list *disposals)
{
	bool some = !list_is_empty(disposals);

	while (!list_is_empty(disposals)) {
		struct disposal *disposal = list_entry(disposals->next, struct disposal, link);

		list_remove(&disposal->link);
		charge_release(&disposal->charge);
	}
	return some;
}

static void close_all(uv_work_t *work)
{
	struct disposal *disposal = work->data;

	shmp_wire_close_fds(disposal->fds, disposal->fd_count);
	close(disposal->socket);
}

static void free_disposal(uv_work_t *work, int status)
{
	struct disposal *disposal = work->data;

	list_remove(&disposal->link);
	charge_release(&disposal->charge);
	free(disposal->fds);
	free(disposal);
}

static void close_elsewhere(struct broker *broker, uid_t uid, int socket, int *fds, size_t fd_count)
{
	struct disposal *disposal = calloc(1, sizeof(*disposal));

	if (!disposal) {
		free(fds);
		return; /* a leak is better than to stand still */
	}
	*disposal = (struct disposal){ .socket = socket, .fds = fds, .fd_count = fd_count };
	disposal->charge = quota_force(&broker->quota, uid, QUOTA_CONNECTIONS, 1 + fd_count);
	disposal->work.data = disposal;
	list_append(&broker->disposals, &disposal->link);
	uv_queue_work(&broker->loop, &disposal->work, close_all, free_disposal);
}

/* Whether the socket may hold what nobody has looked at; nothing more can come in. */
static bool has_unread(int fd)
{
	int bytes = 0;

	return ioctl(fd, FIONREAD, &bytes) < 0 || bytes > 0;
}

void dispose_wire(struct broker *broker, struct shmp_wire *wire, uid_t uid)
{
	int *fds = NULL;
	size_t fd_count = shmp_wire_take_foreign(wire, &fds);

	if (wire->fd >= 0 && !broker->has_passrights) {
		shutdown(wire->fd, SHUT_RDWR);
		if (fd_count > 0 || has_unread(wire->fd)) {
			close_elsewhere(broker, uid, wire->fd, fds, fd_count);
			wire->fd = -1;
		}
	}
	shmp_wire_deinit(wire);
}

void dispose_pair(struct broker *broker, int one, int other, uid_t uid)
{
	int *fds;

	if (broker->has_passrights) {
		close(one);
		close(other);
		return;
	}
	fds = malloc(sizeof(*fds));
	if (!fds)
		return; /* as in close_elsewhere */
	*fds = other;
	close_elsewhere(broker, uid, one, fds, 1);
}
