#include "protocol/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/runner.h"

#define ENDPOINT 1u

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

struct bell {
	int ring, poll;
	struct shmp_waiter waiter;
	struct shmp_endpoint self;
};

static struct bell make(void)
{
	struct bell bell = { .ring = -1, .poll = -1 };

	ck_assert_int_eq(shmp_doorbell_make(true, &bell.ring, &bell.poll), 0);
	return bell;
}

static void arm(struct bell *bell, uint32_t arming)
{
	shmp_doorbell_arm(bell->poll, &bell->waiter, &bell->self, ENDPOINT, arming, false);
}

static short polled(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };

	ck_assert_int_ge(poll(&at, 1, 0), 0);
	return at.revents;
}

TEST(a_new_bell_is_rung)
{
	struct bell bell = make();

	ck_assert_int_eq(polled(bell.poll), POLLIN);
}

TEST(both_ends_are_closed_by_exec_and_never_block)
{
	struct bell bell = make();
	int ends[] = { bell.ring, bell.poll };

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(fcntl(ends[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		ck_assert_int_eq(fcntl(ends[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	}
}

TEST(arming_drains_and_says_so)
{
	struct bell bell = make();

	for (uint32_t arming = 1; arming < 5; arming++) {
		arm(&bell, arming);
		ck_assert_int_eq(polled(bell.poll), 0);
		ck_assert_uint_eq(atomic_load(&bell.self.doorbell), arming);
		ck_assert(shmp_waiter_wanted_by(&bell.waiter, ENDPOINT));
		shmp_doorbell_ring(bell.ring);
		ck_assert_int_eq(polled(bell.poll), POLLIN);
	}
}

TEST(disarming_takes_both_words_back)
{
	struct bell bell = make();

	arm(&bell, 3);
	shmp_doorbell_disarm(&bell.waiter, &bell.self, ENDPOINT);
	ck_assert_uint_eq(atomic_load(&bell.self.doorbell), 0);
	ck_assert(!shmp_waiter_wanted_by(&bell.waiter, ENDPOINT));
}

TEST(a_full_bell_is_a_rung_bell)
{
	struct bell bell = make();

	for (int i = 0; i < 10000; i++)
		shmp_doorbell_ring(bell.ring);
	ck_assert_int_eq(polled(bell.poll), POLLIN);
	arm(&bell, 1);
	ck_assert_int_eq(polled(bell.poll), 0);
	shmp_doorbell_ring(bell.ring);
	ck_assert_int_eq(polled(bell.poll), POLLIN);
}

TEST(ringing_a_bell_that_is_gone_is_harmless)
{
	struct bell bell = make();

	close(bell.poll);
	shmp_doorbell_ring(bell.ring);
	close(bell.ring);
	shmp_doorbell_ring(bell.ring);
}

/* The receiver's flags belong to him: they cannot make a ringer block. */
TEST(a_receiver_that_wants_to_block_its_ringer_cannot)
{
	struct bell bell = make();

	fcntl(bell.poll, F_SETFL, 0);
	fcntl(bell.ring, F_SETFL, 0);
	for (int i = 0; i < 10000; i++)
		shmp_doorbell_ring(bell.ring);
	arm(&bell, 1);
	ck_assert_int_eq(polled(bell.poll), 0);
}

TEST(a_flood_does_not_hold_the_receiver_up)
{
	struct bell bell = make();
	int large = 1 << 20;
	char bytes[4096] = { 0 };

	setsockopt(bell.ring, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	while (send(bell.ring, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	arm(&bell, 1);
	ck_assert_int_eq(polled(bell.poll), POLLIN); /* at worst it looks once for nothing */
}

TEST(a_bell_carries_no_descriptors)
{
	struct bell bell = make();
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int passes = 1;
	socklen_t size = sizeof(passes);

	if (getsockopt(bell.poll, SOL_SOCKET, SO_PASSRIGHTS, &passes, &size) < 0)
		return; /* before Linux 6.16; recv() discards what comes */
	ck_assert_int_eq(passes, 0);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &bell.ring, sizeof(int));
	ck_assert_int_eq(sendmsg(bell.ring, &message, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(sendmsg(bell.poll, &message, MSG_DONTWAIT), -1);
}

SHMT_MAIN
