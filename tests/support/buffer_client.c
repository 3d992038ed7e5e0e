#include "tests/support/buffer_client.h"

#include <sched.h>

void shmt_buffer_create(struct shmc_client *client, const char *name,
			struct shmc_buffer_options options)
{
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_buffer_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_buffer *shmt_buffer_open(struct shmc_client *client, const char *name,
				     enum shmc_buffer_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_buffer *buffer = NULL;

	ck_assert_msg(shmc_buffer_open(client, name, role, &buffer, &error) == SHMC_OK, "%s",
		      error.text);
	return buffer;
}

struct shmc_buffer_owner shmt_buffer_owner(const struct shmc_buffer *buffer)
{
	struct shmc_buffer_owner owner;

	shmt_assert_ok(shmc_buffer_owner(buffer, &owner));
	return owner;
}

void shmt_buffer_await_waiting(const struct shmc_buffer *buffer, uint32_t count)
{
	while (shmt_buffer_owner(buffer).waiting != count)
		sched_yield();
}

void shmt_buffer_await_deaths(const struct shmc_buffer *buffer, uint64_t count)
{
	while (shmt_buffer_owner(buffer).deaths < count)
		sched_yield();
}

/* The puppet */

struct order {
	enum shmt_puppet_act act;
	uint8_t byte;
	int64_t value;
};

struct answer {
	enum shmc_result result;
	uint8_t byte;
};

struct stage {
	const struct shmt_broker *broker;
	const char *name;
	enum shmc_buffer_role role;
};

static enum shmc_result act(struct shmc_buffer *buffer, const struct order *order, uint8_t *byte)
{
	switch (order->act) {
	case PUPPET_LOCK_READ:
		return shmc_buffer_lock_read(buffer, order->value);
	case PUPPET_LOCK_WRITE:
		return shmc_buffer_lock_write(buffer, order->value);
	case PUPPET_UNLOCK:
		return shmc_buffer_unlock(buffer);
	case PUPPET_MARK_CONSISTENT:
		return shmc_buffer_mark_consistent(buffer);
	case PUPPET_PUT_BACK:
		return shmc_buffer_put_back(buffer);
	case PUPPET_WRITE:
		return shmc_buffer_write(buffer, (uint64_t)order->value, &order->byte, 1);
	case PUPPET_READ:
		return shmc_buffer_read(buffer, (uint64_t)order->value, byte, 1);
	case PUPPET_VERIFY:
		return shmc_buffer_verify(buffer, (uint64_t)order->value, 1, NULL, SHMC_FOREVER);
	case PUPPET_END:
		break;
	}
	return SHMC_OK;
}

static void perform(struct shmt_peer *other, void *context)
{
	const struct stage *stage = context;
	struct shmc_client *client = shmt_connect(stage->broker);
	struct shmc_buffer *buffer = shmt_buffer_open(client, stage->name, stage->role);
	struct order order = { .act = PUPPET_LOCK_READ };

	shmt_peer_tell(other);
	while (order.act != PUPPET_END) {
		struct answer answer = { .byte = 0 };

		shmt_peer_receive(other, &order, sizeof(order));
		answer.result = act(buffer, &order, &answer.byte);
		shmt_peer_send(other, &answer, sizeof(answer));
	}
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
}

struct shmt_puppet shmt_puppet_start(const struct shmt_broker *broker, const char *name,
				     enum shmc_buffer_role role)
{
	struct stage stage = { broker, name, role };
	struct shmt_puppet puppet = { .peer = shmt_peer_start(perform, &stage) };

	shmt_peer_await(&puppet.peer);
	return puppet;
}

void shmt_puppet_begin(struct shmt_puppet *puppet, enum shmt_puppet_act what, int64_t value,
		       uint8_t byte)
{
	struct order order = { .act = what, .value = value, .byte = byte };

	shmt_peer_send(&puppet->peer, &order, sizeof(order));
}

enum shmc_result shmt_puppet_result(struct shmt_puppet *puppet)
{
	struct answer answer;

	shmt_peer_receive(&puppet->peer, &answer, sizeof(answer));
	puppet->byte = answer.byte;
	return answer.result;
}

enum shmc_result shmt_puppet_do(struct shmt_puppet *puppet, enum shmt_puppet_act what,
				int64_t value)
{
	shmt_puppet_begin(puppet, what, value, 0);
	return shmt_puppet_result(puppet);
}

enum shmc_result shmt_puppet_write(struct shmt_puppet *puppet, uint64_t offset, uint8_t byte)
{
	shmt_puppet_begin(puppet, PUPPET_WRITE, (int64_t)offset, byte);
	return shmt_puppet_result(puppet);
}

uint8_t shmt_puppet_read(struct shmt_puppet *puppet, uint64_t offset)
{
	shmt_assert_ok(shmt_puppet_do(puppet, PUPPET_READ, (int64_t)offset));
	return puppet->byte;
}

void shmt_puppet_end(struct shmt_puppet *puppet)
{
	shmt_assert_ok(shmt_puppet_do(puppet, PUPPET_END, 0));
	shmt_peer_join(&puppet->peer);
}
