/*
 * detect: from the kill of a process to its peer's knowing it, next to what the kernel takes to
 * make the pidfd of such a process readable; in an empty broker, and in one with a thousand
 * segments and two hundred clients.
 *
 * The victim is the same both times: connected, in a role, in the middle of what the kind is for. A
 * third process, on the victim's processor, notes the time and kills; the first is asleep until it
 * learns of it: a consumer and a host by PEER_DEAD, who waits for a lock by getting it.
 */
#include "bench/groups.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "shmclient/shmclient.h"

#define KILLS	       101
#define QUIET_US       3000 /* before the kill: longer than anybody spins */
#define NAME	       "bench/detect"
#define CROWD_SEGMENTS 1000
#define CROWD_CLIENTS  200

/* A kind's handle, by its own name in each. */
union handle {
	struct shmc_spsc *spsc;
	struct shmc_pipe *pipe;
	struct shmc_buffer *buffer;
};

struct kind {
	const char *name;
	void (*create)(struct shmc_client *client);
	void (*open)(struct shmc_client *client, bool is_victim, union handle *handle);
	void (*act)(union handle *handle);    /* the victim, before it dies */
	void (*await)(union handle *handle);  /* the other one, until it knows */
	void (*settle)(union handle *handle); /* between two kills: what is left is over */
	void (*close)(union handle *handle);
};

struct scene {
	_Atomic uint64_t killed_ns;
	_Atomic uint32_t victim_ready;
};

static void expect(enum shmc_result result, enum shmc_result expected, const char *what)
{
	if (result != expected)
		bench_die("detect: %s: %s", what, shmc_result_name(result));
}

/* ---- spsc ------------------------------------------------------------------------------------ */

static void spsc_create(struct shmc_client *client)
{
	expect(shmc_spsc_create(client, NAME, NULL, NULL), SHMC_OK, "create");
}

static void spsc_open(struct shmc_client *client, bool is_victim, union handle *handle)
{
	expect(shmc_spsc_open(client, NAME, is_victim ? SHMC_SPSC_PRODUCER : SHMC_SPSC_CONSUMER,
			      &handle->spsc, NULL),
	       SHMC_OK, "open");
}

static void spsc_act(union handle *handle)
{
	expect(shmc_spsc_push(handle->spsc, "ready", 5, SHMC_TRY), SHMC_OK, "push");
}

static enum shmc_result spsc_pop(union handle *handle, int64_t timeout_ns)
{
	struct shmc_message message;
	char buffer[8];

	return shmc_spsc_pop(handle->spsc, buffer, sizeof(buffer), timeout_ns, &message);
}

static void spsc_await(union handle *handle)
{
	expect(spsc_pop(handle, SHMC_FOREVER), SHMC_OK, "the message");
	expect(spsc_pop(handle, SHMC_FOREVER), SHMC_PEER_DEAD, "the death");
}

static bool is_over(enum shmc_peer peer)
{
	return peer != SHMC_PEER_ACTIVE && peer != SHMC_PEER_DYING;
}

static void spsc_settle(union handle *handle)
{
	while (!is_over(shmc_spsc_peer(handle->spsc)))
		usleep(200);
	while (spsc_pop(handle, SHMC_TRY) == SHMC_OK)
		;
}

static void spsc_close(union handle *handle)
{
	shmc_spsc_close(handle->spsc);
}

/* ---- pipe ------------------------------------------------------------------------------------ */

static void pipe_create(struct shmc_client *client)
{
	expect(shmc_pipe_create(client, NAME, NULL, NULL), SHMC_OK, "create");
}

static void pipe_open(struct shmc_client *client, bool is_victim, union handle *handle)
{
	expect(shmc_pipe_open(client, NAME, is_victim ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST, NULL,
			      &handle->pipe, NULL),
	       SHMC_OK, "open");
}

static void pipe_act(union handle *handle)
{
	expect(shmc_pipe_try_send(handle->pipe, "ready", 5), SHMC_OK, "send");
}

static enum shmc_result pipe_receive(union handle *handle, int64_t timeout_ns)
{
	struct shmc_message message;
	char buffer[8];

	return shmc_pipe_receive(handle->pipe, buffer, sizeof(buffer), timeout_ns, &message);
}

static void pipe_await(union handle *handle)
{
	expect(shmc_pipe_wait_peer(handle->pipe, SHMC_FOREVER), SHMC_OK, "the client");
	expect(pipe_receive(handle, SHMC_FOREVER), SHMC_OK, "the message");
	expect(pipe_receive(handle, SHMC_FOREVER), SHMC_PEER_DEAD, "the death");
}

/* Of a client whose death was seen otherwise, the host has yet to hear that it came. */
static void pipe_settle(union handle *handle)
{
	while (!is_over(shmc_pipe_peer(handle->pipe)))
		usleep(200);
	while (shmc_pipe_wait_peer(handle->pipe, SHMC_TRY) == SHMC_OK)
		while (pipe_receive(handle, SHMC_TRY) == SHMC_OK)
			;
}

static void pipe_close(union handle *handle)
{
	shmc_pipe_close(handle->pipe);
}

/* ---- buffer ---------------------------------------------------------------------------------- */

static void buffer_create(struct shmc_client *client)
{
	const struct shmc_buffer_options options = { .size_bytes = 4096 };

	expect(shmc_buffer_create(client, NAME, &options, NULL), SHMC_OK, "create");
}

static void buffer_open(struct shmc_client *client, bool is_victim, union handle *handle)
{
	expect(shmc_buffer_open(client, NAME, SHMC_BUFFER_WRITER, &handle->buffer, NULL), SHMC_OK,
	       "open");
}

static void buffer_act(union handle *handle)
{
	expect(shmc_buffer_lock_write(handle->buffer, SHMC_FOREVER), SHMC_OK, "lock");
}

static void buffer_await(union handle *handle)
{
	expect(shmc_buffer_lock_write(handle->buffer, SHMC_FOREVER), SHMC_OWNER_DIED, "the lock");
}

/* The kernel may have told of the death before the broker has: then it is not had yet. */
static void buffer_settle(union handle *handle)
{
	struct shmc_buffer_owner owner;

	if (shmc_buffer_owner(handle->buffer, &owner) != SHMC_OK || owner.pid != (uint32_t)getpid())
		buffer_await(handle);
	shmc_buffer_mark_consistent(handle->buffer);
	shmc_buffer_unlock(handle->buffer);
}

static void buffer_close(union handle *handle)
{
	shmc_buffer_close(handle->buffer);
}

static const struct kind kinds[] = {
	{ "spsc", spsc_create, spsc_open, spsc_act, spsc_await, spsc_settle, spsc_close },
	{ "pipe", pipe_create, pipe_open, pipe_act, pipe_await, pipe_settle, pipe_close },
	{ "buffer", buffer_create, buffer_open, buffer_act, buffer_await, buffer_settle,
	  buffer_close },
};

/* ---- killing --------------------------------------------------------------------------------- */

static pid_t fork_on(int cpu)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_pin(cpu);
	}
	return pid;
}

static void be_victim(struct scene *scene, const struct kind *kind)
{
	struct shmc_client *client = bench_daemon_connect(0);
	union handle handle;

	kind->open(client, true, &handle);
	kind->act(&handle);
	atomic_store_explicit(&scene->victim_ready, 1, memory_order_release);
	for (;;)
		pause();
}

static void be_killer(struct scene *scene, pid_t victim)
{
	usleep(QUIET_US);
	atomic_store_explicit(&scene->killed_ns, bench_clock_ns(), memory_order_release);
	kill(victim, SIGKILL);
	_exit(0);
}

static void await_pidfd(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	if (poll(&poll_fd, 1, -1) != 1)
		bench_die("detect: poll: %s", strerror(errno));
}

/* Nanoseconds from the kill until the first process knew. */
static uint64_t kill_one(struct scene *scene, const struct kind *kind, union handle *handle,
			 bool by_pidfd)
{
	pid_t victim, killer;
	uint64_t known_ns;
	int pidfd;

	atomic_store_explicit(&scene->victim_ready, 0, memory_order_release);
	victim = fork_on(bench_manner.cpu[1]);
	if (victim == 0)
		be_victim(scene, kind);
	pidfd = (int)syscall(SYS_pidfd_open, victim, 0);
	while (!atomic_load_explicit(&scene->victim_ready, memory_order_acquire))
		usleep(100);
	killer = fork_on(bench_manner.cpu[1]);
	if (killer == 0)
		be_killer(scene, victim);
	if (by_pidfd)
		await_pidfd(pidfd);
	else
		kind->await(handle);
	known_ns = bench_clock_ns();
	close(pidfd);
	waitpid(killer, NULL, 0);
	waitpid(victim, NULL, 0);
	kind->settle(handle);
	return known_ns - atomic_load_explicit(&scene->killed_ns, memory_order_acquire);
}

static void measure(struct bench_report *report, struct shmc_client *client,
		    const struct kind *kind, const char *crowd)
{
	struct scene *scene = bench_shared_new(sizeof(*scene));
	struct bench_figures *extra = bench_figures_new();
	double ours_us[KILLS], pidfd_us[KILLS], ratio[KILLS];
	struct bench_result result = BENCH_RESULT_NULL;
	union handle handle;

	kind->create(client);
	kind->open(client, false, &handle);
	kill_one(scene, kind, &handle, false);
	kill_one(scene, kind, &handle, true);
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t ours_ns = kill_one(scene, kind, &handle, false);
		uint64_t pidfd_ns = kill_one(scene, kind, &handle, true);

		bench_figures_add(extra, ours_ns > pidfd_ns ? ours_ns - pidfd_ns : 0);
		ours_us[i] = (double)ours_ns / 1e3;
		pidfd_us[i] = (double)pidfd_ns / 1e3;
		ratio[i] = (double)ours_ns / (double)pidfd_ns;
	}
	result.bench = "detect.kill";
	result.param[0] = (struct bench_param){ .name = "kind", .text = kind->name };
	result.param[1] = (struct bench_param){ .name = "others", .text = crowd };
	result.unit = "us";
	result.p50 = bench_figures_at(extra, 0.5) / 1e3;
	result.p99 = bench_figures_at(extra, 0.99) / 1e3;
	result.p999 = bench_figures_at(extra, 0.999) / 1e3;
	result.limit_p50 = bench_median(pidfd_us, KILLS);
	result.ratio = bench_median(ratio, KILLS);
	result.against = "pidfd alone";
	result.bar = 500;
	result.judged = BENCH_VALUE;
	result.rounds = KILLS;
	result.note = bench_report_text(report, "extra time; from kill to knowing it %.0f us",
					bench_median(ours_us, KILLS));
	bench_report_add(report, &result);
	kind->close(&handle);
	shmc_unlink(client, NAME, NULL);
	bench_figures_free(extra);
	bench_shared_free(scene, sizeof(*scene));
}

/* ---- the crowd ------------------------------------------------------------------------------- */

static void crowd_name(char *name, size_t bytes, int number)
{
	snprintf(name, bytes, "bench/crowd/%d", number);
}

/* Each holds a queue's end, and is asleep for good. */
static void be_crowd(struct scene *scene)
{
	struct shmc_spsc *queue;
	char name[32];

	for (int i = 0; i < CROWD_CLIENTS; i++) {
		crowd_name(name, sizeof(name), i);
		expect(shmc_spsc_open(bench_daemon_connect(0), name, SHMC_SPSC_PRODUCER, &queue,
				      NULL),
		       SHMC_OK, "open");
	}
	atomic_store_explicit(&scene->victim_ready, 1, memory_order_release);
	for (;;)
		pause();
}

static pid_t gather(struct shmc_client *client)
{
	const struct shmc_spsc_options options = { .capacity_bytes = 4096 };
	struct scene *scene = bench_shared_new(sizeof(*scene));
	char name[32];
	pid_t pid;

	for (int i = 0; i < CROWD_SEGMENTS; i++) {
		crowd_name(name, sizeof(name), i);
		expect(shmc_spsc_create(client, name, &options, NULL), SHMC_OK, "create");
	}
	pid = fork_on(bench_manner.cpu[1]);
	if (pid == 0)
		be_crowd(scene);
	while (!atomic_load_explicit(&scene->victim_ready, memory_order_acquire))
		usleep(1000);
	bench_shared_free(scene, sizeof(*scene));
	return pid;
}

static void disperse(struct shmc_client *client, pid_t pid)
{
	char name[32];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < CROWD_SEGMENTS; i++) {
		crowd_name(name, sizeof(name), i);
		shmc_unlink(client, name, NULL);
	}
}

void bench_detect_kill(struct bench_report *report)
{
	struct shmc_client *client;
	pid_t crowd;

	bench_daemon_start();
	bench_pin(bench_manner.cpu[0]);
	client = bench_daemon_connect(0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		measure(report, client, &kinds[i], "none");
	crowd = gather(client);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		measure(report, client, &kinds[i], "1000 segments, 200 clients");
	disperse(client, crowd);
	shmc_disconnect(client);
}
