/*
 * The layouts that processes built on different days must agree on, as the compiler has them,
 * compared with the checked-in list: what changes there has changed on purpose, and is a new
 * version of that layout. `layout --print` prints the list.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/array.h"
#include "protocol/atomic.h"
#include "protocol/broadcast.h"
#include "protocol/buffer.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/lock.h"
#include "protocol/mpmc.h"
#include "protocol/outcome.h"
#include "protocol/pipe.h"
#include "protocol/pool.h"
#include "protocol/record.h"
#include "protocol/ring.h"
#include "protocol/schema.h"
#include "protocol/segment.h"
#include "protocol/spsc.h"
#include "protocol/stream.h"
#include "protocol/type.h"
#include "protocol/waiter.h"
#include "shmclient/shmclient.h"
#include "tests/support/runner.h"

struct layout_field {
	const char *name;
	size_t offset, size;
};

static const struct layout_struct {
	const char *name;
	size_t size, alignment;
	struct layout_field fields[20];
} layout_structs[] = {
#define STRUCT(name_) "struct " #name_, sizeof(struct name_), _Alignof(struct name_)
#define FIELD(struct_, name_)                                                                 \
	{                                                                                     \
#name_, offsetof(struct struct_, name_), sizeof(((struct struct_ *)0)->name_) \
	}

	/* in shared memory */
	{ STRUCT(shmp_head),
	  { FIELD(shmp_head, magic), FIELD(shmp_head, version), FIELD(shmp_head, kind),
	    FIELD(shmp_head, kind_version), FIELD(shmp_head, endpoint_count),
	    FIELD(shmp_head, generation), FIELD(shmp_head, ctl_bytes), FIELD(shmp_head, data_bytes),
	    FIELD(shmp_head, control_bytes), FIELD(shmp_head, created_ns), FIELD(shmp_head, option),
	    FIELD(shmp_head, reserved) } },
	{ STRUCT(shmp_endpoint),
	  { FIELD(shmp_endpoint, cursor), FIELD(shmp_endpoint, items), FIELD(shmp_endpoint, bytes),
	    FIELD(shmp_endpoint, intent), FIELD(shmp_endpoint, refused),
	    FIELD(shmp_endpoint, waits), FIELD(shmp_endpoint, park_key),
	    FIELD(shmp_endpoint, doorbell), FIELD(shmp_endpoint, owner_reserved),
	    FIELD(shmp_endpoint, state), FIELD(shmp_endpoint, start_time),
	    FIELD(shmp_endpoint, since_ns), FIELD(shmp_endpoint, pid), FIELD(shmp_endpoint, uid),
	    FIELD(shmp_endpoint, deaths), FIELD(shmp_endpoint, broker_reserved) } },
	{ STRUCT(shmp_waiter),
	  { FIELD(shmp_waiter, sequence), FIELD(shmp_waiter, mode), FIELD(shmp_waiter, attention),
	    FIELD(shmp_waiter, reserved) } },
	{ STRUCT(shmp_spsc_control),
	  { FIELD(shmp_spsc_control, not_empty), FIELD(shmp_spsc_control, not_full) } },
	{ STRUCT(shmp_stream_mark),
	  { FIELD(shmp_stream_mark, position), FIELD(shmp_stream_mark, sequence) } },
	{ STRUCT(shmp_stream_control),
	  { FIELD(shmp_stream_control, ring), FIELD(shmp_stream_control, metadata),
	    FIELD(shmp_stream_control, skipped), FIELD(shmp_stream_control, writer_reserved),
	    FIELD(shmp_stream_control, marks), FIELD(shmp_stream_control, reader_reserved) } },
	{ STRUCT(shmp_pipe_control),
	  { FIELD(shmp_pipe_control, not_empty), FIELD(shmp_pipe_control, not_full),
	    FIELD(shmp_pipe_control, reader) } },
	{ STRUCT(shmp_mpmc_control),
	  { FIELD(shmp_mpmc_control, tail), FIELD(shmp_mpmc_control, tail_reserved),
	    FIELD(shmp_mpmc_control, head), FIELD(shmp_mpmc_control, head_reserved),
	    FIELD(shmp_mpmc_control, epoch), FIELD(shmp_mpmc_control, tombs),
	    FIELD(shmp_mpmc_control, dropped), FIELD(shmp_mpmc_control, epoch_reserved),
	    FIELD(shmp_mpmc_control, not_empty), FIELD(shmp_mpmc_control, not_full),
	    FIELD(shmp_mpmc_control, reserved) } },
	{ STRUCT(shmp_mpmc_tally), { FIELD(shmp_mpmc_tally, others) } },
	{ STRUCT(shmp_mpmc_slot),
	  { FIELD(shmp_mpmc_slot, word), FIELD(shmp_mpmc_slot, about),
	    FIELD(shmp_mpmc_slot, payload) } },
	{ STRUCT(shmp_record_control),
	  { FIELD(shmp_record_control, newest), FIELD(shmp_record_control, version),
	    FIELD(shmp_record_control, reserved), FIELD(shmp_record_control, lock),
	    FIELD(shmp_record_control, committed), FIELD(shmp_record_control, waiter_reserved) } },
	{ STRUCT(shmp_schema),
	  { FIELD(shmp_schema, magic), FIELD(shmp_schema, format), FIELD(shmp_schema, field_count),
	    FIELD(shmp_schema, record_bytes), FIELD(shmp_schema, layout_hash),
	    FIELD(shmp_schema, version), FIELD(shmp_schema, reserved) } },
	{ STRUCT(shmp_schema_field),
	  { FIELD(shmp_schema_field, name), FIELD(shmp_schema_field, type),
	    FIELD(shmp_schema_field, count), FIELD(shmp_schema_field, bytes),
	    FIELD(shmp_schema_field, parent), FIELD(shmp_schema_field, offset),
	    FIELD(shmp_schema_field, reserved) } },
	{ STRUCT(shmp_pool_control),
	  { FIELD(shmp_pool_control, freed), FIELD(shmp_pool_control, repaired),
	    FIELD(shmp_pool_control, returned), FIELD(shmp_pool_control, reserved) } },
	{ STRUCT(shmp_ring_tally),
	  { FIELD(shmp_ring_tally, position), FIELD(shmp_ring_tally, lost),
	    FIELD(shmp_ring_tally, skipped), FIELD(shmp_ring_tally, reserved) } },
	{ STRUCT(shmp_ring_control),
	  { FIELD(shmp_ring_control, not_empty), FIELD(shmp_ring_control, not_full),
	    FIELD(shmp_ring_control, floor), FIELD(shmp_ring_control, reserved),
	    FIELD(shmp_ring_control, tally) } },
	{ STRUCT(shmp_atomic_control),
	  { FIELD(shmp_atomic_control, changed), FIELD(shmp_atomic_control, reserved) } },
	{ STRUCT(shmp_atomic_value),
	  { FIELD(shmp_atomic_value, wide), FIELD(shmp_atomic_value, narrow),
	    FIELD(shmp_atomic_value, narrow_reserved), FIELD(shmp_atomic_value, reserved) } },
	{ STRUCT(shmp_lock),
	  { FIELD(shmp_lock, word), FIELD(shmp_lock, since_ns), FIELD(shmp_lock, tid),
	    FIELD(shmp_lock, reach), FIELD(shmp_lock, deaths), FIELD(shmp_lock, turns),
	    FIELD(shmp_lock, reserved), FIELD(shmp_lock, freed), FIELD(shmp_lock, left) } },
	{ STRUCT(shmp_buffer_control), { FIELD(shmp_buffer_control, lock) } },
	{ STRUCT(shmp_buffer_checksum),
	  { FIELD(shmp_buffer_checksum, offset), FIELD(shmp_buffer_checksum, bytes),
	    FIELD(shmp_buffer_checksum, sum), FIELD(shmp_buffer_checksum, reserved) } },

	{ STRUCT(shmp_broadcast_control),
	  { FIELD(shmp_broadcast_control, tail), FIELD(shmp_broadcast_control, tail_reserved),
	    FIELD(shmp_broadcast_control, horizon), FIELD(shmp_broadcast_control, secret),
	    FIELD(shmp_broadcast_control, horizon_reserved), FIELD(shmp_broadcast_control, tickets),
	    FIELD(shmp_broadcast_control, serving), FIELD(shmp_broadcast_control, late),
	    FIELD(shmp_broadcast_control, tickets_reserved),
	    FIELD(shmp_broadcast_control, boundary), FIELD(shmp_broadcast_control, not_empty),
	    FIELD(shmp_broadcast_control, not_full) } },
	{ STRUCT(shmp_broadcast_header),
	  { FIELD(shmp_broadcast_header, tag), FIELD(shmp_broadcast_header, about),
	    FIELD(shmp_broadcast_header, sequence) } },

	/* between an application and the library */
	{ STRUCT(shmc_client_options),
	  { FIELD(shmc_client_options, address), FIELD(shmc_client_options, name),
	    FIELD(shmc_client_options, spin_ns), FIELD(shmc_client_options, control_timeout_ns) } },
	{ STRUCT(shmc_error), { FIELD(shmc_error, result), FIELD(shmc_error, text) } },
	{ STRUCT(shmc_message),
	  { FIELD(shmc_message, data), FIELD(shmc_message, size), FIELD(shmc_message, flags),
	    FIELD(shmc_message, reserved) } },
	{ STRUCT(shmc_codec),
	  { FIELD(shmc_codec, name), FIELD(shmc_codec, flags), FIELD(shmc_codec, reserved),
	    FIELD(shmc_codec, measure), FIELD(shmc_codec, encode), FIELD(shmc_codec, decode),
	    FIELD(shmc_codec, clear) } },
	{ STRUCT(shmc_codec_struct),
	  { FIELD(shmc_codec_struct, codec), FIELD(shmc_codec_struct, number),
	    FIELD(shmc_codec_struct, bytes) } },
	{ STRUCT(shmc_port),
	  { FIELD(shmc_port, kind), FIELD(shmc_port, handle), FIELD(shmc_port, alive),
	    FIELD(shmc_port, message_bytes_max), FIELD(shmc_port, message), FIELD(shmc_port, loan),
	    FIELD(shmc_port, position), FIELD(shmc_port, is_holding),
	    FIELD(shmc_port, reserved) } },
	{ STRUCT(shmc_bytes), { FIELD(shmc_bytes, data), FIELD(shmc_bytes, size) } },
	{ STRUCT(shmc_statistics),
	  { FIELD(shmc_statistics, messages), FIELD(shmc_statistics, bytes),
	    FIELD(shmc_statistics, refused), FIELD(shmc_statistics, waits) } },
	{ STRUCT(shmc_create_options),
	  { FIELD(shmc_create_options, flags), FIELD(shmc_create_options, owner),
	    FIELD(shmc_create_options, group), FIELD(shmc_create_options, reserved) } },
	{ STRUCT(shmc_item),
	  { FIELD(shmc_item, what), FIELD(shmc_item, name), FIELD(shmc_item, state),
	    FIELD(shmc_item, text), FIELD(shmc_item, position), FIELD(shmc_item, number),
	    FIELD(shmc_item, endpoint), FIELD(shmc_item, flags), FIELD(shmc_item, reserved),
	    FIELD(shmc_item, size), FIELD(shmc_item, data), FIELD(shmc_item, data_bytes) } },
	{ STRUCT(shmc_look),
	  { FIELD(shmc_look, from), FIELD(shmc_look, max), FIELD(shmc_look, buffer),
	    FIELD(shmc_look, buffer_bytes), FIELD(shmc_look, missed), FIELD(shmc_look, flags),
	    FIELD(shmc_look, reserved) } },
	{ STRUCT(shmc_pipe_field),
	  { FIELD(shmc_pipe_field, name), FIELD(shmc_pipe_field, type),
	    FIELD(shmc_pipe_field, offset), FIELD(shmc_pipe_field, bytes),
	    FIELD(shmc_pipe_field, reserved) } },
	{ STRUCT(shmc_pipe_type),
	  { FIELD(shmc_pipe_type, name), FIELD(shmc_pipe_type, bytes),
	    FIELD(shmc_pipe_type, fields), FIELD(shmc_pipe_type, field_count),
	    FIELD(shmc_pipe_type, reserved) } },
	{ STRUCT(shmc_pipe_types),
	  { FIELD(shmc_pipe_types, host), FIELD(shmc_pipe_types, client) } },
	{ STRUCT(shmc_pipe_options),
	  { FIELD(shmc_pipe_options, capacity_bytes), FIELD(shmc_pipe_options, message_bytes_max),
	    FIELD(shmc_pipe_options, types), FIELD(shmc_pipe_options, mode),
	    FIELD(shmc_pipe_options, reuse), FIELD(shmc_pipe_options, common) } },
	{ STRUCT(shmc_pipe_info),
	  { FIELD(shmc_pipe_info, capacity_bytes), FIELD(shmc_pipe_info, message_bytes_max),
	    FIELD(shmc_pipe_info, host_bytes), FIELD(shmc_pipe_info, host_type),
	    FIELD(shmc_pipe_info, client_bytes), FIELD(shmc_pipe_info, client_type) } },
	{ STRUCT(shmc_pipe_direction),
	  { FIELD(shmc_pipe_direction, sent), FIELD(shmc_pipe_direction, sent_bytes),
	    FIELD(shmc_pipe_direction, received), FIELD(shmc_pipe_direction, received_bytes),
	    FIELD(shmc_pipe_direction, stale), FIELD(shmc_pipe_direction, depth) } },
	{ STRUCT(shmc_pipe_statistics),
	  { FIELD(shmc_pipe_statistics, to_client), FIELD(shmc_pipe_statistics, to_host),
	    FIELD(shmc_pipe_statistics, host), FIELD(shmc_pipe_statistics, client),
	    FIELD(shmc_pipe_statistics, session) } },
	{ STRUCT(shmc_spsc_options),
	  { FIELD(shmc_spsc_options, capacity_bytes), FIELD(shmc_spsc_options, message_bytes_max),
	    FIELD(shmc_spsc_options, mode), FIELD(shmc_spsc_options, reuse),
	    FIELD(shmc_spsc_options, common), FIELD(shmc_spsc_options, checksum),
	    FIELD(shmc_spsc_options, reserved) } },
	{ STRUCT(shmc_stream_options),
	  { FIELD(shmc_stream_options, capacity_bytes),
	    FIELD(shmc_stream_options, metadata_bytes_max), FIELD(shmc_stream_options, mode),
	    FIELD(shmc_stream_options, reuse), FIELD(shmc_stream_options, common) } },
	{ STRUCT(shmc_frame),
	  { FIELD(shmc_frame, data), FIELD(shmc_frame, size), FIELD(shmc_frame, sequence),
	    FIELD(shmc_frame, expected), FIELD(shmc_frame, flags), FIELD(shmc_frame, reserved),
	    FIELD(shmc_frame, position), FIELD(shmc_frame, loan) } },
	{ STRUCT(shmc_stream_status),
	  { FIELD(shmc_stream_status, metadata_size),
	    FIELD(shmc_stream_status, metadata_free_bytes),
	    FIELD(shmc_stream_status, metadata_written_bytes),
	    FIELD(shmc_stream_status, payload_size), FIELD(shmc_stream_status, payload_free_bytes),
	    FIELD(shmc_stream_status, payload_write_position),
	    FIELD(shmc_stream_status, payload_read_position),
	    FIELD(shmc_stream_status, payload_written_count),
	    FIELD(shmc_stream_status, payload_read_count),
	    FIELD(shmc_stream_status, payload_skipped_count),
	    FIELD(shmc_stream_status, last_sequence), FIELD(shmc_stream_status, writer_pid),
	    FIELD(shmc_stream_status, reader_pid), FIELD(shmc_stream_status, writer),
	    FIELD(shmc_stream_status, reader) } },
	{ STRUCT(shmc_mpmc_options),
	  { FIELD(shmc_mpmc_options, slots), FIELD(shmc_mpmc_options, message_bytes_max),
	    FIELD(shmc_mpmc_options, endpoints_max), FIELD(shmc_mpmc_options, mode),
	    FIELD(shmc_mpmc_options, reuse), FIELD(shmc_mpmc_options, no_redelivery),
	    FIELD(shmc_mpmc_options, checksum), FIELD(shmc_mpmc_options, common) } },
	{ STRUCT(shmc_mpmc_statistics),
	  { FIELD(shmc_mpmc_statistics, producers), FIELD(shmc_mpmc_statistics, consumers),
	    FIELD(shmc_mpmc_statistics, depth), FIELD(shmc_mpmc_statistics, tombstones),
	    FIELD(shmc_mpmc_statistics, dropped) } },
	{ STRUCT(shmc_broadcast_options),
	  { FIELD(shmc_broadcast_options, capacity_bytes),
	    FIELD(shmc_broadcast_options, message_bytes_max),
	    FIELD(shmc_broadcast_options, writers_max), FIELD(shmc_broadcast_options, readers_max),
	    FIELD(shmc_broadcast_options, policy), FIELD(shmc_broadcast_options, exclusive),
	    FIELD(shmc_broadcast_options, mode), FIELD(shmc_broadcast_options, reuse),
	    FIELD(shmc_broadcast_options, common) } },
	{ STRUCT(shmc_broadcast_message),
	  { FIELD(shmc_broadcast_message, data), FIELD(shmc_broadcast_message, size),
	    FIELD(shmc_broadcast_message, flags), FIELD(shmc_broadcast_message, writer),
	    FIELD(shmc_broadcast_message, sequence), FIELD(shmc_broadcast_message, lost),
	    FIELD(shmc_broadcast_message, position) } },
	{ STRUCT(shmc_broadcast_statistics),
	  { FIELD(shmc_broadcast_statistics, writers), FIELD(shmc_broadcast_statistics, readers),
	    FIELD(shmc_broadcast_statistics, lost), FIELD(shmc_broadcast_statistics, behind_bytes),
	    FIELD(shmc_broadcast_statistics, position) } },
	{ STRUCT(shmc_broadcast_endpoint),
	  { FIELD(shmc_broadcast_endpoint, state), FIELD(shmc_broadcast_endpoint, role),
	    FIELD(shmc_broadcast_endpoint, is_own), FIELD(shmc_broadcast_endpoint, reserved),
	    FIELD(shmc_broadcast_endpoint, moved), FIELD(shmc_broadcast_endpoint, lost),
	    FIELD(shmc_broadcast_endpoint, behind_bytes) } },
	{ STRUCT(shmc_mpmc_endpoint),
	  { FIELD(shmc_mpmc_endpoint, state), FIELD(shmc_mpmc_endpoint, is_own),
	    FIELD(shmc_mpmc_endpoint, pushed), FIELD(shmc_mpmc_endpoint, popped) } },
	{ STRUCT(shmc_field),
	  { FIELD(shmc_field, name), FIELD(shmc_field, type), FIELD(shmc_field, count),
	    FIELD(shmc_field, bytes), FIELD(shmc_field, field_count), FIELD(shmc_field, fields) } },
	{ STRUCT(shmc_record_options),
	  { FIELD(shmc_record_options, fields), FIELD(shmc_record_options, field_count),
	    FIELD(shmc_record_options, mode), FIELD(shmc_record_options, version),
	    FIELD(shmc_record_options, endpoints_max), FIELD(shmc_record_options, common),
	    FIELD(shmc_record_options, reuse), FIELD(shmc_record_options, reserved) } },
	{ STRUCT(shmc_record_expected),
	  { FIELD(shmc_record_expected, fields), FIELD(shmc_record_expected, field_count),
	    FIELD(shmc_record_expected, rule), FIELD(shmc_record_expected, version),
	    FIELD(shmc_record_expected, accept), FIELD(shmc_record_expected, context) } },
	{ STRUCT(shmc_place),
	  { FIELD(shmc_place, offset), FIELD(shmc_place, length_at), FIELD(shmc_place, index),
	    FIELD(shmc_place, type), FIELD(shmc_place, count), FIELD(shmc_place, bytes),
	    FIELD(shmc_place, field), FIELD(shmc_place, reserved) } },
	{ STRUCT(shmc_field_info),
	  { FIELD(shmc_field_info, name), FIELD(shmc_field_info, type),
	    FIELD(shmc_field_info, count), FIELD(shmc_field_info, bytes),
	    FIELD(shmc_field_info, parent), FIELD(shmc_field_info, offset) } },
	{ STRUCT(shmc_array_options),
	  { FIELD(shmc_array_options, element_bytes), FIELD(shmc_array_options, elements),
	    FIELD(shmc_array_options, element_type), FIELD(shmc_array_options, endpoints_max),
	    FIELD(shmc_array_options, mode), FIELD(shmc_array_options, reuse),
	    FIELD(shmc_array_options, common) } },
	{ STRUCT(shmc_pool_options),
	  { FIELD(shmc_pool_options, object_bytes), FIELD(shmc_pool_options, objects),
	    FIELD(shmc_pool_options, endpoints_max), FIELD(shmc_pool_options, mode),
	    FIELD(shmc_pool_options, reuse), FIELD(shmc_pool_options, common) } },
	{ STRUCT(shmc_pool_statistics),
	  { FIELD(shmc_pool_statistics, free), FIELD(shmc_pool_statistics, owned),
	    FIELD(shmc_pool_statistics, in_transit_to_one),
	    FIELD(shmc_pool_statistics, in_transit_to_anyone),
	    FIELD(shmc_pool_statistics, acquired), FIELD(shmc_pool_statistics, released),
	    FIELD(shmc_pool_statistics, returned), FIELD(shmc_pool_statistics, refused),
	    FIELD(shmc_pool_statistics, waits) } },
	{ STRUCT(shmc_ring_options),
	  { FIELD(shmc_ring_options, element_bytes), FIELD(shmc_ring_options, elements),
	    FIELD(shmc_ring_options, element_type), FIELD(shmc_ring_options, mode),
	    FIELD(shmc_ring_options, reuse), FIELD(shmc_ring_options, common) } },
	{ STRUCT(shmc_ring_span),
	  { FIELD(shmc_ring_span, data), FIELD(shmc_ring_span, count),
	    FIELD(shmc_ring_span, position), FIELD(shmc_ring_span, lost),
	    FIELD(shmc_ring_span, redelivered) } },
	{ STRUCT(shmc_ring_totals),
	  { FIELD(shmc_ring_totals, pushed), FIELD(shmc_ring_totals, popped),
	    FIELD(shmc_ring_totals, skipped), FIELD(shmc_ring_totals, overwritten),
	    FIELD(shmc_ring_totals, depth), FIELD(shmc_ring_totals, push_refused),
	    FIELD(shmc_ring_totals, pop_refused), FIELD(shmc_ring_totals, push_waits),
	    FIELD(shmc_ring_totals, pop_waits) } },
	{ STRUCT(shmc_atomic_options),
	  { FIELD(shmc_atomic_options, type), FIELD(shmc_atomic_options, endpoints_max),
	    FIELD(shmc_atomic_options, mode), FIELD(shmc_atomic_options, reuse),
	    FIELD(shmc_atomic_options, common) } },
	{ STRUCT(shmc_buffer_options),
	  { FIELD(shmc_buffer_options, size_bytes), FIELD(shmc_buffer_options, endpoints_max),
	    FIELD(shmc_buffer_options, checksums_max), FIELD(shmc_buffer_options, mode),
	    FIELD(shmc_buffer_options, reuse), FIELD(shmc_buffer_options, common) } },
	{ STRUCT(shmc_buffer_owner),
	  { FIELD(shmc_buffer_owner, is_held), FIELD(shmc_buffer_owner, pid),
	    FIELD(shmc_buffer_owner, tid), FIELD(shmc_buffer_owner, readers),
	    FIELD(shmc_buffer_owner, since_ns), FIELD(shmc_buffer_owner, waiting),
	    FIELD(shmc_buffer_owner, owner_died), FIELD(shmc_buffer_owner, deaths),
	    FIELD(shmc_buffer_owner, unrecoverable), FIELD(shmc_buffer_owner, reserved) } },
	{ STRUCT(shmc_buffer_endpoint),
	  { FIELD(shmc_buffer_endpoint, state), FIELD(shmc_buffer_endpoint, is_own),
	    FIELD(shmc_buffer_endpoint, did) } },
};

#define COUNT_OF(array_) (sizeof(array_) / sizeof(*(array_)))

static const struct layout_number {
	const char *name;
	uint64_t value;
} layout_numbers[] = {
#define NUMBER(name_)                     \
	{                                 \
#name_, (uint64_t)(name_) \
	}
	NUMBER(SHMP_SEGMENT_MAGIC),
	NUMBER(SHMP_SEGMENT_VERSION),
	NUMBER(SHMP_ENDPOINT_FREE),
	NUMBER(SHMP_ENDPOINT_ACTIVE),
	NUMBER(SHMP_ENDPOINT_LEFT),
	NUMBER(SHMP_ENDPOINT_DYING),
	NUMBER(SHMP_ENDPOINT_DEAD),
	NUMBER(SHMP_WAITER_FENCE),
	NUMBER(SHMP_WAITER_PIECES),
	NUMBER(SHMP_SPSC_VERSION),
	NUMBER(SHMP_SPSC_PRODUCER),
	NUMBER(SHMP_SPSC_CONSUMER),
	NUMBER(SHMP_SPSC_HEADER),
	NUMBER(SHMP_SPSC_PUBLISHED),
	NUMBER(SHMP_SPSC_CAPACITY_BYTES),
	NUMBER(SHMP_SPSC_MESSAGE_BYTES_MAX),
	NUMBER(SHMP_STREAM_VERSION),
	NUMBER(SHMP_STREAM_WRITER),
	NUMBER(SHMP_STREAM_READER),
	NUMBER(SHMP_STREAM_WORD),
	NUMBER(SHMP_STREAM_ALIGN),
	NUMBER(SHMP_STREAM_OVERHEAD),
	NUMBER(SHMP_STREAM_START),
	NUMBER(SHMP_STREAM_SLACK_BIT),
	NUMBER(SHMP_STREAM_PUBLISHED),
	NUMBER(SHMP_STREAM_CAPACITY_BYTES),
	NUMBER(SHMP_STREAM_METADATA_BYTES),
	NUMBER(SHMP_PIPE_VERSION),
	NUMBER(SHMP_PIPE_HOST),
	NUMBER(SHMP_PIPE_CLIENT),
	NUMBER(SHMP_PIPE_BYTES),
	NUMBER(SHMP_PIPE_TAGS),
	NUMBER(SHMP_PIPE_CAPACITY_BYTES),
	NUMBER(SHMP_PIPE_MESSAGE_BYTES_MAX),
	NUMBER(SHMP_PIPE_HOST_BYTES),
	NUMBER(SHMP_PIPE_HOST_TYPE),
	NUMBER(SHMP_PIPE_CLIENT_BYTES),
	NUMBER(SHMP_PIPE_CLIENT_TYPE),
	NUMBER(SHMP_MPMC_VERSION),
	NUMBER(SHMP_MPMC_SLOTS),
	NUMBER(SHMP_MPMC_MESSAGE_BYTES_MAX),
	NUMBER(SHMP_MPMC_ENDPOINTS_MAX),
	NUMBER(SHMP_MPMC_REDELIVERY),
	NUMBER(SHMP_MPMC_CHECKSUM),
	NUMBER(SHMP_MPMC_PRODUCER),
	NUMBER(SHMP_MPMC_CONSUMER),
	NUMBER(SHMP_MPMC_FREE),
	NUMBER(SHMP_MPMC_READY),
	NUMBER(SHMP_MPMC_TOMB),
	NUMBER(SHMP_MPMC_REDELIVER),
	NUMBER(SHMP_MPMC_TAKEN),
	NUMBER(SHMP_MPMC_PUSHING),
	NUMBER(SHMP_MPMC_POPPING),
	NUMBER(SHMP_MPMC_INTENDED),
	NUMBER(SHMP_MPMC_RETAKING),
	NUMBER(SHMP_BROADCAST_VERSION),
	NUMBER(SHMP_BROADCAST_CAPACITY_BYTES),
	NUMBER(SHMP_BROADCAST_MESSAGE_BYTES_MAX),
	NUMBER(SHMP_BROADCAST_WRITERS_MAX),
	NUMBER(SHMP_BROADCAST_READERS_MAX),
	NUMBER(SHMP_BROADCAST_BLOCK),
	NUMBER(SHMP_BROADCAST_EXCLUSIVE),
	NUMBER(SHMP_BROADCAST_UNIT_SHIFT),
	NUMBER(SHMP_BROADCAST_PAD),
	NUMBER(SHMP_BROADCAST_SLACK),
	NUMBER(SHMP_BROADCAST_INTENDED),
	NUMBER(SHMP_BROADCAST_ACTIVE),
	NUMBER(SHMP_RECORD_VERSION),
	NUMBER(SHMP_RECORD_SLOTS),
	NUMBER(SHMP_RECORD_BYTES),
	NUMBER(SHMP_RECORD_SCHEMA_BYTES),
	NUMBER(SHMP_RECORD_LAYOUT_HASH),
	NUMBER(SHMP_RECORD_SCHEMA_VERSION),
	NUMBER(SHMP_RECORD_ENDPOINTS_MAX),
	NUMBER(SHMP_SCHEMA_MAGIC),
	NUMBER(SHMP_SCHEMA_VERSION),
	NUMBER(SHMP_SCHEMA_FIELDS_MAX),
	NUMBER(SHMP_ARRAY_VERSION),
	NUMBER(SHMP_ARRAY_ELEMENT_BYTES),
	NUMBER(SHMP_ARRAY_ELEMENTS),
	NUMBER(SHMP_ARRAY_ELEMENT_TYPE),
	NUMBER(SHMP_ARRAY_ENDPOINTS_MAX),
	NUMBER(SHMP_POOL_VERSION),
	NUMBER(SHMP_POOL_OBJECT_BYTES),
	NUMBER(SHMP_POOL_OBJECTS),
	NUMBER(SHMP_POOL_ENDPOINTS_MAX),
	NUMBER(SHMP_POOL_FREE),
	NUMBER(SHMP_POOL_OWNED),
	NUMBER(SHMP_POOL_TRANSIT_TO),
	NUMBER(SHMP_POOL_TRANSIT_ANY),
	NUMBER(SHMP_POOL_NAME),
	NUMBER(SHMP_POOL_INCARNATION),
	NUMBER(SHMP_POOL_PROGRESS),
	NUMBER(SHMP_POOL_DOOR),
	NUMBER(SHMP_RING_VERSION),
	NUMBER(SHMP_RING_PRODUCER),
	NUMBER(SHMP_RING_CONSUMER),
	NUMBER(SHMP_RING_ELEMENT_BYTES),
	NUMBER(SHMP_RING_ELEMENTS),
	NUMBER(SHMP_RING_ELEMENT_TYPE),
	NUMBER(SHMP_ATOMIC_VERSION),
	NUMBER(SHMP_ATOMIC_TYPE),
	NUMBER(SHMP_ATOMIC_ENDPOINTS_MAX),
	NUMBER(SHMP_TYPE_BYTES),
	NUMBER(SHMP_TYPE_BOOL),
	NUMBER(SHMP_TYPE_I8),
	NUMBER(SHMP_TYPE_I16),
	NUMBER(SHMP_TYPE_I32),
	NUMBER(SHMP_TYPE_I64),
	NUMBER(SHMP_TYPE_U8),
	NUMBER(SHMP_TYPE_U16),
	NUMBER(SHMP_TYPE_U32),
	NUMBER(SHMP_TYPE_U64),
	NUMBER(SHMP_TYPE_FLOAT),
	NUMBER(SHMP_TYPE_DOUBLE),
	NUMBER(SHMP_TYPE_DECIMAL128),
	NUMBER(SHMP_TYPE_UUID),
	NUMBER(SHMP_TYPE_TIME),
	NUMBER(SHMP_TYPE_DURATION),
	NUMBER(SHMP_TYPE_STRING),
	NUMBER(SHMP_TYPE_STRUCT),
	NUMBER(SHMP_TYPE_OWN),
	NUMBER(SHMP_LOCK_FREE),
	NUMBER(SHMP_LOCK_PENDING),
	NUMBER(SHMP_LOCK_HELD),
	NUMBER(SHMP_LOCK_NEEDS_RECOVERY),
	NUMBER(SHMP_LOCK_UNRECOVERABLE),
	NUMBER(SHMP_LOCK_MARK),
	NUMBER(SHMP_BUFFER_VERSION),
	NUMBER(SHMP_BUFFER_SIZE_BYTES),
	NUMBER(SHMP_BUFFER_ENDPOINTS_MAX),
	NUMBER(SHMP_BUFFER_CHECKSUMS_MAX),
	NUMBER(SHMP_BUFFER_READER),
	NUMBER(SHMP_BUFFER_WRITER),
	NUMBER(SHMP_BUFFER_STORED),
#define RESULT(symbol_, value_, text_) NUMBER(SHMC_##symbol_),
	SHMC_RESULTS(RESULT) NUMBER(SHMC_TRY),
	NUMBER(SHMC_FOREVER),
	NUMBER(SHMC_MODE_PRIVATE),
	NUMBER(SHMC_REDELIVERED),
	NUMBER(SHMC_PEER_NONE),
	NUMBER(SHMC_PEER_ACTIVE),
	NUMBER(SHMC_PEER_LEFT),
	NUMBER(SHMC_PEER_DYING),
	NUMBER(SHMC_PEER_DIED),
	NUMBER(SHMC_PIPE_HOST),
	NUMBER(SHMC_PIPE_CLIENT),
	NUMBER(SHMC_PIPE_OBSERVER),
	NUMBER(SHMC_SPSC_PRODUCER),
	NUMBER(SHMC_SPSC_CONSUMER),
	NUMBER(SHMC_STREAM_WRITER),
	NUMBER(SHMC_STREAM_READER),
	NUMBER(SHMC_STREAM_OBSERVER),
	NUMBER(SHMC_STREAM_LOANS_MAX),
	NUMBER(SHMC_GAP),
	NUMBER(SHMC_BROADCAST_WRITER),
	NUMBER(SHMC_BROADCAST_READER),
	NUMBER(SHMC_BROADCAST_OVERWRITE),
	NUMBER(SHMC_BROADCAST_BLOCK),
	NUMBER(SHMC_BROADCAST_NEWEST),
	NUMBER(SHMC_BROADCAST_OLDEST),
	NUMBER(SHMC_BROADCAST_POSITION),
	NUMBER(SHMC_LOST),
	NUMBER(SHMC_MPMC_PRODUCER),
	NUMBER(SHMC_MPMC_CONSUMER),
	NUMBER(SHMC_RECORD_WRITER),
	NUMBER(SHMC_RECORD_READER),
	NUMBER(SHMC_RECORD_WATCHER),
	NUMBER(SHMC_RECORD_STRICT),
	NUMBER(SHMC_RECORD_FORWARD),
	NUMBER(SHMC_RECORD_BACKWARD),
	NUMBER(SHMC_RECORD_FULL),
	NUMBER(SHMC_RECORD_CALLBACK),
	NUMBER(SHMC_ARRAY_WRITER),
	NUMBER(SHMC_ARRAY_READER),
	NUMBER(SHMC_ARRAY_OBSERVER),
	NUMBER(SHMC_POOL_USER),
	NUMBER(SHMC_POOL_OBSERVER),
	NUMBER(SHMC_POOL_ANYONE),
	NUMBER(SHMC_RING_PRODUCER),
	NUMBER(SHMC_RING_CONSUMER),
	NUMBER(SHMC_RING_OBSERVER),
	NUMBER(SHMC_ATOMIC_WRITER),
	NUMBER(SHMC_ATOMIC_READER),
	NUMBER(SHMC_ATOMIC_OBSERVER),
	NUMBER(SHMC_ORDER_RELAXED),
	NUMBER(SHMC_ORDER_ACQUIRE),
	NUMBER(SHMC_ORDER_RELEASE),
	NUMBER(SHMC_ORDER_ACQ_REL),
	NUMBER(SHMC_ORDER_SEQ_CST),
	NUMBER(SHMC_TYPE_BYTES),
	NUMBER(SHMC_TYPE_BOOL),
	NUMBER(SHMC_TYPE_I8),
	NUMBER(SHMC_TYPE_I16),
	NUMBER(SHMC_TYPE_I32),
	NUMBER(SHMC_TYPE_I64),
	NUMBER(SHMC_TYPE_U8),
	NUMBER(SHMC_TYPE_U16),
	NUMBER(SHMC_TYPE_U32),
	NUMBER(SHMC_TYPE_U64),
	NUMBER(SHMC_TYPE_FLOAT),
	NUMBER(SHMC_TYPE_DOUBLE),
	NUMBER(SHMC_TYPE_DECIMAL128),
	NUMBER(SHMC_TYPE_UUID),
	NUMBER(SHMC_TYPE_TIME),
	NUMBER(SHMC_TYPE_DURATION),
	NUMBER(SHMC_TYPE_STRING),
	NUMBER(SHMC_TYPE_STRUCT),
	NUMBER(SHMC_TYPE_OWN),
	NUMBER(SHMC_BUFFER_READER),
	NUMBER(SHMC_BUFFER_WRITER),
};

static void print_struct(FILE *out, const struct layout_struct *layout)
{
	fprintf(out, "%s: %zu bytes, aligned %zu\n", layout->name, layout->size, layout->alignment);
	for (const struct layout_field *field = layout->fields; field->name; field++)
		fprintf(out, "\t%zu %s: %zu\n", field->offset, field->name, field->size);
}

static void print_all(FILE *out)
{
	for (size_t i = 0; i < COUNT_OF(layout_structs); i++)
		print_struct(out, &layout_structs[i]);
	for (size_t i = 0; i < shmp_kind_count; i++)
		fprintf(out, "kind %s: id %u, version %u\n", shmp_kinds[i]->name, shmp_kinds[i]->id,
			shmp_kinds[i]->version);
	for (size_t i = 0; i < COUNT_OF(layout_numbers); i++)
		fprintf(out, "%s = 0x%llx\n", layout_numbers[i].name,
			(unsigned long long)layout_numbers[i].value);
}

TEST(every_layout_is_as_it_was)
{
	char now[512], then[512];
	FILE *compiled = tmpfile(), *frozen = fopen(getenv("LAYOUT"), "re");
	int line = 1;

	ck_assert(compiled && frozen);
	print_all(compiled);
	rewind(compiled);
	for (;; line++) {
		char *has_now = fgets(now, sizeof(now), compiled);
		char *has_then = fgets(then, sizeof(then), frozen);

		if (!has_now && !has_then)
			break;
		ck_assert_msg(has_now && has_then && strcmp(now, then) == 0,
			      "line %d is \"%s\", was \"%s\"", line, has_now ? now : "nothing",
			      has_then ? then : "nothing");
	}
	fclose(compiled);
	fclose(frozen);
}

/* So that no new one escapes the list, and no padding is left to chance. */
TEST(fields_fill_their_struct_without_a_gap)
{
	for (size_t i = 0; i < COUNT_OF(layout_structs); i++) {
		const struct layout_struct *layout = &layout_structs[i];
		size_t end = 0;

		for (const struct layout_field *field = layout->fields; field->name; field++) {
			ck_assert_msg(field->offset == end, "%s: a gap before %s", layout->name,
				      field->name);
			end += field->size;
		}
		ck_assert_msg(end == layout->size, "%s: %zu bytes unaccounted for", layout->name,
			      layout->size - end);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		print_all(stdout);
		return 0;
	}
	if (sizeof(void *) != 8)
		return shmt_skip("the list is of a 64-bit machine");
	return shmt_run(argc, argv);
}
