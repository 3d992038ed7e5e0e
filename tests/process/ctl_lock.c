/* What shmbrokerctl tells of a lock: who holds it, since when, who waits; and of a buffer's bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/buffer_client.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

static struct shmt_result describe(const char *option)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "describe", "buffer", option, NULL };
	struct shmt_process process = shmt_process_start(argv);

	return shmt_process_finish(&process, "", 0);
}

static void expect(struct shmt_result result, const char *part)
{
	ck_assert_msg(result.code == 0 && strstr(result.out, part), "%s is not in: %s%s", part,
		      result.out, result.err);
	shmt_result_free(&result);
}

static void expect_not(struct shmt_result result, const char *part)
{
	ck_assert_msg(result.code == 0 && !strstr(result.out, part), "%s is in: %s", part,
		      result.out);
	shmt_result_free(&result);
}

TEST(describe_names_who_holds_the_lock_since_when_and_who_waits)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_buffer *buffer;
	struct shmt_puppet holder, waiter;
	char text[64];

	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	shmt_buffer_create(client, "buffer", (struct shmc_buffer_options){ 0 });
	buffer = shmt_buffer_open(client, "buffer", SHMC_BUFFER_READER);
	expect_not(describe(NULL), "lock_held_by");
	holder = shmt_puppet_start(&broker, "buffer", SHMC_BUFFER_WRITER);
	waiter = shmt_puppet_start(&broker, "buffer", SHMC_BUFFER_WRITER);
	shmt_assert_ok(shmt_puppet_do(&holder, PUPPET_LOCK_WRITE, SHMC_FOREVER));
	shmt_puppet_begin(&waiter, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(buffer, 1);
	snprintf(text, sizeof(text), "lock_held_by_pid %d", holder.peer.pid);
	expect(describe(NULL), text);
	expect(describe(NULL), "lock_held_since ");
	expect(describe(NULL), "lock_waiting 1");
	expect(describe(NULL), "active, waiting");
	expect(describe("--json"), "\"lock_held_since_ns\":");
	shmt_peer_kill(&holder.peer);
	shmt_assert_result(shmt_puppet_result(&waiter), SHMC_OWNER_DIED);
	snprintf(text, sizeof(text), "lock_held_by_pid %d", waiter.peer.pid);
	expect(describe(NULL), text);
	expect(describe(NULL), "lock_needs_recovery 1");
	expect(describe(NULL), "lock_deaths 1");
	shmt_puppet_end(&waiter);
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(peek_shows_the_bytes_of_a_buffer)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_buffer *buffer;
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "peek", "buffer", NULL };
	struct shmt_process process;

	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	shmt_buffer_create(client, "buffer", (struct shmc_buffer_options){ .size_bytes = 11 });
	buffer = shmt_buffer_open(client, "buffer", SHMC_BUFFER_WRITER);
	shmt_assert_ok(shmc_buffer_write(buffer, 0, "eleven byte", 11));
	process = shmt_process_start(argv);
	expect(shmt_process_finish(&process, "", 0), "11 B  eleven byte");
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
