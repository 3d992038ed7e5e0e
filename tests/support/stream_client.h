/*
 * Streams through the library: open one, and move frames that say which they are. The number decides
 * every byte.
 */
#ifndef SHMT_STREAM_CLIENT_H
#define SHMT_STREAM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/client.h"

void shmt_frames_create(struct shmc_client *client, const char *name, uint64_t capacity_bytes);
struct shmc_stream *shmt_frames_open(struct shmc_client *client, const char *name,
				     enum shmc_stream_role role);

void shmt_frame_fill(void *data, uint64_t size, uint64_t number);
bool shmt_frame_is(const void *data, uint64_t size, uint64_t number);

/* Fills it in place. */
enum shmc_result shmt_frame_write(struct shmc_stream *stream, uint64_t size, uint64_t number,
				  int64_t timeout_ns);
/* Reads a frame that must be this one, in place, and releases it. */
enum shmc_result shmt_frame_read(struct shmc_stream *stream, uint64_t size, uint64_t number,
				 int64_t timeout_ns, struct shmc_frame *ret_frame);
/* The same with sequence number @number and no flags but @flags. */
void shmt_frame_expect(struct shmc_stream *stream, uint64_t size, uint64_t number, uint32_t flags);

struct shmc_stream_status shmt_frames_status(const struct shmc_stream *stream);

#endif
