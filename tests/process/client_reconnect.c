/* Finding a broker, losing it, and finding the next one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

static void expect_lost(const struct shmc_client_options *options, const char *words)
{
	struct shmc_client *client = NULL;
	struct shmc_error error = { .result = SHMC_OK };

	shmt_assert_result(shmc_connect(options, &client, &error), SHMC_BROKER_LOST);
	ck_assert_int_eq(error.result, SHMC_BROKER_LOST);
	ck_assert_ptr_null(client);
	shmt_assert_says(&error, words);
	shmt_assert_says(&error, "shmbrokerd --user");
}

TEST(without_a_broker_the_address_and_the_reason_are_named)
{
	size_t before = shmt_descriptor_count();

	expect_lost(&(struct shmc_client_options){ .address = "/nonexistent/socket" },
		    "/nonexistent/socket: No such file or directory");
	expect_lost(&(struct shmc_client_options){ .address = "unix:/nonexistent/socket" },
		    "/nonexistent/socket: No such file or directory");
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

TEST(all_addresses_that_were_tried_are_named)
{
	unsetenv("SHMBROKER_ADDRESS");
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	if (access("/run/shmbroker/shmbroker.sock", F_OK) == 0)
		return; /* one that really is there would answer */
	expect_lost(NULL, "/nonexistent/shmbroker/shmbroker.sock");
	expect_lost(NULL, "/run/shmbroker/shmbroker.sock");
}

TEST(an_address_that_no_socket_can_have_is_invalid)
{
	char address[200];
	struct shmc_client_options options = { .address = address };
	struct shmc_client *client = NULL;
	struct shmc_error error;

	memset(address, 'x', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	shmt_assert_result(shmc_connect(&options, &client, &error), SHMC_INVALID);
	shmt_assert_says(&error, "address");
}

TEST(the_environment_names_the_broker)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = NULL;

	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	shmt_assert_ok(shmc_connect(NULL, &client, NULL));
	client = shmc_disconnect(client);
	/* what the caller says goes before it */
	setenv("SHMBROKER_ADDRESS", "/nonexistent", 1);
	client = shmt_connect(&broker);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(the_user_s_broker_is_found_in_the_runtime_folder)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = NULL;
	char folder[96], link[128];

	snprintf(folder, sizeof(folder), "%s/shmbroker", broker.folder);
	snprintf(link, sizeof(link), "%s/shmbroker.sock", folder);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	ck_assert_int_eq(symlink(broker.address, link), 0);
	unsetenv("SHMBROKER_ADDRESS");
	setenv("XDG_RUNTIME_DIR", broker.folder, 1);
	shmt_assert_ok(shmc_connect(NULL, &client, NULL));
	shmc_disconnect(client);
	unlink(link);
	rmdir(folder);
	shmt_broker_stop(&broker);
}

/* A user's broker is away for a moment; the system's, say, is there. */
TEST(a_client_goes_back_to_its_own_broker_and_to_no_other)
{
	struct shmt_broker own = shmt_broker_start(NULL), other = shmt_broker_start(NULL);
	struct shmc_client *client = NULL;
	struct shmc_error error;

	setenv("SHMBROKER_ADDRESS", own.address, 1);
	shmt_assert_ok(shmc_connect(NULL, &client, NULL));
	shmt_create(client, "queue", 4096);
	setenv("SHMBROKER_ADDRESS", other.address, 1);
	shmt_broker_kill(&own);
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_BROKER_LOST);
	shmt_assert_says(&error, own.address);
	shmc_disconnect(client);
	shmt_broker_remove(&own);
	shmt_broker_stop(&other);
}

/* The next broker at the same address, which knows nothing of the one before. */
static void restart(struct shmt_broker *broker)
{
	const char *argv[] = { shmt_program("SHMBROKERD"), "--client-socket", broker->address,
			       "--control-socket",	   broker->control,   NULL };
	int fd = -1;

	broker->pid = fork();
	ck_assert_int_ge(broker->pid, 0);
	if (broker->pid == 0) {
		dup2(open(broker->log, O_WRONLY | O_APPEND), 2);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	while (fd < 0) {
		fd = shmt_broker_connect(broker->address);
		usleep(1000);
	}
	close(fd);
}

struct pair {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *producer;
	struct shmc_spsc *consumer;
};

static struct pair pair_open(void)
{
	struct pair pair = { .broker = shmt_broker_start(NULL) };

	pair.client = shmt_connect(&pair.broker);
	shmt_create(pair.client, "queue", 4096);
	pair.producer = shmt_open(pair.client, "queue", SHMC_SPSC_PRODUCER);
	pair.consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	return pair;
}

static void move_some(struct pair *pair)
{
	for (uint64_t i = 0; i < 1000; i++) {
		shmt_assert_ok(shmt_push_numbered(pair->producer, i, 100, SHMC_FOREVER));
		shmt_assert_ok(shmt_pop_numbered(pair->consumer, i, 100, SHMC_FOREVER, NULL));
	}
}

TEST(messages_go_on_without_a_broker)
{
	size_t before = shmt_descriptor_count();
	struct pair pair = pair_open();
	struct shmc_error error;

	shmt_broker_kill(&pair.broker);
	move_some(&pair);
	ck_assert_int_eq(shmc_spsc_peer(pair.producer), SHMC_PEER_ACTIVE);
	shmt_assert_result(shmc_spsc_create(pair.client, "new", NULL, &error), SHMC_BROKER_LOST);
	shmt_assert_says(&error, pair.broker.address);
	shmc_spsc_close(pair.producer);
	shmc_spsc_close(pair.consumer);
	shmc_disconnect(pair.client);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
	shmt_broker_remove(&pair.broker);
}

TEST(the_next_broker_is_found_by_the_next_control_call)
{
	struct pair pair = pair_open();
	struct shmc_spsc *producer, *consumer;
	struct shmc_error error;
	int fd;

	shmt_broker_kill(&pair.broker);
	shmt_assert_result(shmc_unlink(pair.client, "queue", &error), SHMC_BROKER_LOST);
	shmt_assert_result(shmc_client_resume(pair.client, &error), SHMC_BROKER_LOST);
	restart(&pair.broker);
	shmt_assert_result(shmc_client_resume(pair.client, &error), SHMC_STALE);
	shmt_assert_says(&error, "does not know what is open");
	/* what names things goes on ... */
	shmt_assert_result(shmc_unlink(pair.client, "queue", &error), SHMC_NOT_FOUND);
	shmt_create(pair.client, "queue", 4096);
	producer = shmt_open(pair.client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_try_push(producer, "new", 3));
	/* ... what is mapped works on, and what asks the broker about it says why it cannot */
	move_some(&pair);
	shmt_assert_result(shmc_spsc_fd(pair.consumer, &fd, &error), SHMC_STALE);
	shmt_assert_says(&error, "epoch");
	shmt_assert_ok(shmc_spsc_fd(consumer, &fd, &error));
	shmc_spsc_close(pair.producer);
	shmt_assert_result(shmc_client_resume(pair.client, &error), SHMC_STALE);
	shmc_spsc_close(pair.consumer);
	shmt_assert_ok(shmc_client_resume(pair.client, &error));
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(pair.client);
	shmt_broker_stop(&pair.broker);
}

TEST(a_broker_restarted_unnoticed_is_no_error)
{
	struct pair pair = pair_open();

	shmt_broker_kill(&pair.broker);
	restart(&pair.broker);
	shmt_create(pair.client, "new", 4096);
	shmc_spsc_close(pair.producer);
	shmc_spsc_close(pair.consumer);
	shmc_disconnect(pair.client);
	shmt_broker_stop(&pair.broker);
}

/* The descriptor that the next call to open one would get. */
static int next_descriptor(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

TEST(a_broken_connection_is_mended_and_the_session_goes_on)
{
	struct pair pair = { .broker = shmt_broker_start(NULL) };
	size_t before = shmt_descriptor_count();
	int connection = next_descriptor();
	struct shmc_spsc *second = NULL;
	struct shmc_error error;
	int fd;

	pair.client = shmt_connect(&pair.broker);
	shmt_create(pair.client, "queue", 4096);
	pair.producer = shmt_open(pair.client, "queue", SHMC_SPSC_PRODUCER);
	pair.consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(shutdown(connection, SHUT_RDWR), 0);
		move_some(&pair);
		/* the same session: it may ask about its endpoints, and still holds its roles */
		shmt_assert_ok(shmc_spsc_fd(pair.consumer, &fd, &error));
		shmt_assert_result(
			shmc_spsc_open(pair.client, "queue", SHMC_SPSC_CONSUMER, &second, &error),
			SHMC_BUSY);
		ck_assert_int_eq(shutdown(connection, SHUT_RDWR), 0);
		pair.consumer = shmc_spsc_close(pair.consumer);
		pair.consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	}
	shmc_spsc_close(pair.producer);
	shmc_spsc_close(pair.consumer);
	shmc_disconnect(pair.client);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
	shmt_broker_stop(&pair.broker);
}

TEST(a_hundred_connections_leave_nothing_behind)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	size_t before = shmt_descriptor_count();

	for (int i = 0; i < 100; i++)
		shmc_disconnect(shmt_connect(&broker));
	ck_assert_uint_eq(shmt_descriptor_count(), before);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
