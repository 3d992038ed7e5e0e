/* doorbell: see doorbell.h. */
#include "protocol/doorbell.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; older headers lack it */
#endif

/* A full bell is a rung bell, so the smallest buffer the kernel gives is enough. */
#define BELL_BYTES 1
/* What an honest set of ringers leaves; more is a flood, left to the next drain. */
#define DRAIN_STEPS 16

static void narrow(int fd, bool has_passrights)
{
	int none = 0, small = BELL_BYTES;

	if (has_passrights)
		(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

int shmp_doorbell_make(bool has_passrights, int *ret_ring_fd, int *ret_poll_fd)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	narrow(pair[0], has_passrights);
	narrow(pair[1], has_passrights);
	shmp_doorbell_ring(pair[0]);
	*ret_ring_fd = pair[0];
	*ret_poll_fd = pair[1];
	return 0;
}

void shmp_doorbell_ring(int ring_fd)
{
	ssize_t r;

	do
		r = send(ring_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
}

/* False when it will be readable for ever: its receiver has a ringing end, too, so none is left. */
static bool drain(int poll_fd)
{
	char rings[256];
	ssize_t r;

	for (int i = 0; i < DRAIN_STEPS; i++) {
		r = recv(poll_fd, rings, sizeof(rings), MSG_DONTWAIT);
		if (r < (ssize_t)sizeof(rings) && !(r < 0 && errno == EINTR))
			return r != 0;
	}
	return true;
}

int shmp_doorbell_arm(int poll_fd, struct shmp_waiter *waiter, struct shmp_endpoint *self,
		      uint32_t endpoint, uint32_t arming, bool has_membarrier)
{
	bool works = drain(poll_fd);

	shmp_waiter_arm(waiter, self, endpoint, arming, has_membarrier);
	return works ? 0 : -EBADMSG;
}

void shmp_doorbell_disarm(struct shmp_waiter *waiter, struct shmp_endpoint *self, uint32_t endpoint)
{
	shmp_waiter_finish(waiter, endpoint);
	/* relaxed: after the bit; who still sees it rings once for nothing */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}
