#include "tests/support/client.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* A number, then bytes that follow from it and their place. */
#define NUMBERED_MIN sizeof(uint64_t)

void shmt_assert_says(const struct shmc_error *error, const char *words)
{
	ck_assert_msg(strstr(error->text, words) != NULL, "\"%s\" does not say \"%s\"", error->text,
		      words);
}

struct shmc_client *shmt_connect_as(const struct shmt_broker *broker,
				    struct shmc_client_options options)
{
	struct shmc_error error = { .text = "" };
	struct shmc_client *client = NULL;

	options.address = broker->address;
	ck_assert_msg(shmc_connect(&options, &client, &error) == SHMC_OK, "%s", error.text);
	return client;
}

struct shmc_client *shmt_connect(const struct shmt_broker *broker)
{
	return shmt_connect_as(broker, (struct shmc_client_options){ .name = "test" });
}

void shmt_create(struct shmc_client *client, const char *name, uint64_t capacity_bytes)
{
	struct shmc_spsc_options options = { .capacity_bytes = capacity_bytes };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_spsc_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_spsc *shmt_open(struct shmc_client *client, const char *name, enum shmc_spsc_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_spsc *queue = NULL;

	ck_assert_msg(shmc_spsc_open(client, name, role, &queue, &error) == SHMC_OK, "%s",
		      error.text);
	return queue;
}

uint64_t shmt_numbered_size(uint64_t number, uint64_t most)
{
	uint64_t spread = most - NUMBERED_MIN + 1;

	return NUMBERED_MIN + number * UINT64_C(0x9e3779b97f4a7c15) % spread;
}

static uint8_t numbered_byte(uint64_t number, uint64_t at)
{
	return (uint8_t)(number * 31 + at);
}

static void numbered_fill(uint8_t *payload, uint64_t number, uint64_t size)
{
	memcpy(payload, &number, sizeof(number));
	for (uint64_t i = NUMBERED_MIN; i < size; i++)
		payload[i] = numbered_byte(number, i);
}

enum shmc_result shmt_push_numbered(struct shmc_spsc *queue, uint64_t number, uint64_t most,
				    int64_t timeout_ns)
{
	uint64_t size = shmt_numbered_size(number, most);
	uint8_t payload[4096];

	if (size > sizeof(payload))
		ck_abort_msg("%lu bytes are too many for this test", (unsigned long)size);
	numbered_fill(payload, number, size);
	return shmc_spsc_push(queue, payload, size, timeout_ns);
}

enum shmc_result shmt_pop_any(struct shmc_spsc *queue, uint64_t most, int64_t timeout_ns,
			      uint64_t *ret_number, uint32_t *ret_flags)
{
	uint8_t payload[4096];
	struct shmc_message message;
	enum shmc_result result = shmc_spsc_pop(queue, payload, sizeof(payload), timeout_ns,
						&message);

	if (result != SHMC_OK)
		return result;
	if (message.data != payload || message.size < NUMBERED_MIN)
		ck_abort_msg("%lu bytes at %p instead of %p", (unsigned long)message.size,
			     message.data, (void *)payload);
	memcpy(ret_number, payload, sizeof(*ret_number));
	if (message.size != shmt_numbered_size(*ret_number, most))
		ck_abort_msg("message %lu has %lu bytes", (unsigned long)*ret_number,
			     (unsigned long)message.size);
	for (uint64_t i = NUMBERED_MIN; i < message.size; i++) {
		if (payload[i] != numbered_byte(*ret_number, i))
			ck_abort_msg("message %lu differs at byte %lu", (unsigned long)*ret_number,
				     (unsigned long)i);
	}
	*ret_flags = message.flags;
	return SHMC_OK;
}

enum shmc_result shmt_pop_numbered(struct shmc_spsc *queue, uint64_t number, uint64_t most,
				   int64_t timeout_ns, uint32_t *ret_flags)
{
	uint64_t got = 0;
	uint32_t flags = 0;
	enum shmc_result result = shmt_pop_any(queue, most, timeout_ns, &got, &flags);

	if (result != SHMC_OK)
		return result;
	if (got != number)
		ck_abort_msg("message %lu instead of %lu", (unsigned long)got,
			     (unsigned long)number);
	if (ret_flags)
		*ret_flags = flags;
	return SHMC_OK;
}

uint64_t shmt_sleeps_of_peer(struct shmc_spsc *queue)
{
	struct shmc_statistics peer;

	shmt_assert_ok(shmc_spsc_statistics(queue, NULL, &peer, NULL));
	return peer.waits;
}

void shmt_await_sleeper(struct shmc_spsc *queue, uint64_t before)
{
	while (shmt_sleeps_of_peer(queue) <= before)
		sched_yield();
}
