#include "tests/support/mpmc_client.h"

#include <sched.h>

void shmt_queue_create(struct shmc_client *client, const char *name,
		       struct shmc_mpmc_options options)
{
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_mpmc_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_mpmc *shmt_queue_open(struct shmc_client *client, const char *name,
				  enum shmc_mpmc_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_mpmc *queue = NULL;

	ck_assert_msg(shmc_mpmc_open(client, name, role, &queue, &error) == SHMC_OK, "%s",
		      error.text);
	return queue;
}

enum shmc_result shmt_queue_push(struct shmc_mpmc *queue, uint64_t number, int64_t timeout_ns)
{
	return shmc_mpmc_push(queue, &number, sizeof(number), timeout_ns);
}

enum shmc_result shmt_queue_pop(struct shmc_mpmc *queue, uint64_t *ret_number, uint32_t *ret_flags,
				int64_t timeout_ns)
{
	struct shmc_message message;
	enum shmc_result result = shmc_mpmc_pop(queue, ret_number, sizeof(*ret_number), timeout_ns,
						&message);

	if (result != SHMC_OK)
		return result;
	ck_assert_uint_eq(message.size, sizeof(*ret_number));
	ck_assert_ptr_eq(message.data, ret_number);
	if (ret_flags)
		*ret_flags = message.flags;
	return result;
}

struct shmc_mpmc_statistics shmt_queue_statistics(const struct shmc_mpmc *queue)
{
	struct shmc_mpmc_statistics statistics;

	shmt_assert_ok(shmc_mpmc_statistics(queue, &statistics));
	return statistics;
}

void shmt_queue_await_sleeps(const struct shmc_mpmc *queue, enum shmc_mpmc_role role,
			     uint64_t count)
{
	struct shmc_mpmc_statistics now;

	do {
		sched_yield();
		now = shmt_queue_statistics(queue);
	} while ((role == SHMC_MPMC_PRODUCER ? now.producers : now.consumers).waits < count);
}
