/*
 * The broker is killed at every system call that it makes for a call of a client, one after the
 * other: the client gets its answer from the next broker, as if nothing had been, and it is the
 * answer to the call made once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/peer.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

static struct shmt_broker broker;
static struct shmc_client *client;
static struct shmc_spsc *producer, *consumer;
static uint64_t published, received;

/* ---- the killer ------------------------------------------------------------------------------ */

struct killer {
	pid_t pid;
	int line;
};

enum killed {
	KILLED_NO = 0, /* it was over before */
	KILLED_YES = 1,
	KILLED_REFUSED = 2, /* this machine lets nobody trace it */
};

/* Its coming ends a wait. */
static void on_over(int number)
{
}

/* Until so many stops are over, two for each system call, or the call of the client is. */
static enum killed follow(pid_t pid, unsigned stops)
{
	int status;

	for (unsigned i = 0;; i++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
			return KILLED_NO;
		if (waitpid(pid, &status, __WALL) < 0) {
			/* told that it is over, while the broker sleeps: stopped, so that it can be let go */
			ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
			waitpid(pid, &status, __WALL);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			return KILLED_NO;
		}
		if (i == stops) {
			kill(pid, SIGKILL);
			return KILLED_YES;
		}
	}
}

static void run_killer(int line, pid_t pid, unsigned stops)
{
	struct sigaction action = { .sa_handler = on_over };
	enum killed killed = KILLED_REFUSED;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD) == 0 &&
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 &&
	    waitpid(pid, &status, __WALL) == pid) {
		if (write(line, "r", 1) != 1)
			_exit(1);
		killed = follow(pid, stops);
	}
	_exit(killed);
}

static struct killer killer_start(unsigned stops)
{
	struct killer killer;
	int ends[2];
	char byte;

	ck_assert_int_eq(pipe(ends), 0);
	killer.pid = fork();
	ck_assert_int_ge(killer.pid, 0);
	if (killer.pid == 0) {
		close(ends[0]);
		run_killer(ends[1], broker.pid, stops);
	}
	close(ends[1]);
	killer.line = ends[0];
	if (read(killer.line, &byte, 1) < 0)
		ck_abort();
	return killer;
}

static enum killed killer_end(struct killer *killer)
{
	siginfo_t info = { .si_pid = 0 };

	/* again and again: the word may come between its look and its sleep */
	while (info.si_pid == 0) {
		kill(killer->pid, SIGUSR1);
		ck_assert_int_eq(waitid(P_PID, (id_t)killer->pid, &info, WEXITED | WNOHANG), 0);
		if (info.si_pid == 0)
			poll(NULL, 0, 1);
	}
	close(killer->line);
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	return (enum killed)info.si_status;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static void traffic(void)
{
	for (int i = 0; i < 10; i++) {
		shmt_assert_ok(shmt_push_numbered(producer, published++, 100, 0));
		shmt_assert_ok(shmt_pop_numbered(consumer, received++, 100, 0, NULL));
	}
}

static void nothing(void)
{
}

static void create(void)
{
	shmt_create(client, "new", 4096);
}

static void drop(void)
{
	struct shmc_error error;

	shmt_assert_ok(shmc_unlink(client, "new", &error));
}

static void drop_nothing(void)
{
	struct shmc_error error;

	shmt_assert_result(shmc_unlink(client, "never", &error), SHMC_NOT_FOUND);
}

static struct shmc_spsc *opened;

static void open_new(void)
{
	opened = shmt_open(client, "new", SHMC_SPSC_PRODUCER);
}

static void close_new(void)
{
	opened = shmc_spsc_close(opened);
}

static void create_and_open(void)
{
	create();
	open_new();
}

static void close_and_drop(void)
{
	close_new();
	drop();
}

static void ask_for_doorbell(void)
{
	int fd;

	shmt_assert_ok(shmc_spsc_fd(opened, &fd, NULL));
}

static void open_receiver(void)
{
	create();
	opened = shmt_open(client, "new", SHMC_SPSC_CONSUMER);
}

static struct shmt_peer victim;

static void hold_and_stay(struct shmt_peer *other, void *context)
{
	struct shmc_client *own = shmt_connect(&broker);

	shmt_open(own, "new", SHMC_SPSC_CONSUMER);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static void have_victim(void)
{
	create_and_open();
	victim = shmt_peer_start(hold_and_stay, NULL);
	shmt_peer_await(&victim);
}

/* Filled up, so that whoever waits for room learns of the death. */
static void kill_victim(void)
{
	while (shmc_spsc_try_push(opened, "x", 1) == SHMC_OK)
		;
	shmt_peer_kill(&victim);
	shmt_assert_result(shmc_spsc_push(opened, "x", 1, SHMC_FOREVER), SHMC_PEER_DEAD);
}

static struct shmt_peer reader;

static void read_one(struct shmt_peer *other, void *context)
{
	struct shmc_client *own = shmt_connect(&broker);
	struct shmc_spsc *queue = shmt_open(own, "new", SHMC_SPSC_CONSUMER);
	struct shmc_message message;
	char byte;

	shmt_peer_tell(other);
	shmt_assert_ok(shmc_spsc_pop(queue, &byte, 1, SHMC_FOREVER, &message));
	shmc_spsc_close(queue);
	shmc_disconnect(own);
}

static void have_reader(void)
{
	create();
	reader = shmt_peer_start(read_one, NULL);
	shmt_peer_await(&reader);
}

/* Whoever waits for a producer is not told that one came and went. */
static void open_for_reader(void)
{
	open_new();
	shmt_assert_ok(shmc_spsc_try_push(opened, "x", 1));
}

static void let_reader_go(void)
{
	shmt_peer_join(&reader);
	close_and_drop();
}

struct act {
	const char *name;
	void (*before)(void);
	void (*operate)(void);
	void (*after)(void);
};

static void check_counts(void)
{
	struct shmt_raw *control = shmt_raw_open(broker.control);

	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Status", "{}"), "");
	ck_assert_int_eq(shmt_raw_int(control, "segments"), 1);
	ck_assert_int_eq(shmt_raw_int(control, "endpoints"), 2);
	shmt_raw_close(control);
}

static bool once(const struct act *act, unsigned stops)
{
	struct killer killer;
	enum killed killed;

	act->before();
	killer = killer_start(stops);
	act->operate();
	killed = killer_end(&killer);
	ck_assert_int_ne(killed, KILLED_REFUSED);
	if (killed == KILLED_YES)
		shmt_broker_next(&broker);
	traffic();
	act->after();
	check_counts();
	return killed == KILLED_YES;
}

static void kill_at_every_call(const struct act *act)
{
	static const char *const at_once[] = { "--no-backoff", NULL };
	unsigned stops = 0;

	broker = shmt_broker_supervised(at_once);
	client = shmt_connect(&broker);
	shmt_create(client, "traffic", 4096);
	producer = shmt_open(client, "traffic", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "traffic", SHMC_SPSC_CONSUMER);
	while (once(act, stops))
		stops++;
	printf("# %s: %u kill points\n", act->name, stops);
	ck_assert_uint_gt(stops, 4);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

#define KILLED_IN(sentence_, before_, operate_, after_)                                          \
	TEST(sentence_, .timeout_s = 60)                                                         \
	{                                                                                        \
		kill_at_every_call(&(const struct act){ #operate_, before_, operate_, after_ }); \
	}

KILLED_IN(a_creation_happens_once, nothing, create, drop)
KILLED_IN(an_unlink_happens_once, create, drop, nothing)
KILLED_IN(what_never_was_is_not_found_by_who_asks_twice, nothing, drop_nothing, nothing)
KILLED_IN(an_open_happens_once, create, open_new, close_and_drop)
KILLED_IN(an_open_that_is_repeated_is_no_departure, have_reader, open_for_reader, let_reader_go)
KILLED_IN(a_close_happens_once, create_and_open, close_new, drop)
KILLED_IN(a_doorbell_is_given, open_receiver, ask_for_doorbell, close_and_drop)
KILLED_IN(a_death_is_repaired, have_victim, kill_victim, close_and_drop)

SHMT_MAIN
