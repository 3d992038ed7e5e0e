#include "daemon/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/segment.h"

struct reservation {
	struct handles handles;
	uv_poll_t poll;
	struct list link;
	struct segment *segment;
	reserve_fn done;
	int pidfd;
	pid_t pid;
};

void reserve_init(struct reserve *reserve)
{
	list_init(&reserve->queued);
	list_init(&reserve->running);
}

/* The helper. Only calls that are safe after fork in a program with threads. */

static void offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) < 0) {
		/* then it is as likely as the broker: the limit on all bytes is left */
	}
	close(fd);
}

static void keep(int *fd, int as)
{
	if (*fd < 0) {
		close(as);
		return;
	}
	dup2(*fd, as);
	*fd = as;
}

/* A client's hang-up must be seen even while a helper lives: keep the memfds only. */
static void keep_only(struct shmp_segment_fds *fds)
{
	keep(&fds->ctl, STDIN_FILENO);
	keep(&fds->data, STDOUT_FILENO);
	keep(&fds->objects, STDERR_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
}

static void reset_signals(void)
{
	struct sigaction preset = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &preset, NULL);
	/* said to the whole group, they are the broker's: it ends its helpers itself */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void help(const struct segment *segment, pid_t broker)
{
	struct shmp_segment_fds fds = segment->fds;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != broker)
		_exit(1);
	offer_to_oom_killer();
	keep_only(&fds);
	reset_signals();
	/* what an object gets is reserved already, and has been used */
	_exit(-(segment->parent ? shmp_segment_clear(&fds, &segment->plan) :
				  shmp_segment_reserve(&fds, &segment->plan)));
}

/* No handler of the broker's may run in the helper: signals wait until it has its own. */
static pid_t fork_helper(const struct segment *segment)
{
	pid_t broker = getpid();
	sigset_t all, before;
	pid_t pid;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		help(segment, broker);
	error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -error : pid;
}

/* The broker's side. */

static void free_reservation(void *owner)
{
	struct reservation *reservation = owner;

	if (reservation->pidfd >= 0)
		close(reservation->pidfd);
	free(reservation);
}

static void close_reservation(struct reservation *reservation)
{
	list_remove(&reservation->link);
	if (reservation->handles.open > 0)
		handles_close((uv_handle_t *)&reservation->poll);
	else
		free_reservation(reservation);
}

static int reap(const struct reservation *reservation)
{
	siginfo_t info = { .si_pid = 0 };
	int r;

	do {
		r = waitid(P_PID, (id_t)reservation->pid, &info, WEXITED);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_code == CLD_EXITED)
		return -info.si_status;
	return -ENOMEM; /* killed, and nobody but the kernel has a reason to */
}

static void run_next(struct broker *broker);

static void on_end(uv_poll_t *poll, int status, int events)
{
	struct reservation *reservation = handles_owner((uv_handle_t *)poll);
	struct segment *segment = reservation->segment;
	struct broker *broker = segment->broker;
	reserve_fn done = reservation->done;
	int r = reap(reservation);

	uv_poll_stop(poll);
	close_reservation(reservation);
	done(segment, r);
	run_next(broker);
}

static int watch(struct reservation *reservation)
{
	int r;

	reservation->pidfd = (int)syscall(SYS_pidfd_open, reservation->pid, 0);
	if (reservation->pidfd < 0)
		return -errno;
	r = uv_poll_init(&reservation->segment->broker->loop, &reservation->poll,
			 reservation->pidfd);
	if (r < 0)
		return r;
	handles_adopt(&reservation->handles, (uv_handle_t *)&reservation->poll);
	return uv_poll_start(&reservation->poll, UV_READABLE, on_end);
}

static int run(struct reservation *reservation)
{
	int r = fork_helper(reservation->segment);

	if (r < 0)
		return r;
	reservation->pid = r;
	r = watch(reservation);
	if (r < 0) {
		kill(reservation->pid, SIGKILL);
		reap(reservation);
	}
	return r;
}

static bool has_helper(const struct reserve *reserve, uid_t uid)
{
	for (struct list *at = reserve->running.next; at != &reserve->running; at = at->next) {
		if (list_entry(at, struct reservation, link)->segment->ownership.uid == uid)
			return true;
	}
	return false;
}

/* The first whose user has no helper under way. */
static struct reservation *next_of(const struct reserve *reserve)
{
	for (struct list *at = reserve->queued.next; at != &reserve->queued; at = at->next) {
		struct reservation *reservation = list_entry(at, struct reservation, link);

		if (!has_helper(reserve, reservation->segment->ownership.uid))
			return reservation;
	}
	return NULL;
}

static void run_next(struct broker *broker)
{
	struct reserve *reserve = &broker->reserve;
	struct reservation *reservation;

	while ((reservation = next_of(reserve))) {
		struct segment *segment = reservation->segment;
		reserve_fn done = reservation->done;
		int r;

		list_remove(&reservation->link);
		list_append(&reserve->running, &reservation->link);
		r = run(reservation);
		if (r == 0)
			continue;
		close_reservation(reservation);
		done(segment, r);
	}
}

int reserve_start(struct segment *segment, reserve_fn done)
{
	struct reserve *reserve = &segment->broker->reserve;
	struct reservation *reservation = calloc(1, sizeof(*reservation));
	int r;

	if (!reservation)
		return -ENOMEM;
	handles_init(&reservation->handles, reservation, free_reservation);
	list_init(&reservation->link);
	reservation->segment = segment;
	reservation->done = done;
	reservation->pidfd = -1;
	if (has_helper(reserve, segment->ownership.uid)) {
		list_append(&reserve->queued, &reservation->link);
		return 0;
	}
	list_append(&reserve->running, &reservation->link);
	r = run(reservation);
	if (r < 0)
		close_reservation(reservation);
	return r;
}

void reserve_close(struct broker *broker)
{
	struct reserve *reserve = &broker->reserve;

	while (!list_is_empty(&reserve->queued))
		close_reservation(list_entry(reserve->queued.next, struct reservation, link));
	while (!list_is_empty(&reserve->running)) {
		struct reservation *reservation = list_entry(reserve->running.next,
							     struct reservation, link);

		kill(reservation->pid, SIGKILL);
		reap(reservation);
		close_reservation(reservation);
	}
}
