#include "tests/failure/launch.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/dispatch.h"
#include "daemon/letter.h"
#include "daemon/log.h"
#include "tests/support/descriptors.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

enum {
	STORED_MAX = 512,
	PIECE_MS = 20,
	UV_FDS = 2, /* libuv's, for signals, until the process ends */
};

struct launch launch;

/* What the child counts, of itself. */
static struct counts {
	bool has_ended; /* by coming back, not by _exit */
	size_t before;
	size_t after;
	size_t passed;
} * counts;

/* ---- the manager ----------------------------------------------------------------------------- */

static void receive(const struct letter *letter, struct notice *notice)
{
	launch.is_ready |= notice->is_ready;
	if (notice->removes && notice->name)
		shelf_remove(&launch.store, notice->name);
	for (size_t i = 0; notice->stores && i < letter->fd_count; i++)
		ck_assert_int_eq(shelf_add(&launch.store, notice->name,
					   fcntl(letter->fds[i], F_DUPFD_CLOEXEC, 0)),
				 0);
}

void launch_drain(void)
{
	static struct letter letter;
	struct notice notice;

	while (letter_receive(launch.notify, &letter)) {
		ck_assert(!letter.is_short);
		notice_read(letter.text, &notice);
		receive(&letter, &notice);
		letter_close(&letter);
	}
}

/* ---- the child ------------------------------------------------------------------------------- */

static const struct interface *const client_interfaces[] = { &interface_service, &interface_client,
							     NULL };
static const struct interface *const control_interfaces[] = { &interface_service,
							      &interface_control, NULL };

struct options launch_options(void)
{
	struct options options;

	options_init(&options);
	options.client_socket = launch.client;
	options.control_socket = launch.control;
	options.user = true;
	options.bytes = options.bytes_per_uid = UINT64_C(1) << 30;
	return options;
}

int launch_serve_broker(void)
{
	const struct broker_interfaces interfaces = { .client = client_interfaces,
						      .control = control_interfaces };
	const struct options options = launch_options();

	return broker_serve(&options, &interfaces);
}

static void set_number(const char *name, size_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", number);
	setenv(name, text, 1);
}

/* As a manager starts a service. */
static void lay_out(void)
{
	char *names = shelf_names(&launch.store);

	counts->passed = launch.store.count;
	if (launch.store.count > 0) {
		set_number("LISTEN_PID", (size_t)getpid());
		set_number("LISTEN_FDS", launch.store.count);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	/* no assertion: where check takes notes there may be a descriptor of ours by now */
	if (shelf_lay_out(&launch.store) < 0)
		_exit(99);
}

/* Whatever else the test has open is none of its business. */
static void close_others(void)
{
	for (int fd = 3 + (int)counts->passed; fd < 1024; fd++)
		if (fd != LAUNCH_LOG_FD)
			close(fd);
}

__attribute__((noreturn)) static void be_child(const struct fault_round *round, int (*serve)(void))
{
	int r;

	shmt_be_child();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(launch.log, LAUNCH_LOG_FD);
	log_to(LAUNCH_LOG_FD);
	lay_out();
	close_others();
	counts->before = shmt_descriptor_count();
	fault->owner = getpid();
	fault->blocks = fault->mapped_bytes = 0;
	if (round)
		fault_arm(round->chosen, round->error);
	r = serve();
	fault->is_armed = false;
	counts->after = shmt_descriptor_count();
	counts->has_ended = true;
	_exit(r);
}

/* ---- its life -------------------------------------------------------------------------------- */

void launch_open(bool has_store)
{
	char path[96];

	fault_share();
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ck_assert_ptr_ne(counts, MAP_FAILED);
	launch = (struct launch){ .folder = "/tmp/shmbroker-test.XXXXXX", .has_store = has_store };
	ck_assert_ptr_nonnull(mkdtemp(launch.folder));
	snprintf(launch.run, sizeof(launch.run), "%s/run", launch.folder);
	snprintf(launch.client, sizeof(launch.client), "%s/client", launch.run);
	snprintf(launch.control, sizeof(launch.control), "%s/control", launch.run);
	snprintf(path, sizeof(path), "%s/notify", launch.folder);
	shelf_init(&launch.store, STORED_MAX);
	launch.notify = letter_socket(path);
	launch.log = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(launch.notify, 0);
	ck_assert_int_ge(launch.log, 0);
	setenv("NOTIFY_SOCKET", path, 1);
	if (has_store)
		set_number("FDSTORE", STORED_MAX);
}

/* Calls @fn with each file of the run folder. Return: how many there are. */
static size_t each_file(void (*fn)(const char *path))
{
	DIR *dir = opendir(launch.run);
	char path[512];
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", launch.run, entry->d_name);
		fn(path);
		count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

static void remove_file(const char *path)
{
	unlink(path);
}

void launch_forget(void)
{
	launch_drain();
	shelf_deinit(&launch.store);
	shelf_init(&launch.store, STORED_MAX);
	each_file(remove_file);
	rmdir(launch.run);
}

void launch_close(void)
{
	char path[96];

	launch_forget();
	snprintf(path, sizeof(path), "%s/notify", launch.folder);
	unlink(path);
	ck_assert_int_eq(rmdir(launch.folder), 0);
	close(launch.notify);
	close(launch.log);
	munmap(counts, sizeof(*counts));
}

static bool tells_manager(void)
{
	bool is_to_manager = strcmp(fault->call, "connect") == 0 ||
			     strcmp(fault->call, "sendmsg") == 0;

	return !is_to_manager;
}

/* One that takes its manager to be gone tells nobody. */
static bool is_ready_alone(void)
{
	return fault->has_failed && !tells_manager() && strstr(launch_said(), "event=started") &&
	       (!launch.has_store || strstr(launch_said(), "event=keeper_lost"));
}

void launch_hasten(void)
{
	if (!launch.is_keeper || launch.is_hastened || !strstr(launch_said(), "event=cannot_fork"))
		return;
	launch.is_hastened = true; /* once: the next time it would end the broker */
	kill(launch.pid, SIGUSR2);
}

bool launch_begin(const struct fault_round *round, int (*serve)(void))
{
	struct pollfd fds[2] = { { .fd = launch.notify, .events = POLLIN }, { .events = POLLIN } };
	bool has_ended = false;
	unsigned long tries = 0;

	*counts = (struct counts){ .has_ended = false };
	launch.is_ready = launch.is_hastened = false;
	ck_assert_int_eq(ftruncate(launch.log, 0), 0);
	ck_assert_int_eq(lseek(launch.log, 0, SEEK_SET), 0);
	fault->is_armed = false;
	fflush(stdout);
	launch.pid = fork();
	ck_assert_int_ge(launch.pid, 0);
	if (launch.pid == 0)
		be_child(round, serve);
	fds[1].fd = (int)syscall(SYS_pidfd_open, launch.pid, 0);
	ck_assert_int_ge(fds[1].fd, 0);
	while (!launch.is_ready && !has_ended) {
		if (poll(fds, 2, PIECE_MS) == 0 && tries++ > shmt_scaled(10000) / PIECE_MS)
			ck_abort_msg("call %lu (%s): neither ready nor ended: %s",
				     round ? round->chosen : 0, fault_text(), launch_said());
		has_ended = fds[1].revents != 0;
		launch_drain();
		launch.is_ready |= is_ready_alone();
		launch_hasten();
	}
	close(fds[1].fd);
	if (launch.is_ready && !has_ended) {
		fault_disarm();
		return true;
	}
	fault_disarm();
	ck_assert_int_eq(waitpid(launch.pid, &launch.status, 0), launch.pid);
	launch_drain();
	return false;
}

int launch_stop(void)
{
	kill(launch.pid, SIGTERM);
	ck_assert_int_eq(waitpid(launch.pid, &launch.status, 0), launch.pid);
	launch_drain();
	return WIFEXITED(launch.status) ? WEXITSTATUS(launch.status) : -1;
}

void launch_kill(void)
{
	kill(launch.pid, SIGKILL);
	ck_assert_int_eq(waitpid(launch.pid, &launch.status, 0), launch.pid);
	launch_drain();
}

/* ---- what is left ---------------------------------------------------------------------------- */

const char *launch_said(void)
{
	static char text[16384];
	ssize_t bytes = pread(launch.log, text, sizeof(text) - 1, 0);

	text[bytes > 0 ? bytes : 0] = '\0';
	return text;
}

static const char *last_line(void)
{
	static char text[16384];
	char *end;

	snprintf(text, sizeof(text), "%s", launch_said());
	end = text + strlen(text);
	if (end > text && end[-1] == '\n')
		*--end = '\0';
	end = strrchr(text, '\n');
	return end ? end + 1 : text;
}

void launch_expect_complaint(const char *act)
{
	const char *line = last_line();

	if (!WIFEXITED(launch.status) || WEXITSTATUS(launch.status) == 0)
		ck_abort_msg("%s (%s): ended with status 0x%x: %s", act, fault_text(),
			     (unsigned)launch.status, launch_said());
	/* the disk is full, or nobody reads: there is no last line */
	if (strcmp(fault->call, "write") == 0)
		return;
	if (!strstr(line, "reason=\"") || !strstr(line, strerror(fault->number)))
		ck_abort_msg("%s (%s): does not say why: %s", act, fault_text(), launch_said());
}

static void print_file(const char *path)
{
	printf("# left behind: %s\n", path);
}

static void expect_no_duplicate(const char *act)
{
	for (size_t i = 0; i < launch.store.count; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(launch.store.entries[i].name, launch.store.entries[k].name) == 0)
				ck_abort_msg("%s (%s): there are two %s in the store", act,
					     fault_text(), launch.store.entries[i].name);
}

void launch_expect_nothing_left(const char *act)
{
	/* a lock file is its holder's to remove, and harmless */
	bool may_be_left = launch.has_store || strcmp(fault->call, "unlink") == 0 ||
			   strcmp(fault->call, "flock") == 0 || strcmp(fault->call, "stat64") == 0;

	if (counts->has_ended && (fault->blocks != 0 || fault->mapped_bytes != 0))
		ck_abort_msg("%s (%s): %ld blocks, %ld bytes mapped", act, fault_text(),
			     (long)fault->blocks, (long)fault->mapped_bytes);
	if (counts->has_ended && counts->passed == 0 && counts->after != counts->before &&
	    counts->after != counts->before + UV_FDS)
		ck_abort_msg("%s (%s): %zu descriptors, not %zu", act, fault_text(), counts->after,
			     counts->before);
	if (!may_be_left && each_file(print_file) > 0)
		ck_abort_msg("%s (%s): files are left behind", act, fault_text());
	expect_no_duplicate(act);
}

static void expect_done(const char *act, const char *error)
{
	if (*error)
		ck_abort_msg("%s (%s): then %s", act, fault_text(), error);
}

void launch_expect_service(const char *act)
{
	struct shmt_raw *raw = shmt_raw_open(launch.client);

	expect_done(act, shmt_raw_call(raw, "Hello", "{}"));
	expect_done(act, shmt_raw_call(raw, "Create", "{'name':'round','kind':'spsc'}"));
	expect_done(act, shmt_raw_call(raw, "Attach", "{'name':'round','role':'consumer'}"));
	expect_done(act, shmt_raw_call(raw, "Detach", "{'id':%lld,'endpoint':1,'incarnation':1}",
				       (long long)shmt_raw_int(raw, "id")));
	expect_done(act, shmt_raw_call(raw, "Unlink", "{'name':'round'}"));
	expect_done(act, shmt_raw_call(raw, "Leave", "{}"));
	shmt_raw_close(raw);
	raw = shmt_raw_open(launch.control);
	expect_done(act, shmt_raw_call(raw, "org.shmbroker.control.Ping", "{'ping':'x'}"));
	shmt_raw_close(raw);
}
