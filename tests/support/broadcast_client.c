#include "tests/support/broadcast_client.h"

#include <sched.h>
#include <string.h>

enum {
	LONGEST = 4096
};

void shmt_broadcast_create(struct shmc_client *client, const char *name,
			   struct shmc_broadcast_options options)
{
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_broadcast_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_broadcast *shmt_writer_open(struct shmc_client *client, const char *name)
{
	struct shmc_error error = { .text = "" };
	struct shmc_broadcast *broadcast = NULL;

	ck_assert_msg(shmc_broadcast_open(client, name, SHMC_BROADCAST_WRITER, &broadcast,
					  &error) == SHMC_OK,
		      "%s", error.text);
	return broadcast;
}

struct shmc_broadcast *shmt_reader_open(struct shmc_client *client, const char *name,
					enum shmc_broadcast_from from, uint64_t position)
{
	struct shmc_error error = { .text = "" };
	struct shmc_broadcast *broadcast = NULL;

	ck_assert_msg(shmc_broadcast_open_from(client, name, from, position, &broadcast, &error) ==
			      SHMC_OK,
		      "%s", error.text);
	return broadcast;
}

enum shmc_result shmt_broadcast_send(struct shmc_broadcast *broadcast, uint64_t number,
				     uint64_t size, int64_t timeout_ns)
{
	uint64_t words[LONGEST / 8];

	for (uint64_t i = 0; i < (size + 7) / 8; i++)
		words[i] = number;
	return shmc_broadcast_push(broadcast, words, size, timeout_ns);
}

enum shmc_result shmt_broadcast_receive(struct shmc_broadcast *broadcast, uint64_t *ret_number,
					struct shmc_broadcast_message *ret_message,
					int64_t timeout_ns)
{
	struct shmc_broadcast_message message;
	uint64_t words[LONGEST / 8];
	enum shmc_result result = shmc_broadcast_pop(broadcast, words, sizeof(words), timeout_ns,
						     &message);

	if (result != SHMC_OK)
		return result;
	ck_assert_uint_ge(message.size, 8);
	for (uint64_t i = 0; i < message.size / 8; i++)
		if (words[i] != words[0])
			ck_abort_msg("a message that was not sent so");
	if (memcmp(&words[message.size / 8], words, message.size % 8) != 0)
		ck_abort_msg("a message that was not sent so");
	*ret_number = words[0];
	if (ret_message)
		*ret_message = message;
	return result;
}

void shmt_broadcast_await_sleeps(const struct shmc_broadcast *broadcast,
				 enum shmc_broadcast_role role, uint64_t count)
{
	struct shmc_broadcast_statistics now;

	do {
		sched_yield();
		shmt_assert_ok(shmc_broadcast_statistics(broadcast, &now));
	} while ((role == SHMC_BROADCAST_WRITER ? now.writers : now.readers).waits < count);
}
