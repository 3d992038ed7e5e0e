/*
 * Lifetime of what owns libuv handles, written once.
 *
 * An owner embeds struct handles, adopts each handle after its init, and finds itself in callbacks
 * by handle->data. x_close() of an owner stops what it does and closes each handle; the close
 * callback of the last one calls `last`, which closes descriptors and frees the owner. A closed
 * poll handle is out of epoll before its descriptor is closed.
 */
#ifndef SHMBROKER_HANDLES_H
#define SHMBROKER_HANDLES_H

#include <stdint.h>
#include <uv.h>

struct handles {
	void *owner;
	void (*last)(void *owner);
	uint32_t open;
};

static inline void handles_init(struct handles *handles, void *owner, void (*last)(void *owner))
{
	*handles = (struct handles){ .owner = owner, .last = last };
}

static inline void handles_adopt(struct handles *handles, uv_handle_t *handle)
{
	handle->data = handles;
	handles->open++;
}

static inline void *handles_owner(const uv_handle_t *handle)
{
	return ((struct handles *)handle->data)->owner;
}

static inline void handles_closed(uv_handle_t *handle)
{
	struct handles *handles = handle->data;

	if (--handles->open == 0)
		handles->last(handles->owner);
}

static inline void handles_close(uv_handle_t *handle)
{
	uv_close(handle, handles_closed);
}

#endif
