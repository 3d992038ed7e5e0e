#include "tests/support/raw.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/broker.h"

#define TEXT_MAX 4096

struct shmt_raw *shmt_raw_open(const char *path)
{
	struct shmt_raw *raw = calloc(1, sizeof(*raw));
	int fd = shmt_broker_connect(path);

	ck_assert_ptr_nonnull(raw);
	ck_assert_msg(fd >= 0, "cannot connect to %s: %s", path, strerror(errno));
	shmp_wire_init(&raw->wire, fd, SHMP_WIRE_REPLY_BYTES_MAX, true);
	return raw;
}

static void drop_reply(struct shmt_raw *raw)
{
	shmp_wire_close_fds(raw->fds, raw->fd_count);
	raw->fd_count = 0;
	shmp_varlink_reply_deinit(&raw->reply);
}

void shmt_raw_close(struct shmt_raw *raw)
{
	drop_reply(raw);
	shmp_wire_deinit(&raw->wire);
	free(raw);
}

void shmt_raw_send_bytes(struct shmt_raw *raw, const void *bytes, size_t count)
{
	ck_assert_int_eq(write(raw->wire.fd, bytes, count), (ssize_t)count);
}

void shmt_raw_send(struct shmt_raw *raw, const char *text)
{
	shmt_raw_send_bytes(raw, text, strlen(text) + 1);
}

const char *shmt_raw_receive(struct shmt_raw *raw)
{
	struct shmp_wire_message message;
	int r;

	drop_reply(raw);
	while ((r = shmp_wire_next(&raw->wire, &message)) == 1) {
		r = shmp_wire_receive(&raw->wire);
		ck_assert_msg(r == 0, "no reply: %s", strerror(-r));
	}
	ck_assert_int_eq(r, 0);
	memcpy(raw->fds, message.fds, sizeof(raw->fds));
	raw->fd_count = message.fd_count;
	ck_assert_int_eq(shmp_varlink_parse_reply(message.text, message.bytes, &raw->reply), 0);
	return raw->reply.error;
}

const char *shmt_raw_call(struct shmt_raw *raw, const char *method, const char *format, ...)
{
	char parameters[TEXT_MAX], text[TEXT_MAX + 512];
	const char *error;
	va_list arguments;

	va_start(arguments, format);
	ck_assert_int_lt(vsnprintf(parameters, sizeof(parameters), format, arguments), TEXT_MAX);
	va_end(arguments);
	for (char *c = parameters; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	snprintf(text, sizeof(text), "{\"method\":\"%s%s\",\"parameters\":%s}",
		 strchr(method, '.') ? "" : "org.shmbroker.", method, parameters);
	shmt_raw_send(raw, text);
	error = shmt_raw_receive(raw);
	return strncmp(error, "org.shmbroker.", 14) == 0 ? error + 14 : error;
}

void shmt_raw_expect_close(struct shmt_raw *raw)
{
	struct shmp_wire_message message;
	int r = 0;

	drop_reply(raw);
	while (r == 0) {
		while (shmp_wire_next(&raw->wire, &message) == 0)
			shmp_wire_close_fds(message.fds, message.fd_count);
		r = shmp_wire_receive(&raw->wire);
	}
	ck_assert_int_eq(r, -EPIPE);
}

const cJSON *shmt_raw_item(const struct shmt_raw *raw, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(raw->reply.parameters, key);

	ck_assert_msg(item != NULL, "the reply has no \"%s\"", key);
	return item;
}

int64_t shmt_raw_int(const struct shmt_raw *raw, const char *key)
{
	const cJSON *item = shmt_raw_item(raw, key);

	ck_assert(cJSON_IsNumber(item));
	return (int64_t)item->valuedouble;
}

bool shmt_raw_bool(const struct shmt_raw *raw, const char *key)
{
	const cJSON *item = shmt_raw_item(raw, key);

	ck_assert(cJSON_IsBool(item));
	return cJSON_IsTrue(item);
}

const char *shmt_raw_string(const struct shmt_raw *raw, const char *key)
{
	const cJSON *item = shmt_raw_item(raw, key);

	ck_assert(cJSON_IsString(item));
	return item->valuestring;
}

int shmt_raw_fd(const struct shmt_raw *raw, const char *key)
{
	int64_t index = shmt_raw_int(raw, key);

	ck_assert_int_lt(index, (int64_t)raw->fd_count);
	return index < 0 ? -1 : raw->fds[index];
}

struct shmp_segment shmt_raw_map(const struct shmt_raw *raw, bool data_writable)
{
	const cJSON *geometry = shmt_raw_item(raw, "geometry");
	struct shmp_segment segment;
	struct shmp_plan plan = { 0 };
	uint64_t count = 0;
	int data = shmt_raw_fd(raw, "data");

	ck_assert_int_eq(shmp_json_u64(geometry, "ctl_bytes", INT64_MAX, &plan.ctl_bytes), 0);
	ck_assert_int_eq(shmp_json_u64(geometry, "data_bytes", INT64_MAX, &plan.data_bytes), 0);
	ck_assert_int_eq(shmp_json_u64(geometry, "control_bytes", INT64_MAX, &plan.control_bytes),
			 0);
	ck_assert_int_eq(shmp_json_u64(geometry, "endpoint_count", 255, &count), 0);
	plan.endpoint_count = (uint32_t)count;
	ck_assert_int_eq(shmp_segment_map(&plan, false, shmt_raw_fd(raw, "ctl"), SHMP_ACCESS_WRITE,
					  data,
					  data < 0	? SHMP_ACCESS_NONE :
					  data_writable ? SHMP_ACCESS_WRITE :
							  SHMP_ACCESS_READ,
					  &segment),
			 0);
	return segment;
}
