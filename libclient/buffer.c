/*
 * Handles of buffers. The moves are protocol/buffer.h's and protocol/lock.h's. Two gates: reading
 * is everybody's, writing the writers'; both close in a forked child.
 */
#include "shmclient/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/error.h"
#include "libclient/lock.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "protocol/buffer.h"
#include "protocol/copy.h"

struct shmc_buffer {
	const uint32_t *read_gate;
	const uint32_t *write_gate;
	struct shmp_buffer moves;
	struct shmc__object object;
};

/* Opening and closing. */

enum shmc_result shmc_buffer_create(struct shmc_client *client, const char *name,
				    const struct shmc_buffer_options *options,
				    struct shmc_error *error)
{
	static const struct shmc_buffer_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_BUFFER_SIZE_BYTES] = options->size_bytes;
	option[SHMP_BUFFER_ENDPOINTS_MAX] = options->endpoints_max;
	option[SHMP_BUFFER_CHECKSUMS_MAX] = options->checksums_max;
	return shmc__object_create_as(client, name, &shmp_buffer_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result buffer_attach(struct shmc_buffer *buffer, const char *name,
				      enum shmc_buffer_role role, struct shmc_error *error)
{
	if (role == SHMC_BUFFER_OBSERVER) {
		buffer->read_gate = &shmc__gate_closed;
		buffer->write_gate = &shmc__gate_closed;
		return SHMC_OK;
	}
	if (shmp_buffer_attach(&buffer->object.mapping->segment, buffer->object.endpoint,
			       &buffer->moves) < 0) {
		shmc__object_close(&buffer->object);
		return shmc__error(error, SHMC_CORRUPT,
				   "%s: the lock holds bytes that no reader or writer wrote", name);
	}
	buffer->read_gate = buffer->object.alive;
	buffer->write_gate = role == SHMC_BUFFER_WRITER ? buffer->object.alive : &shmc__gate_closed;
	return SHMC_OK;
}

enum shmc_result shmc_buffer_open(struct shmc_client *client, const char *name,
				  enum shmc_buffer_role role, struct shmc_buffer **ret_buffer,
				  struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_BUFFER_READER] = "reader",
		[SHMC_BUFFER_WRITER] = "writer",
		[SHMC_BUFFER_OBSERVER] = "observer",
	};
	struct shmc_buffer *buffer;
	enum shmc_result result;

	if (role != SHMC_BUFFER_READER && role != SHMC_BUFFER_WRITER &&
	    role != SHMC_BUFFER_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither reader nor writer nor observer");
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer)
		return shmc__error_from_errno(error, "open the buffer", ENOMEM);
	result = shmc__object_open(&buffer->object, client, name, &shmp_buffer_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = buffer_attach(buffer, name, role, error);
	if (result != SHMC_OK) {
		free(buffer);
		return result;
	}
	*ret_buffer = buffer;
	return SHMC_OK;
}

struct shmc_buffer *shmc_buffer_close(struct shmc_buffer *buffer)
{
	if (buffer) {
		shmc__object_close(&buffer->object);
		free(buffer);
	}
	return NULL;
}

/* Bytes. */

static inline void buffer_count(struct shmc_buffer *buffer, uint64_t bytes)
{
	struct shmp_endpoint *self = buffer->moves.locker.self;

	shmp_endpoint_count(&self->items, 1);
	shmp_endpoint_count(&self->bytes, bytes);
}

/* The last thing that its caller does: counting comes before it, since it keeps no register. */
static inline void buffer_copy(void *to, const void *from, uint64_t bytes)
{
	if (bytes > SHMP_COPY_INLINE)
		memcpy(to, from, bytes);
	else
		shmp_copy_short(to, from, bytes);
}

/* A gate was closed, or the range lies not inside. */
static SHMP_COLD enum shmc_result buffer_refuse(const struct shmc_buffer *buffer,
						const uint32_t *gate)
{
	return shmc__gate_is_open(gate) ? SHMC_TOO_BIG : shmc__move_refuse(&buffer->object);
}

SHMC__HOT enum shmc_result shmc_buffer_write(struct shmc_buffer *buffer, uint64_t offset,
					     const void *data, uint64_t bytes)
{
	if (!shmc__gate_is_open(buffer->write_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->write_gate);
	buffer_count(buffer, bytes);
	buffer_copy(shmp_buffer_at(&buffer->moves, offset), data, bytes);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_buffer_read(struct shmc_buffer *buffer, uint64_t offset, void *data,
					    uint64_t bytes)
{
	if (!shmc__gate_is_open(buffer->read_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->read_gate);
	buffer_count(buffer, bytes);
	buffer_copy(data, shmp_buffer_at(&buffer->moves, offset), bytes);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_buffer_view(const struct shmc_buffer *buffer, uint64_t offset,
					    uint64_t bytes, const void **ret_data)
{
	if (!shmc__gate_is_open(buffer->read_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->read_gate);
	*ret_data = shmp_buffer_at(&buffer->moves, offset);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_buffer_edit(struct shmc_buffer *buffer, uint64_t offset,
					    uint64_t bytes, void **ret_data)
{
	if (!shmc__gate_is_open(buffer->write_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->write_gate);
	*ret_data = shmp_buffer_at(&buffer->moves, offset);
	return SHMC_OK;
}

/* The lock. */

SHMC__HOT enum shmc_result shmc_buffer_lock_read(struct shmc_buffer *buffer, int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(buffer->read_gate))
		return shmc__move_refuse(&buffer->object);
	r = shmc__lock_read(&buffer->object, &buffer->moves.locker, timeout_ns);
	return SHMP_LIKELY(r == SHMP_DONE) ? SHMC_OK : shmc__move_answer(&buffer->object, r);
}

SHMC__HOT enum shmc_result shmc_buffer_lock_write(struct shmc_buffer *buffer, int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(buffer->write_gate))
		return shmc__move_refuse(&buffer->object);
	r = shmc__lock_write(&buffer->object, &buffer->moves.locker, timeout_ns);
	return SHMP_LIKELY(r == SHMP_DONE) ? SHMC_OK : shmc__move_answer(&buffer->object, r);
}

SHMC__HOT enum shmc_result shmc_buffer_unlock(struct shmc_buffer *buffer)
{
	if (!shmc__gate_is_open(buffer->read_gate))
		return shmc__move_refuse(&buffer->object);
	return shmp_lock_unlock(&buffer->moves.locker) == SHMP_DONE ? SHMC_OK : SHMC_INVALID;
}

enum shmc_result shmc_buffer_mark_consistent(struct shmc_buffer *buffer)
{
	if (!shmc__gate_is_open(buffer->write_gate))
		return shmc__move_refuse(&buffer->object);
	return shmc__move_result(shmp_lock_mark_consistent(&buffer->moves.locker));
}

enum shmc_result shmc_buffer_put_back(struct shmc_buffer *buffer)
{
	if (!shmc__gate_is_open(buffer->read_gate) ||
	    buffer->moves.locker.hold == SHMP_LOCK_NOTHING)
		return shmc__move_refuse(&buffer->object);
	shmp_lock_put_back(&buffer->moves.locker);
	return SHMC_OK;
}

void shmc_buffer_guard(struct shmc_buffer **held)
{
	if (*held)
		shmc_buffer_unlock(*held);
	*held = NULL;
}

enum shmc_result shmc_buffer_owner(const struct shmc_buffer *buffer,
				   struct shmc_buffer_owner *ret_owner)
{
	const struct shmp_buffer_control *control;
	struct shmp_lock_owner owner;

	if (shmc__object_is_forked(&buffer->object))
		return SHMC_FORKED;
	control = buffer->object.mapping->segment.control;
	shmp_lock_look(&control->lock, &buffer->object.mapping->segment, &owner);
	*ret_owner = (struct shmc_buffer_owner){
		.is_held = owner.state == SHMP_LOCK_HELD,
		.pid = owner.state == SHMP_LOCK_HELD ? owner.pid : 0,
		.tid = owner.tid,
		.readers = owner.readers,
		.since_ns = owner.since_ns,
		.waiting = owner.waiting,
		.owner_died = owner.needs_recovery,
		.deaths = owner.deaths,
		.unrecoverable = owner.is_unrecoverable,
	};
	return SHMC_OK;
}

/* Checksums. */

static enum shmc_result buffer_checksum_result(int r)
{
	return r == SHMP_EMPTY ? SHMC_NOT_FOUND : shmc__move_result(r);
}

typedef int (*buffer_checksum_fn)(struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes);

/* Changes the table with the lock held to write: as it is already, or for as long as that takes. */
static enum shmc_result buffer_change_checksum(struct shmc_buffer *buffer, uint64_t offset,
					       uint64_t bytes, int64_t timeout_ns,
					       buffer_checksum_fn change)
{
	enum shmc_result result;

	if (!shmc__gate_is_open(buffer->write_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->write_gate);
	result = shmc_buffer_lock_write(buffer, timeout_ns);
	if (result == SHMC_OWNER_DIED)
		shmp_lock_put_back(&buffer->moves.locker);
	if (result != SHMC_OK)
		return result;
	result = buffer_checksum_result(change(&buffer->moves, offset, bytes));
	shmc_buffer_unlock(buffer);
	return result;
}

enum shmc_result shmc_buffer_store_checksum(struct shmc_buffer *buffer, uint64_t offset,
					    uint64_t bytes, int64_t timeout_ns)
{
	return buffer_change_checksum(buffer, offset, bytes, timeout_ns,
				      shmp_buffer_store_checksum);
}

enum shmc_result shmc_buffer_forget_checksum(struct shmc_buffer *buffer, uint64_t offset,
					     uint64_t bytes, int64_t timeout_ns)
{
	return buffer_change_checksum(buffer, offset, bytes, timeout_ns,
				      shmp_buffer_forget_checksum);
}

enum shmc_result shmc_buffer_verify(struct shmc_buffer *buffer, uint64_t offset, uint64_t bytes,
				    void *data, int64_t timeout_ns)
{
	enum shmc_result result;
	int r;

	if (!shmc__gate_is_open(buffer->read_gate) ||
	    !shmp_buffer_has(&buffer->moves, offset, bytes))
		return buffer_refuse(buffer, buffer->read_gate);
	result = shmc_buffer_lock_read(buffer, timeout_ns);
	if (result != SHMC_OK && result != SHMC_OWNER_DIED)
		return result;
	if (data)
		shmp_copy(data, shmp_buffer_at(&buffer->moves, offset), bytes);
	r = shmp_buffer_verify(&buffer->moves, offset, bytes, data);
	shmc_buffer_unlock(buffer);
	return buffer_checksum_result(r);
}

enum shmc_result shmc_buffer_checksum_range(const struct shmc_buffer *buffer, uint64_t index,
					    uint64_t *ret_offset, uint64_t *ret_bytes)
{
	if (!shmc__gate_is_open(buffer->read_gate))
		return shmc__move_refuse(&buffer->object);
	if (index >= buffer->moves.checksum_count)
		return SHMC_INVALID;
	return shmp_buffer_checksum_range(&buffer->moves, index, ret_offset, ret_bytes) ?
		       SHMC_OK :
		       SHMC_NOT_FOUND;
}

/* Looking. */

enum shmc_result shmc_buffer_look(const struct shmc_buffer *buffer, struct shmc_look *look,
				  shmc_item_fn fn, void *context)
{
	return shmc__object_look(&buffer->object, look, fn, context);
}

enum shmc_result shmc_buffer_options_of(const struct shmc_buffer *buffer,
					struct shmc_buffer_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&buffer->object))
		return SHMC_FORKED;
	option = buffer->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_buffer_options){
		.size_bytes = option[SHMP_BUFFER_SIZE_BYTES],
		.endpoints_max = option[SHMP_BUFFER_ENDPOINTS_MAX],
		.checksums_max = option[SHMP_BUFFER_CHECKSUMS_MAX],
	};
	return SHMC_OK;
}

enum shmc_result shmc_buffer_statistics(const struct shmc_buffer *buffer,
					struct shmc_statistics *ret_statistics)
{
	struct shmc_statistics sum = { 0 }, one;

	if (shmc__object_is_forked(&buffer->object))
		return SHMC_FORKED;
	for (uint32_t i = 0; i < buffer->object.mapping->segment.plan.endpoint_count; i++) {
		shmc__object_statistics(&buffer->object, i, &one);
		sum.messages += one.messages;
		sum.bytes += one.bytes;
		sum.refused += one.refused;
		sum.waits += one.waits;
	}
	*ret_statistics = sum;
	return SHMC_OK;
}

enum shmc_result shmc_buffer_endpoint(const struct shmc_buffer *buffer, uint32_t index,
				      struct shmc_buffer_endpoint *ret_endpoint)
{
	if (shmc__object_is_forked(&buffer->object))
		return SHMC_FORKED;
	if (index >= buffer->object.mapping->segment.plan.endpoint_count)
		return SHMC_INVALID;
	ret_endpoint->state = shmc__object_peer(&buffer->object, index);
	ret_endpoint->is_own = index == buffer->object.endpoint;
	shmc__object_statistics(&buffer->object, index, &ret_endpoint->did);
	return SHMC_OK;
}
