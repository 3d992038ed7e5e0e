#include "tools/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/control.h"
#include "tools/report.h"
#include "tools/text.h"

#define CLIENT "org.shmbroker."

/* Where somebody waits for the end of what is printed, he does not wait for this one. */
static void be_alone(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_IGN);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}

/*
 * By its tag the creation is said once more: whoever made it, it is there then, or the name is a
 * stranger's. So it does not matter whether its maker came to hear of it.
 */
static void take_back(const struct options *options, const char *name, const char *kind,
		      uint64_t tag)
{
	struct shmp_varlink_reply reply;
	cJSON *parameters = must(cJSON_CreateObject());

	must(cJSON_AddStringToObject(parameters, "name", name));
	must(cJSON_AddStringToObject(parameters, "kind", kind));
	shmp_json_add_u64(parameters, "tag", tag);
	if (control_ask(options, CONTROL_SOCKET_CLIENT, CLIENT "Create", parameters, &reply) != 0)
		return;
	shmp_varlink_reply_deinit(&reply);
	parameters = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(parameters, "name", name));
	if (control_ask(options, CONTROL_SOCKET_CLIENT, CLIENT "Unlink", parameters, &reply) == 0)
		shmp_varlink_reply_deinit(&reply);
}

/* True when the other end said that it is not needed, false when it went without a word. */
static bool is_dismissed(int line)
{
	ssize_t got;
	char byte;

	do
		got = read(line, &byte, 1);
	while (got < 0 && errno == EINTR);
	return got > 0;
}

int guardian_start(const struct options *options, const char *name, const char *kind,
		   struct guardian *ret_guardian)
{
	struct guardian guardian = { .tag = 0 };
	int ends[2];

	if (getrandom(&guardian.tag, sizeof(guardian.tag), 0) != sizeof(guardian.tag) ||
	    pipe2(ends, O_CLOEXEC) < 0)
		return report(EXIT_REFUSED, "System", "cannot begin: %s", strerror(errno));
	guardian.tag = (guardian.tag >> 11) | 1;
	guardian.pid = fork();
	if (guardian.pid == 0) {
		close(ends[1]);
		be_alone();
		if (!is_dismissed(ends[0]))
			take_back(options, name, kind, guardian.tag);
		_exit(0);
	}
	close(ends[0]);
	guardian.line = ends[1];
	/* before anything is made: what ends the whole group does not reach it */
	if (guardian.pid > 0)
		setpgid(guardian.pid, guardian.pid);
	if (guardian.pid < 0) {
		close(ends[1]);
		return report(EXIT_REFUSED, "System", "cannot begin: %s", strerror(errno));
	}
	*ret_guardian = guardian;
	return 0;
}

void guardian_dismiss(struct guardian *guardian)
{
	if (guardian->pid == 0)
		return;
	/* it lives, unless somebody killed it */
	signal(SIGPIPE, SIG_IGN);
	(void)!write(guardian->line, "", 1);
	close(guardian->line);
	while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*guardian = GUARDIAN_NULL;
}
