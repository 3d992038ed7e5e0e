#include "tests/soak/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/soak/player.h"
#include "tests/support/broker.h"

static const char first_words[] = "{\"method\":\"org.shmbroker.control.Status\"}\0"
				  "{\"method\":\"org.shmbroker.control.Monitor\",\"more\":true}";

/* Its socket is its keeper's: whoever connects while there is no broker waits. */
static void connect_anew(struct soak_watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	watch->bytes = 0;
	watch->broker = 0;
	watch->fd = shmt_broker_connect(watch->control);
	if (watch->fd >= 0)
		send(watch->fd, first_words, sizeof(first_words), MSG_NOSIGNAL);
}

struct soak_watch *soak_watch_new(const char *control)
{
	struct soak_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		abort();
	watch->control = control;
	watch->fd = -1;
	connect_anew(watch);
	return watch;
}

struct soak_watch *soak_watch_free(struct soak_watch *watch)
{
	if (watch && watch->fd >= 0)
		close(watch->fd);
	free(watch);
	return NULL;
}

static void add(struct soak_watch *watch, uint32_t kind, uint64_t since_ns)
{
	struct soak_samples *samples = &watch->samples[kind];

	if (samples->count < SOAK_SAMPLES_MAX)
		samples->us[samples->count++] = (uint32_t)((soak_now_ns() - since_ns) / 1000);
}

void soak_watch_killed(struct soak_watch *watch, pid_t pid, uint32_t kind)
{
	uint32_t index = watch->kill_count++ % SOAK_KILLS_MAX;

	watch->kills[index].pid = pid;
	watch->kills[index].kind = kind;
	watch->kills[index].ns = soak_now_ns();
}

void soak_watch_broker_killed(struct soak_watch *watch)
{
	watch->broker_killed_ns = soak_now_ns();
}

static pid_t pid_in(const char *text)
{
	const char *at = strstr(text, "\"pid\":");

	return at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
}

static void hear(struct soak_watch *watch, const char *text)
{
	pid_t pid = pid_in(text);

	if (watch->broker == 0) {
		watch->broker = pid;
		if (watch->broker_killed_ns != 0)
			add(watch, SOAK_BROKER, watch->broker_killed_ns);
		watch->broker_killed_ns = 0;
	}
	if (!strstr(text, "\"died\""))
		return;
	for (uint32_t i = 0; i < SOAK_KILLS_MAX; i++) {
		if (pid == 0 || watch->kills[i].pid != pid)
			continue;
		add(watch, watch->kills[i].kind, watch->kills[i].ns);
		watch->kills[i].pid = 0;
	}
}

static void take_lines(struct soak_watch *watch)
{
	char *begin = watch->text, *end;
	size_t left = watch->bytes;

	while ((end = memchr(begin, '\0', left))) {
		hear(watch, begin);
		left -= (size_t)(end + 1 - begin);
		begin = end + 1;
	}
	memmove(watch->text, begin, left);
	watch->bytes = left;
}

void soak_watch_look(struct soak_watch *watch, int ms)
{
	struct pollfd pollfd = { .fd = watch->fd, .events = POLLIN };
	ssize_t got;

	if (watch->fd < 0)
		connect_anew(watch);
	if (poll(&pollfd, 1, ms) <= 0)
		return;
	got = recv(watch->fd, watch->text + watch->bytes, sizeof(watch->text) - watch->bytes,
		   MSG_DONTWAIT);
	if (got > 0) {
		watch->bytes += (size_t)got;
		take_lines(watch);
	} else if (got == 0 || errno != EAGAIN) {
		connect_anew(watch);
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint32_t soak_samples_us(struct soak_samples *samples, uint32_t share)
{
	if (samples->count == 0)
		return 0;
	qsort(samples->us, samples->count, sizeof(samples->us[0]), compare);
	return samples->us[(uint64_t)(samples->count - 1) * share / 1000];
}
