#include "daemon/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/letter.h"
#include "daemon/listener.h"
#include "daemon/lockfile.h"
#include "daemon/log.h"
#include "daemon/notice.h"
#include "daemon/options.h"
#include "daemon/shelf.h"
#include "daemon/systemd.h"
#include "daemon/ward.h"

#define EXIT_CONFIG 78

#define RESTARTS_AT_ONCE 5
#define DELAY_MS	 100 /* doubled with each death */
#define DELAY_MS_MAX	 5000
#define STEADY_MS	 10000 /* who lived as long does not die in a loop */
#define STOP_MS		 10000 /* until SIGTERM becomes SIGKILL */
#define WATCHDOG_MS	 30000
#define SLEPT_MS	 1000 /* woken as much too late: this process did not run, either */
#define FLUSH_MS	 10   /* until our own manager is tried again */
#define NEVER		 UINT64_MAX

enum asked {
	ASKED_NOTHING,
	ASKED_RESTART,
	ASKED_END,
};

struct keeper {
	const struct options *options;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char lock[LOCKFILE_PATH_MAX];
	int notify_fd;
	int lock_fd;
	int signal_fd;
	struct shelf shelf; /* first what was passed to us, then what the broker stored */
	/* the broker */
	struct ward ward;
	enum asked asked;
	bool was_ready; /* this one or one before */
	uint32_t deaths;
	/* what is due when */
	uint64_t kill_ms;
	uint64_t start_ms;
	uint64_t feed_ms; /* a sign of life of our own to our manager */
	uint64_t feed_every_ms;
	/* how it ends */
	bool is_over;
	int code;
};

static int fail(const struct keeper *keeper, const char *what, int error)
{
	log_event(LOG_ERR, "cannot_supervise", "socket=%s reason=\"%s: %s\"", keeper->socket, what,
		  strerror(error));
	return -error;
}

uint32_t keeper_delay_ms(uint32_t deaths)
{
	uint32_t delay_ms = DELAY_MS;

	if (deaths <= RESTARTS_AT_ONCE)
		return 0;
	while (--deaths > RESTARTS_AT_ONCE && delay_ms < DELAY_MS_MAX)
		delay_ms *= 2;
	return delay_ms < DELAY_MS_MAX ? delay_ms : DELAY_MS_MAX;
}

/* Starting a broker. */

static void start_broker(struct keeper *keeper)
{
	int r = ward_start(&keeper->ward, &keeper->shelf);

	keeper->asked = ASKED_NOTHING;
	keeper->start_ms = r < 0 ? ward_now_ms() + DELAY_MS_MAX : NEVER;
	keeper->kill_ms = NEVER;
	if (r < 0)
		log_event(LOG_ERR, "cannot_fork", "reason=\"%s\"", strerror(-r));
}

/* What it says. */

static void refuse(const char *name, const char *reason)
{
	log_event(LOG_ERR, "not_kept", "name=%s reason=\"%s\"", name, reason);
}

/* Takes the descriptor. */
static void store(struct keeper *keeper, const char *name, int fd)
{
	int r = shelf_add(&keeper->shelf, name, fd);

	if (r == 0)
		return;
	close(fd);
	if (r == -ENOSPC)
		refuse(name, "as many descriptors are kept as can be: raise LimitNOFILE, at most "
			     "4096 are");
	else
		refuse(name, r == -E2BIG ? "the names are too long together" : strerror(-r));
}

static void store_all(struct keeper *keeper, const char *name, int *fds, size_t count)
{
	if (!name)
		name = "stored";
	if (!notice_name_is_valid(name)) {
		refuse("?", "a name of this kind cannot be passed on");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		store(keeper, name, fds[i]);
		fds[i] = -1;
	}
}

/* To our own manager, which knows nobody but us. */
static void pass_on(const struct notice *notice)
{
	char text[NOTICE_BYTES_MAX + 64];

	snprintf(text, sizeof(text), "%s%s%s", notice->is_ready ? "READY=1\n" : "",
		 notice->status ? "STATUS=" : "", notice->status ? notice->status : "");
	if (*text)
		systemd_notify(text);
}

static void obey(struct keeper *keeper, const struct notice *notice, int *fds, size_t count)
{
	if (notice->stores)
		store_all(keeper, notice->name, fds, count);
	if (notice->removes && notice->name)
		shelf_remove(&keeper->shelf, notice->name);
	if (notice->is_ready || notice->is_alive)
		keeper->ward.alive_ms = ward_now_ms();
	if (notice->is_ready)
		keeper->ward.is_ready = keeper->was_ready = true;
	pass_on(notice);
	/* a barrier is passed by what follows: its pipe is closed */
}

/* Only the broker of now is believed: who else may write here is its user, or root. */
static void read_letters(struct keeper *keeper)
{
	static struct letter letter;
	struct notice notice;

	while (letter_receive(keeper->notify_fd, &letter)) {
		if (letter.is_short)
			refuse("?", "this process has no descriptors left: raise LimitNOFILE");
		if (letter.sender.pid == keeper->ward.pid && keeper->ward.pid != 0) {
			notice_read(letter.text, &notice);
			obey(keeper, &notice, letter.fds, letter.fd_count);
		} else {
			log_event(LOG_WARNING, "stranger", "pid=%d uid=%u socket=%s",
				  letter.sender.pid, letter.sender.uid, keeper->socket);
		}
		letter_close(&letter);
	}
}

/* How it ends. */

static void over(struct keeper *keeper, int code)
{
	keeper->is_over = true;
	keeper->code = code;
}

static void log_end(const struct keeper *keeper, const siginfo_t *info, uint32_t delay_ms)
{
	char cause[WARD_CAUSE_MAX];

	ward_cause(info, cause);
	log_event(LOG_WARNING, "broker_ended",
		  "pid=%d cause=\"%s\" lived_ms=%" PRIu64 " restart_in_ms=%" PRIu32,
		  keeper->ward.pid, cause, ward_now_ms() - keeper->ward.started_ms, delay_ms);
}

/* Nobody asked for it. */
static void on_death(struct keeper *keeper, const siginfo_t *info)
{
	uint64_t lived_ms = ward_now_ms() - keeper->ward.started_ms;
	uint32_t delay_ms;

	if (lived_ms >= STEADY_MS)
		keeper->deaths = 0;
	keeper->deaths++;
	delay_ms = keeper->options->no_backoff ? 0 : keeper_delay_ms(keeper->deaths);
	log_end(keeper, info, delay_ms);
	systemd_notify("STATUS=Starting the broker again");
	keeper->start_ms = ward_now_ms() + delay_ms;
}

static void on_end(struct keeper *keeper, const siginfo_t *info)
{
	bool could_not_start = !keeper->was_ready && info->si_code == CLD_EXITED &&
			       info->si_status != EXIT_SUCCESS;

	if (keeper->asked == ASKED_END)
		over(keeper, EXIT_SUCCESS);
	else if (could_not_start)
		over(keeper, info->si_status); /* it has said why */
	else if (keeper->asked == ASKED_RESTART)
		keeper->start_ms = 0;
	else
		on_death(keeper, info);
	keeper->ward.pid = 0;
	keeper->kill_ms = NEVER;
}

/* As the first process of a container it also has others' orphans. */
static void reap(struct keeper *keeper)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		/* what it said last, while nobody else can have its number */
		if (info.si_pid == keeper->ward.pid)
			read_letters(keeper);
		waitid(P_PID, (id_t)info.si_pid, &info, WEXITED);
		if (info.si_pid == keeper->ward.pid)
			on_end(keeper, &info);
	}
}

/* What it is told. */

static void ask(struct keeper *keeper, enum asked asked)
{
	if (keeper->asked == ASKED_END)
		return;
	if (!keeper->ward.pid) {
		if (asked == ASKED_END)
			over(keeper, EXIT_SUCCESS);
		keeper->start_ms = 0; /* sooner than it would have been */
		return;
	}
	if (keeper->asked == ASKED_NOTHING) {
		kill(keeper->ward.pid, SIGTERM);
		keeper->kill_ms = ward_now_ms() + STOP_MS;
	}
	keeper->asked = asked;
}

static void read_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			log_event(LOG_INFO, "keeper_stopping", "signal=%s",
				  info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
			systemd_notify("STOPPING=1");
			ask(keeper, ASKED_END);
			break;
		case SIGHUP:
		case SIGUSR2:
			log_event(LOG_INFO, "restarting", "pid=%d by=%d", keeper->ward.pid,
				  (int)info.ssi_pid);
			ask(keeper, ASKED_RESTART);
			break;
		default: /* SIGCHLD: looked at in any case */
			break;
		}
	}
}

/* What is due. */

static uint64_t hung_ms(const struct keeper *keeper)
{
	bool is_watched = keeper->ward.pid && keeper->ward.is_ready &&
			  keeper->asked == ASKED_NOTHING;

	return is_watched ? keeper->ward.alive_ms + keeper->ward.watchdog_ms : NEVER;
}

static void check_watchdog(struct keeper *keeper, uint64_t now)
{
	uint64_t due = hung_ms(keeper);

	if (now < due)
		return;
	if (now > due + SLEPT_MS) {
		keeper->ward.alive_ms = now; /* stopped or suspended with us: it gets its chance */
		return;
	}
	log_event(LOG_ERR, "broker_hung", "pid=%d silent_ms=%" PRIu64, keeper->ward.pid,
		  now - keeper->ward.alive_ms);
	kill(keeper->ward.pid, SIGKILL);
	keeper->ward.alive_ms = now;
}

static void do_what_is_due(struct keeper *keeper)
{
	uint64_t now = ward_now_ms();

	check_watchdog(keeper, now);
	if (keeper->ward.pid && now >= keeper->kill_ms) {
		log_event(LOG_ERR, "broker_killed", "pid=%d reason=\"it did not end in %d ms\"",
			  keeper->ward.pid, STOP_MS);
		kill(keeper->ward.pid, SIGKILL);
		keeper->kill_ms = NEVER;
	}
	if (!keeper->ward.pid && now >= keeper->start_ms)
		start_broker(keeper);
	if (now >= keeper->feed_ms) {
		systemd_notify("WATCHDOG=1");
		keeper->feed_ms = now + keeper->feed_every_ms;
	}
	systemd_flush();
}

static int timeout_ms(const struct keeper *keeper)
{
	uint64_t due = hung_ms(keeper), now = ward_now_ms();

	if (keeper->ward.pid && keeper->kill_ms < due)
		due = keeper->kill_ms;
	if (!keeper->ward.pid && keeper->start_ms < due)
		due = keeper->start_ms;
	if (keeper->feed_ms < due)
		due = keeper->feed_ms;
	if (!systemd_is_flushed() && now + FLUSH_MS < due)
		due = now + FLUSH_MS;
	if (due == NEVER)
		return -1;
	return due > now ? (int)(due - now) : 0;
}

static int keep(struct keeper *keeper)
{
	while (!keeper->is_over) {
		struct pollfd fds[] = {
			{ .fd = keeper->signal_fd, .events = POLLIN },
			{ .fd = keeper->notify_fd, .events = POLLIN },
		};

		do_what_is_due(keeper);
		poll(fds, 2, timeout_ms(keeper));
		read_signals(keeper);
		read_letters(keeper);
		reap(keeper);
	}
	return keeper->code;
}

/* Life. */

/* Two numbers of descriptors for each: that of here, and that which the broker gets it by. */
static size_t stored_most(void)
{
	struct rlimit limit = { 0 };
	size_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	most = limit.rlim_cur > 128 ? (limit.rlim_cur - 64) / 2 : 32;
	return most < KEEPER_STORED_MAX ? most : KEEPER_STORED_MAX;
}

/* Sockets of a manager of our own; they go to the broker, in the same order. */
static int take_passed(struct keeper *keeper)
{
	int r = systemd_meet();

	if (r < 0)
		return fail(keeper, "find its manager", -r);
	for (size_t i = 0; r == 0 && i < systemd_passed_count(); i++) {
		const char *name;
		int fd = systemd_passed(i, &name);

		if (fd >= 0)
			r = shelf_add(&keeper->shelf, name, fd);
	}
	systemd_listen_done();
	return r < 0 ? fail(keeper, "keep what was passed", -r) : 0;
}

static int take_lock(struct keeper *keeper)
{
	int r = listener_make_folder(keeper->socket, keeper->options->user);

	if (r < 0)
		return fail(keeper, "make its folder", -r);
	lockfile_path(keeper->socket, keeper->lock);
	r = lockfile_take(keeper->lock, &keeper->lock_fd);
	if (r == -EADDRINUSE)
		return fail(keeper, "another keeper is there", -r);
	return r < 0 ? fail(keeper, "take its lock", -r) : 0;
}

/* One that is there is of a keeper that was killed: we have its lock. */
static int make_socket(struct keeper *keeper)
{
	keeper->notify_fd = letter_socket(keeper->socket);
	return keeper->notify_fd < 0 ? fail(keeper, "make it", -keeper->notify_fd) : 0;
}

static int watch_signals(struct keeper *keeper)
{
	static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
	sigset_t signals;

	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&signals, numbers[i]);
	signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to end */
	signal(SIGCHLD, SIG_DFL); /* ignored, it would take the broker's end away */
	sigprocmask(SIG_BLOCK, &signals, &keeper->ward.signals);
	keeper->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper->signal_fd < 0 ? fail(keeper, "watch signals", errno) : 0;
}

/* Who watches us sees to us; we see to the broker, no later than he would have done. */
static void choose_watchdog(struct keeper *keeper)
{
	uint64_t own_ms = systemd_watchdog_us() / 1000;

	keeper->ward.watchdog_ms = WATCHDOG_MS;
	if (own_ms == 0)
		return;
	if (own_ms < WATCHDOG_MS)
		keeper->ward.watchdog_ms = (uint32_t)own_ms;
	keeper->feed_every_ms = own_ms / 2 + 1;
	keeper->feed_ms = 0;
}

static int open_keeper(struct keeper *keeper)
{
	int r = shelf_init(&keeper->shelf, stored_most());

	if (r < 0)
		return fail(keeper, "keep descriptors", -r);
	choose_watchdog(keeper);
	r = take_passed(keeper);
	if (r == 0)
		r = take_lock(keeper);
	if (r == 0)
		r = make_socket(keeper);
	if (r == 0)
		r = watch_signals(keeper);
	return r;
}

/* What a listener of the broker has here: -1 = nothing. */
static int kept(const struct keeper *keeper, const char *front, const char *name)
{
	char full[NOTICE_NAME_BYTES_MAX];

	snprintf(full, sizeof(full), "%s-%s", front, name);
	for (size_t i = 0; i < keeper->shelf.count; i++) {
		if (strcmp(keeper->shelf.entries[i].name, full) == 0)
			return keeper->shelf.entries[i].fd;
	}
	return -1;
}

/* What the broker made and left to the next one, which there will not be. While the lock is kept,
 * too, the file is that of the socket. */
static void remove_files(const struct keeper *keeper, const char *name, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNSPEC };
	socklen_t bytes = sizeof(address) - 1;
	int lock_fd = kept(keeper, LISTENER_KEPT_LOCK, name);
	int fd = kept(keeper, LISTENER_KEPT_SOCKET, name);
	char lock[LOCKFILE_PATH_MAX];

	/* a changed configuration may have given the broker another path than us */
	if (fd >= 0 && getsockname(fd, (struct sockaddr *)(void *)&address, &bytes) == 0 &&
	    address.sun_family == AF_UNIX)
		path = address.sun_path;
	lockfile_path(path, lock);
	if (lock_fd < 0 || lockfile_is_held(lock, lock_fd) <= 0)
		return;
	if (fd >= 0)
		unlink(path);
	unlink(lock);
}

static void close_keeper(struct keeper *keeper)
{
	remove_files(keeper, "client", keeper->options->client_socket);
	remove_files(keeper, "control", keeper->options->control_socket);
	shelf_deinit(&keeper->shelf);
	if (keeper->signal_fd >= 0)
		close(keeper->signal_fd);
	if (keeper->notify_fd >= 0) {
		unlink(keeper->socket);
		close(keeper->notify_fd);
	}
	if (keeper->lock_fd >= 0)
		lockfile_remove(keeper->lock, keeper->lock_fd);
	free(keeper->ward.argv);
	systemd_deinit();
}

int keeper_serve(const struct options *options, char **argv)
{
	struct keeper keeper = { .options = options,
				 .ward = { .argv = ward_words(argv) },
				 .notify_fd = -1,
				 .lock_fd = -1,
				 .signal_fd = -1,
				 .start_ms = 0,
				 .kill_ms = NEVER,
				 .feed_ms = NEVER };
	int bytes = snprintf(keeper.socket, sizeof(keeper.socket), "%s.keeper",
			     options->control_socket);
	int r = EXIT_FAILURE;

	keeper.ward.socket = keeper.socket;
	if (!keeper.ward.argv) {
		fail(&keeper, "start", ENOMEM);
	} else if ((size_t)bytes >= sizeof(keeper.socket)) {
		fail(&keeper, "--control-socket must have at most 100 bytes", ENAMETOOLONG);
		r = EXIT_CONFIG;
	} else if (open_keeper(&keeper) == 0) {
		log_event(LOG_INFO, "keeper_started", "pid=%d socket=%s", getpid(), keeper.socket);
		r = keep(&keeper);
	}
	close_keeper(&keeper);
	return r;
}
