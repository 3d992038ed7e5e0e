/*
 * event_loop NAME: a consumer inside an event loop, beside a timer and the end of standard input.
 *
 * The queue's descriptor works in poll, epoll, libuv and their like. The one rule: when it is
 * readable, take messages with SHMC_TRY until the answer is EMPTY.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lines.h"

enum source {
	SOURCE_QUEUE,
	SOURCE_TIMER,
};

static void watch(int loop, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) {
		perror("event_loop");
		exit(1);
	}
}

static int every_second(void)
{
	struct itimerspec second = { .it_interval.tv_sec = 1, .it_value.tv_sec = 1 };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	timerfd_settime(fd, 0, &second, NULL);
	return fd;
}

/* Everything there is, without waiting. EMPTY: the loop goes on; anything else: that was all. */
static enum shmc_result take_all(struct shmc_spsc *queue)
{
	static char buffer[sizeof(struct line) + LINE_TEXT_BYTES];
	const size_t front = sizeof(struct line);
	struct shmc_message message;
	enum shmc_result result;

	while ((result = shmc_spsc_try_pop(queue, buffer, sizeof(buffer), &message)) == SHMC_OK) {
		if (message.size >= front)
			fwrite(buffer + front, 1, message.size - front, stdout);
	}
	fflush(stdout);
	return result;
}

static void show(const struct shmc_spsc *queue)
{
	struct shmc_statistics own;
	uint64_t depth;

	shmc_spsc_statistics(queue, &own, NULL, &depth);
	fprintf(stderr, "event_loop: %llu lines taken, %llu waiting\n",
		(unsigned long long)own.messages, (unsigned long long)depth);
}

int main(int argc, char **argv)
{
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int timer = every_second();
	enum shmc_result result = SHMC_EMPTY;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	struct shmc_error error;
	uint64_t ticks;
	int queue_fd;

	if (argc != 2) {
		fprintf(stderr, "usage: event_loop NAME\n");
		return 2;
	}
	queue = open_lines(argv[1], SHMC_SPSC_CONSUMER, &client);
	if (shmc_spsc_fd(queue, &queue_fd, &error) != SHMC_OK) {
		fprintf(stderr, "event_loop: %s\n", error.text);
		return 1;
	}
	watch(loop, queue_fd, SOURCE_QUEUE);
	watch(loop, timer, SOURCE_TIMER);

	while (result == SHMC_EMPTY) {
		struct epoll_event event;

		if (epoll_wait(loop, &event, 1, -1) != 1)
			continue;
		if (event.data.u32 == SOURCE_QUEUE)
			result = take_all(queue);
		else if (read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
			show(queue);
	}
	show(queue);
	fprintf(stderr, "event_loop: %s\n", shmc_result_text(result));

	shmc_spsc_close(queue);
	shmc_disconnect(client);
	close(timer);
	close(loop);
	return result != SHMC_CLOSED;
}
