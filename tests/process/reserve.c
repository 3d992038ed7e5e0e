/*
 * Memory is reserved by a helper, a child of the broker. Who ends a broker politely often tells its
 * whole group to end (systemd by default, a terminal): the helper goes on, and its client gets what
 * he asked for. Unless he has died by then: what he asked for never comes to be.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/support/broker.h"
#include "tests/support/peer.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CREATE                                                                                     \
	"{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"big\",\"kind\":\"spsc\"," \
	"\"options\":{\"capacity_bytes\":268435456}}}"

static struct shmt_broker broker;

/* 0 when it is gone. */
static pid_t parent_of(const char *pid, char *ret_state)
{
	char path[64];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d (%*[^)]) %c %d", ret_state, &parent) != 2)
		parent = 0;
	if (file)
		fclose(file);
	return parent;
}

/* 0 when there is none at the moment. */
static pid_t child_of(pid_t parent)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	pid_t child = 0;
	char state;

	ck_assert_ptr_nonnull(processes);
	while (child == 0 && (entry = readdir(processes)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name, &state) == parent)
			child = (pid_t)atoi(entry->d_name);
	closedir(processes);
	return child;
}

/* False if it was done before it was found. */
static bool create_and_signal(struct shmt_raw *raw, int number)
{
	struct pollfd reply = { .fd = raw->wire.fd, .events = POLLIN };
	pid_t helper = 0;

	shmt_raw_send(raw, CREATE);
	while (helper == 0 && poll(&reply, 1, 0) == 0)
		helper = child_of(broker.pid);
	if (helper > 0)
		kill(helper, number);
	ck_assert_str_eq(shmt_raw_receive(raw), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "");
	return helper > 0;
}

TEST(a_helper_goes_on_when_its_group_is_told_to_end, .timeout_s = 60)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	struct shmt_raw *raw;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	for (size_t i = 0; i < 3; i++)
		while (!create_and_signal(raw, numbers[i]))
			;
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

/* ---- those who asked for it are gone --------------------------------------------------------- */

static void create_and_hang(struct shmt_peer *other, void *context)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmt_raw_send(raw, CREATE);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static bool is_stopped(pid_t pid)
{
	char text[16], state = 0;

	snprintf(text, sizeof(text), "%d", pid);
	return parent_of(text, &state) == broker.pid && state == 'T';
}

/* 0 if it was done before it was found. */
static pid_t stop_helper(void)
{
	pid_t helper = child_of(broker.pid);

	while (helper > 0 && kill(helper, SIGSTOP) == 0 && child_of(broker.pid) == helper)
		if (is_stopped(helper))
			return helper;
	return 0;
}

/* What the broker answers from now on is said behind the end of the creation. */
static void let_go(pid_t helper)
{
	kill(helper, SIGCONT);
	while (kill(helper, 0) == 0)
		poll(NULL, 0, 1);
}

/* Somebody who is creating "big", and whose helper is stopped. */
static struct shmt_peer start_creator(struct shmt_raw *raw, pid_t *ret_helper)
{
	for (;;) {
		struct shmt_peer creator = shmt_peer_start(create_and_hang, NULL);

		shmt_peer_await(&creator);
		shmt_peer_tell(&creator);
		shmt_peer_await(&creator);
		*ret_helper = stop_helper();
		if (*ret_helper > 0)
			return creator;
		/* done already, or not begun yet */
		shmt_peer_kill(&creator);
		shmt_raw_call(raw, "Create", "{'name':'big','kind':'spsc','reuse':true}");
		shmt_raw_call(raw, "Unlink", "{'name':'big'}");
	}
}

TEST(what_is_being_made_for_a_dead_one_never_appears, .timeout_s = 60)
{
	struct shmt_peer creator;
	struct shmt_raw *raw;
	size_t descriptors;
	pid_t helper;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "NotFound");
	descriptors = shmt_broker_descriptors(&broker);
	creator = start_creator(raw, &helper);
	shmt_peer_kill(&creator);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "NotFound");
	let_go(helper);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "NotFound");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'big','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "");
	shmt_broker_settle(&broker, descriptors);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

TEST(who_waits_for_the_name_of_a_dead_one_makes_it, .timeout_s = 60)
{
	struct shmt_peer creator;
	struct shmt_raw *raw, *waiter;
	pid_t helper;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	waiter = shmt_raw_open(broker.address);
	creator = start_creator(raw, &helper);
	shmt_raw_send(waiter, "{\"method\":\"org.shmbroker.Create\",\"parameters\":"
			      "{\"name\":\"big\",\"kind\":\"mpmc\",\"reuse\":true}}");
	shmt_peer_kill(&creator);
	let_go(helper);
	ck_assert_str_eq(shmt_raw_receive(waiter), "");
	ck_assert(shmt_raw_bool(waiter, "created"));
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "");
	shmt_raw_close(waiter);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

/* Its process lives, and may say the call again: with its tag it is answered as made once. */
TEST(what_is_being_made_for_one_who_hung_up_is_made, .timeout_s = 60)
{
	struct shmt_raw *raw, *creator;
	pid_t helper = 0;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	while (helper == 0) {
		creator = shmt_raw_open(broker.address);
		shmt_raw_send(creator, CREATE);
		helper = stop_helper();
		shmt_raw_close(creator);
		if (helper == 0) {
			shmt_raw_call(raw, "Create", "{'name':'big','kind':'spsc','reuse':true}");
			shmt_raw_call(raw, "Unlink", "{'name':'big'}");
		}
	}
	let_go(helper);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'big','kind':'spsc'}"), "Exists");
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

/* A stopped broker reads the dead one's words before those of the living, who knows of his end. */
TEST(what_a_dead_one_has_said_is_not_done_behind_his_back, .rounds = 2)
{
	struct shmt_peer creator;
	struct shmt_raw *raw;
	int status;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	creator = shmt_peer_start(create_and_hang, NULL);
	shmt_peer_await(&creator);
	/* the broker has met it, or not */
	if (_i == 0)
		ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	kill(broker.pid, SIGSTOP);
	waitpid(broker.pid, &status, WUNTRACED);
	shmt_peer_tell(&creator);
	shmt_peer_await(&creator);
	shmt_peer_kill(&creator);
	kill(broker.pid, SIGCONT);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'big','kind':'spsc'}"), "");
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
