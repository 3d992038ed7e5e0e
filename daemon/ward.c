#include "daemon/ward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/shelf.h"

#define EXIT_NO_EXEC 127

uint64_t ward_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

char **ward_words(char **argv)
{
	size_t count = 0, kept = 0;
	char **words;

	while (argv[count])
		count++;
	words = calloc(count + 1, sizeof(*words));
	for (size_t i = 0; words && i < count; i++) {
		if (strcmp(argv[i], "--supervise") != 0)
			words[kept++] = argv[i];
	}
	return words;
}

static int set_text(const char *name, const char *text)
{
	return setenv(name, text, 1) < 0 ? -errno : 0;
}

static int set_number(const char *name, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	return set_text(name, text);
}

/* 0 or -ENOMEM: a broker that knew but part of it would begin anew. */
static int set_environment(const struct ward *ward, const struct shelf *shelf)
{
	char *names = shelf_names(shelf);
	int r = names ? set_text("NOTIFY_SOCKET", ward->socket) : -ENOMEM;

	unsetenv("WATCHDOG_PID");
	if (r == 0)
		r = set_number("FDSTORE", shelf->most);
	if (r == 0)
		r = set_number("WATCHDOG_USEC", (uint64_t)ward->watchdog_ms * 1000);
	if (r == 0)
		r = set_number("LISTEN_PID", (uint64_t)getpid());
	if (r == 0)
		r = set_number("LISTEN_FDS", shelf->count);
	if (r == 0)
		r = set_text("LISTEN_FDNAMES", names);
	free(names);
	return r;
}

/* The path that this program was started by, not the file behind it: that one may be replaced. */
static const char *program(void)
{
	return (const char *)getauxval(AT_EXECFN); /* NOLINT(performance-no-int-to-ptr) */
}

__attribute__((noreturn)) static void become_broker(const struct ward *ward, struct shelf *shelf)
{
	int r = set_environment(ward, shelf);

	if (r == 0)
		r = shelf_lay_out(shelf);
	sigprocmask(SIG_SETMASK, &ward->signals, NULL);
	if (r == 0) {
		execv(program(), ward->argv);
		r = -errno;
	}
	log_event(LOG_ERR, "cannot_exec", "path=%s reason=\"%s\"", program(), strerror(-r));
	_exit(EXIT_NO_EXEC);
}

int ward_start(struct ward *ward, struct shelf *shelf)
{
	pid_t pid = fork();

	if (pid == 0)
		become_broker(ward, shelf);
	if (pid < 0)
		return -errno;
	ward->pid = pid;
	ward->is_ready = false;
	ward->started_ms = ward_now_ms();
	return 0;
}

void ward_cause(const siginfo_t *info, char cause[WARD_CAUSE_MAX])
{
	if (info->si_code == CLD_EXITED)
		snprintf(cause, WARD_CAUSE_MAX, "exit code %d", info->si_status);
	else
		snprintf(cause, WARD_CAUSE_MAX, "signal %d, %s", info->si_status,
			 strsignal(info->si_status));
}
