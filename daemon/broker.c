#include "daemon/broker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config.h"
#include "daemon/client.h"
#include "daemon/disposal.h"
#include "daemon/log.h"
#include "daemon/recovery.h"
#include "daemon/segment.h"
#include "daemon/session.h"
#include "daemon/systemd.h"
#include "protocol/waiter.h"

void broker_random_text(char *text, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[64];

	assert(bytes - 1 <= sizeof(random));
	if (getrandom(random, bytes - 1, 0) < 0)
		abort(); /* not on Linux since 5.6 */
	for (size_t i = 0; i + 1 < bytes; i++)
		text[i] = digits[random[i] & 15];
	text[bytes - 1] = '\0';
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int fail(const char *what, int error)
{
	log_event(LOG_ERR, "cannot_start", "reason=\"%s: %s\"", what, strerror(error));
	return -error;
}

static void settle_process(void)
{
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	/* one thread allocates: one arena, and freed memory goes back */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
	/* while single-threaded: later it would cost milliseconds */
	shmp_membarrier_register();
}

static void on_last(void *owner)
{
	/* the broker is its caller's */
}

static void init_quota(struct broker *broker)
{
	const struct options *options = broker->options;
	const uint64_t limit[QUOTA_KINDS] = {
		[QUOTA_CONNECTIONS] = options->connections_per_uid,
		[QUOTA_SEGMENTS] = options->segments_per_uid,
		[QUOTA_BYTES] = options->bytes_per_uid,
		[QUOTA_ENDPOINTS] = options->endpoints_per_uid,
	};

	quota_init(&broker->quota, limit);
}

static void init_rooms(struct broker *broker)
{
	init_quota(broker);
	broker->registry = REGISTRY_NULL;
	broker->state = STATE_NULL;
	broker->death_records = STATE_FILE_NULL;
	broker->bundles = BUNDLES_NULL;
	list_init(&broker->clients);
	disposals_init(&broker->disposals);
	reserve_init(&broker->reserve);
	events_init(&broker->events);
	list_init(&broker->sessions);
	traffic_init(broker);
	repairs_init(broker);
}

static int init_deaths(struct broker *broker)
{
	int r = state_file_make("shmbroker:deaths", DEATHS_ROOM * sizeof(struct death_record),
				&broker->death_records);

	if (r < 0)
		return fail("make the record of deaths", -r);
	deaths_init(&broker->deaths, broker->death_records.base, DEATHS_ROOM);
	return 0;
}

static int open_listener(struct broker *broker, struct listener *listener, const char *name,
			 const char *path, uint64_t mode, const struct interface *const *interfaces)
{
	listener->broker = broker;
	listener->name = name;
	listener->path = path;
	listener->interfaces = interfaces;
	return listener_open(listener, (unsigned)mode);
}

int broker_listen(struct broker *broker, const struct broker_interfaces *interfaces)
{
	const struct options *options = broker->options;
	int r = open_listener(broker, &broker->client_listener, "client", options->client_socket,
			      options->client_mode, interfaces->client);

	if (r == 0)
		r = open_listener(broker, &broker->control_listener, "control",
				  options->control_socket, options->control_mode,
				  interfaces->control);
	systemd_listen_done();
	if (r == 0)
		r = listener_start(&broker->client_listener);
	if (r == 0)
		r = listener_start(&broker->control_listener);
	return r;
}

static void on_watchdog(uv_timer_t *timer)
{
	systemd_notify("WATCHDOG=1");
}

static void start_watchdog(struct broker *broker)
{
	uint64_t half_ms = systemd_watchdog_us() / 2000;

	uv_timer_init(&broker->loop, &broker->watchdog);
	handles_adopt(&broker->handles, (uv_handle_t *)&broker->watchdog);
	if (half_ms > 0)
		uv_timer_start(&broker->watchdog, on_watchdog, half_ms, half_ms);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
	struct broker *broker = handles_owner((uv_handle_t *)handle);

	log_event(LOG_INFO, "stopping", "signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	systemd_notify("STOPPING=1");
	uv_stop(&broker->loop);
}

static int watch_signals(struct broker *broker)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		r = uv_signal_init(&broker->loop, &broker->stop_signals[i]);
		if (r < 0)
			break;
		handles_adopt(&broker->handles, (uv_handle_t *)&broker->stop_signals[i]);
		r = uv_signal_start(&broker->stop_signals[i], on_stop_signal, numbers[i]);
	}
	return r < 0 ? fail("watch signals", -r) : 0;
}

int broker_init(struct broker *broker, const struct options *options)
{
	int r;

	settle_process();
	*broker = (struct broker){ .options = options,
				   .client_listener = LISTENER_NULL,
				   .control_listener = LISTENER_NULL,
				   .has_passrights = true,
				   .started_ns = shmp_clock_ns() };
	broker_random_text(broker->epoch, sizeof(broker->epoch));
	handles_init(&broker->handles, broker, on_last);
	r = systemd_meet();
	if (r < 0)
		return fail("find its manager", -r);
	r = uv_loop_init(&broker->loop);
	if (r < 0)
		return fail("make its loop", -r);
	broker->has_loop = true;
	systemd_init(&broker->loop);
	init_rooms(broker);
	start_watchdog(broker);
	broker->proc_fd_dir = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->proc_fd_dir < 0) {
		int error = errno;

		log_event(LOG_ERR, "no_proc", "reason=\"/proc/self/fd: %s\"", strerror(error));
		return -error;
	}
	r = init_deaths(broker);
	if (r < 0)
		return r;
	/* before there is a socket: who can connect may also have it stopped */
	return watch_signals(broker);
}

int broker_run(struct broker *broker)
{
	log_event(LOG_INFO, "started", "version=%s pid=%d client=%s control=%s epoch=%s",
		  SHMBROKER_VERSION, getpid(), broker->client_listener.path,
		  broker->control_listener.path, broker->epoch);
	systemd_notify("READY=1\nSTATUS=Serving");
	return uv_run(&broker->loop, UV_RUN_DEFAULT) < 0 ? -EIO : 0;
}

/* The data path never notices: records stay as they are, mappings stay valid. */

static void drop_clients(struct broker *broker)
{
	while (!list_is_empty(&broker->clients)) {
		struct client *client = list_entry(broker->clients.next, struct client, link);

		client_leave(client);
		client_close(client);
	}
}

static void drop_pending(struct broker *broker)
{
	struct list *pending = &broker->repairs.pending;

	while (!list_is_empty(pending)) {
		struct segment *segment = list_entry(pending->next, struct segment, pending);

		list_remove(&segment->pending);
		segment->repairing = 0;
		segment_release(segment);
	}
}

static void drop_segments(struct broker *broker)
{
	while (broker->registry.count > 0)
		segment_unlink(broker->registry.segments[0]);
}

static void close_handles(struct broker *broker)
{
	handles_close((uv_handle_t *)&broker->traffic.turn);
	handles_close((uv_handle_t *)&broker->traffic.timer);
	handles_close((uv_handle_t *)&broker->repairs.timer);
	handles_close((uv_handle_t *)&broker->watchdog);
	for (size_t i = 0; i < 2; i++) {
		if (broker->stop_signals[i].data)
			handles_close((uv_handle_t *)&broker->stop_signals[i]);
	}
}

/* Handles only: what is being closed elsewhere may take as long as a stranger chose. */
static void run_until_closed(struct broker *broker)
{
	while (uv_loop_alive(&broker->loop) && broker->loop.closing_handles)
		uv_run(&broker->loop, UV_RUN_NOWAIT);
}

static int freeze(struct broker *broker)
{
	int r = state_freeze(&broker->state);

	return r < 0 || !state_is_there(&broker->state) ? r :
							  state_file_freeze(&broker->death_records);
}

void broker_deinit(struct broker *broker)
{
	systemd_listen_done();
	if (!broker->has_loop) { /* nor anything else */
		systemd_deinit();
		return;
	}
	broker->is_stopping = true;
	/* what the next broker needs would be emptied: leave all to the kernel, as if killed */
	if (!broker->has_abandoned)
		broker->has_abandoned = freeze(broker) < 0;
	if (broker->has_abandoned)
		return;
	listener_close(&broker->client_listener);
	listener_close(&broker->control_listener);
	reserve_close(broker);
	sessions_close(broker);
	drop_clients(broker);
	drop_segments(broker);
	drop_pending(broker);
	close_handles(broker);
	systemd_deinit();
	run_until_closed(broker);
	broker->has_abandoned = disposals_abandon(&broker->disposals);
	listener_free(&broker->client_listener);
	listener_free(&broker->control_listener);
	registry_deinit(&broker->registry);
	bundles_deinit(&broker->bundles);
	state_close(&broker->state);
	state_file_close(&broker->death_records);
	quota_deinit(&broker->quota);
	if (broker->proc_fd_dir >= 0)
		close(broker->proc_fd_dir);
	uv_loop_close(&broker->loop);
}

int broker_serve(const struct options *options, const struct broker_interfaces *interfaces)
{
	static struct broker broker;
	int r = broker_init(&broker, options);

	if (r == 0)
		r = recovery_run(&broker);
	if (r == 0)
		r = broker_listen(&broker, interfaces);
	if (r == 0)
		r = broker_run(&broker);
	broker_deinit(&broker);
	r = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	/* libuv would wait for a thread that a stranger's descriptor holds up, too */
	if (broker.has_abandoned)
		_exit(r);
	return r;
}
