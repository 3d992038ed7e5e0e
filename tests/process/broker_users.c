/*
 * Users: what the kernel says about a caller decides what he may do. Needs root, to be others.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/spsc.h"
#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define ALICE  12345
#define BOB    12346
#define NOBODY 65534
#define CREW   23456 /* a group */

#define CREATE "{'name':'a','kind':'spsc','mode':%d}"
#define ATTACH "{'name':'a','kind':'spsc','role':'%s'}"

static struct shmt_broker broker;

static void begin(const char *const *options)
{
	broker = shmt_broker_start(options);
	ck_assert_int_eq(chmod(broker.folder, 0711), 0);
}

/* Does @act as another user, who is a member of CREW if @is_crew. */
static void as(uid_t uid, bool is_crew, void (*act)(void))
{
	const gid_t crew = CREW;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(is_crew, &crew) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
			_exit(2);
		act();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

/* One call on a connection of its own; returns the error. */
static const char *call(const char *method, const char *parameters)
{
	static char error[128];
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	snprintf(error, sizeof(error), "%s", shmt_raw_call(raw, method, "%s", parameters));
	shmt_raw_close(raw);
	return error;
}

static void make_private(void)
{
	ck_assert_str_eq(call("Create", "{'name':'a','kind':'spsc'}"), "");
}

static void make_readable(void)
{
	ck_assert_str_eq(call("Create", "{'name':'a','kind':'spsc','mode':388}"), ""); /* 0604 */
}

static void try_everything_in_vain(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "Denied");
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'consumer'}"), "Denied");
	ck_assert_str_eq(call("Unlink", "{'name':'a'}"), "Denied");
}

static void resume_as_alice(void)
{
	struct shmt_raw *raw = shmt_hello(broker.address);
	char token[64];

	snprintf(token, sizeof(token), "%s", shmt_raw_string(raw, "session"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, 0600), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "producer"), "");
	shmt_raw_close(raw);
	ck_assert_int_eq(setuid(ALICE), 0);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'resume':'%s','start_time':%llu}", token,
				       shmt_start_time()),
			 "");
	ck_assert(shmt_raw_bool(raw, "resumed"));
	/* what it has it keeps, what it asks for now it asks for as who it is now */
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}"), "");
	shmt_raw_close(raw);
}

TEST(a_process_that_becomes_another_user_keeps_its_session)
{
	begin(NULL);
	as(0, false, resume_as_alice);
	shmt_broker_stop(&broker);
}

static void connect_to_control_in_vain(void)
{
	ck_assert_int_lt(shmt_broker_connect(broker.control), 0);
	ck_assert_int_eq(errno, EACCES);
}

static void use_as_owner(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	ck_assert_str_eq(call("Unlink", "{'name':'a'}"), "");
}

TEST(segments_are_private_until_said_otherwise)
{
	begin(NULL);
	as(ALICE, false, make_private);
	as(BOB, false, try_everything_in_vain);
	as(NOBODY, false, try_everything_in_vain);
	as(BOB, false, connect_to_control_in_vain);
	as(ALICE, false, use_as_owner);
	shmt_broker_stop(&broker);
}

static void read_but_not_write(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);
	char path[64];
	int data;

	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "producer"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
	data = shmt_raw_fd(raw, "data");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", data);
	ck_assert_int_lt(open(path, O_RDWR), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, data, 0), MAP_FAILED);
	ck_assert_int_lt(fallocate(data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_lt(fcntl(data, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_int_lt(fchmod(data, 0666), 0);
	ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ, MAP_SHARED, data, 0), MAP_FAILED);
}

TEST(reader_of_another_user_cannot_come_to_write_payload)
{
	begin(NULL);
	as(ALICE, false, make_readable);
	as(BOB, false, read_but_not_write);
	shmt_broker_stop(&broker);
}

static void look_but_not_write(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);
	const struct shmp_spsc_control *control;
	char path[64];
	uint8_t *ctl;

	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "observer"), "");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", shmt_raw_fd(raw, "ctl"));
	ck_assert_int_lt(open(path, O_RDWR), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, shmt_raw_fd(raw, "ctl"), 0),
			 MAP_FAILED);
	ctl = mmap(NULL, 4096, PROT_READ, MAP_SHARED, shmt_raw_fd(raw, "ctl"), 0);
	ck_assert_ptr_ne(ctl, MAP_FAILED);
	control = (const void *)(ctl + sizeof(struct shmp_head));
	/* he could requeue sleepers by the futex that he maps: nobody sleeps for long */
	ck_assert_uint_eq(atomic_load(&control->not_empty.mode), SHMP_WAITER_PIECES);
	ck_assert_uint_eq(atomic_load(&control->not_full.mode), SHMP_WAITER_PIECES);
}

static void look_in_vain(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'observer'}"), "Denied");
}

TEST(observer_of_another_user_needs_the_read_right_and_gets_no_more)
{
	begin(NULL);
	as(ALICE, false, make_readable);
	as(BOB, false, look_but_not_write);
	as(ALICE, false, use_as_owner);
	as(ALICE, false, make_private);
	as(BOB, false, look_in_vain);
	shmt_broker_stop(&broker);
}

#define GIVE "{'name':'b','kind':'spsc','mode':432,'%s':%d}"

static void give_in_vain(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	ck_assert_str_eq(shmt_raw_call(raw, "Create", GIVE, "owner", BOB), "Denied");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "only root"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", GIVE, "group", CREW), "Denied");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "group"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", GIVE, "owner", ALICE), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'b'}"), "");
}

static void give_to_the_crew(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	ck_assert_str_eq(shmt_raw_call(raw, "Create", GIVE, "group", CREW), "");
}

static void use_b(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'b','kind':'spsc','role':'producer'}"), "");
}

static void use_b_in_vain(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'b','kind':'spsc','role':'observer'}"), "Denied");
}

TEST(segments_are_given_to_others_as_files_are)
{
	struct shmt_raw *raw;

	begin(NULL);
	as(ALICE, false, give_in_vain);
	as(ALICE, true, give_to_the_crew);
	as(BOB, true, use_b);
	as(BOB, false, use_b_in_vain);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'b'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", GIVE, "owner", BOB), "");
	as(BOB, false, use_b);
	as(ALICE, false, use_b_in_vain);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

static void make_for_the_crew(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, 0660), "");
}

static void use_as_crew(void)
{
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	ck_assert_str_eq(call("Unlink", "{'name':'a'}"), "Denied");
}

/* Alice makes it with CREW as her own group. */
static void make_with_group(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(CREW) < 0 || setuid(ALICE) < 0)
			_exit(2);
		make_for_the_crew();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

TEST(group_rights_are_for_its_members_supplementary_ones_too)
{
	begin(NULL);
	make_with_group();
	as(BOB, false, try_everything_in_vain);
	as(BOB, true, use_as_crew);
	shmt_broker_stop(&broker);
}

static void create_in_vain(void)
{
	ck_assert_str_eq(call("Create", "{'name':'a','kind':'spsc'}"), "Denied");
}

TEST(overflow_user_owns_nothing)
{
	begin(NULL);
	as(NOBODY, false, create_in_vain);
	shmt_broker_stop(&broker);
}

TEST(root_may_everything)
{
	begin(NULL);
	as(ALICE, false, make_private);
	ck_assert_str_eq(call("Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	ck_assert_str_eq(call("Unlink", "{'name':'a'}"), "");
	shmt_broker_stop(&broker);
}

static void create_where_kept(void)
{
	ck_assert_str_eq(call("Create", "{'name':'robot/arm','kind':'spsc'}"), "");
	ck_assert_str_eq(call("Create", "{'name':'robot/open/x','kind':'spsc'}"), "Denied");
}

static void create_elsewhere(void)
{
	ck_assert_str_eq(call("Create", "{'name':'robot/leg','kind':'spsc'}"), "Denied");
	ck_assert_str_eq(call("Create", "{'name':'robots','kind':'spsc'}"), "");
}

static void create_as_crew(void)
{
	ck_assert_str_eq(call("Create", "{'name':'robot/open/x','kind':'spsc'}"), "");
	ck_assert_str_eq(call("Create", "{'name':'robot/leg','kind':'spsc'}"), "Denied");
}

TEST(names_under_a_prefix_are_kept_for_whom_the_configuration_says)
{
	static const char rules[] = "{\"create\":[{\"prefix\":\"robot/\",\"uids\":[12345]},"
				    "{\"prefix\":\"robot/open/\",\"gids\":[23456]}]}";
	char path[] = "/tmp/shmbroker-test.XXXXXX";
	int fd = mkstemp(path);
	const char *const options[] = { "--config", path, NULL };

	ck_assert_int_gt(write(fd, rules, strlen(rules)), 0);
	begin(options);
	as(ALICE, false, create_where_kept);
	as(BOB, false, create_elsewhere);
	as(BOB, true, create_as_crew);
	ck_assert_str_eq(call("Create", "{'name':'robot/x','kind':'spsc'}"), "");
	shmt_broker_stop(&broker);
	unlink(path);
}

static void use_up(void)
{
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'x','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'y','kind':'spsc'}"), "Quota");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "12345"));
}

TEST(limit_that_one_user_reached_is_no_other_users)
{
	static const char *const options[] = { "--segments-per-uid", "1", NULL };

	begin(options);
	as(ALICE, false, use_up);
	as(BOB, false, make_private);
	shmt_broker_stop(&broker);
}

#define LAZY_CALLS 100 /* less than what blocks the sender */

/* Descriptors on their way count against the broker's user, root excepted. */
static void serve_beside_one_that_never_reads(void)
{
	struct rlimit limit = { 128, 128 };
	struct shmt_raw *lazy, *raw;
	char text[256];

	broker = shmt_broker_start(NULL);
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	lazy = shmt_raw_open(broker.address);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "producer"), "");
	shmt_raw_call(raw, "MakeDoorbell", "{'id':1,'endpoint':0,'incarnation':1}");
	shmt_raw_send(lazy, "{\"method\":\"org.shmbroker.Attach\",\"parameters\":{\"name\":\"a\","
			    "\"kind\":\"spsc\",\"role\":\"consumer\"}}");
	snprintf(text, sizeof(text),
		 "{\"method\":\"org.shmbroker.TakeDoorbell\",\"parameters\":{\"id\":1,"
		 "\"endpoint\":0}}");
	for (int i = 0; i < LAZY_CALLS; i++)
		shmt_raw_send(lazy, text);
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "TakeDoorbell", "{'id':1,'endpoint':0}"), "");
	for (int i = 0; i < LAZY_CALLS + 1; i++)
		ck_assert_str_eq(shmt_raw_receive(lazy), "");
	shmt_raw_close(lazy);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

TEST(client_that_never_reads_takes_no_descriptors_from_others, .timeout_s = 30)
{
	as(ALICE, false, serve_beside_one_that_never_reads);
}

int main(int argc, char **argv)
{
	if (geteuid() != 0)
		return shmt_skip("needs root, to be other users");
	return shmt_run(argc, argv);
}
