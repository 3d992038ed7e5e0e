#include "tests/support/peer.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner.h"

static void peer_be(struct shmt_peer *other, shmt_peer_fn fn, void *context)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shmt_be_child();
	fn(other, context);
	_exit(0);
}

struct shmt_peer shmt_peer_start(shmt_peer_fn fn, void *context)
{
	pid_t self = getpid();
	int pair[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct shmt_peer other = { .pid = self, .line = pair[1] };

		close(pair[0]);
		peer_be(&other, fn, context);
	}
	close(pair[1]);
	return (struct shmt_peer){ .pid = pid, .line = pair[0] };
}

void shmt_peer_send(struct shmt_peer *peer, const void *data, size_t bytes)
{
	ck_assert_int_eq(send(peer->line, data, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

void shmt_peer_receive(struct shmt_peer *peer, void *data, size_t bytes)
{
	ssize_t got;

	do
		got = recv(peer->line, data, bytes, MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	ck_assert_msg(got == (ssize_t)bytes, "the other process ended too early");
}

void shmt_peer_tell(struct shmt_peer *peer)
{
	shmt_peer_send(peer, "", 1);
}

void shmt_peer_await(struct shmt_peer *peer)
{
	char byte;

	shmt_peer_receive(peer, &byte, 1);
}

void shmt_peer_join(struct shmt_peer *peer)
{
	int status;

	ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
	close(peer->line);
	ck_assert_msg(status == 0, "the other process ended with status 0x%x", (unsigned)status);
}

void shmt_peer_kill_soon(struct shmt_peer *peer)
{
	kill(peer->pid, SIGKILL);
}

void shmt_peer_reap(struct shmt_peer *peer)
{
	int status;

	ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "the other process ended by itself, with status 0x%x", (unsigned)status);
	close(peer->line);
}

void shmt_peer_kill(struct shmt_peer *peer)
{
	shmt_peer_kill_soon(peer);
	shmt_peer_reap(peer);
}

void shmt_peer_hang(void)
{
	for (;;)
		pause();
}
