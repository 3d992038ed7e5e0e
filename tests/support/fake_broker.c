#include "tests/support/fake_broker.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/waiter.h"

static bool fake_serve_message(struct shmt_fake *fake, const struct shmp_wire_message *message)
{
	struct shmp_varlink_call call;
	bool goes_on;

	if (shmp_varlink_parse_call(message->text, message->bytes, &call) < 0)
		return false;
	goes_on = fake->fn(fake, &call);
	shmp_varlink_call_deinit(&call);
	return shmp_wire_flush(&fake->wire) == 0 && goes_on;
}

static void fake_serve(struct shmt_fake *fake)
{
	struct shmp_wire_message message;
	bool goes_on = true;

	while (goes_on && shmp_wire_receive(&fake->wire) == 0) {
		while (goes_on && shmp_wire_next(&fake->wire, &message) == 0)
			goes_on = fake_serve_message(fake, &message);
	}
}

static void *fake_run(void *context)
{
	struct shmt_fake *fake = context;
	int fd;

	while ((fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		shmp_wire_init(&fake->wire, fd, SHMP_WIRE_REQUEST_BYTES_MAX, false);
		fake_serve(fake);
		shmp_wire_deinit(&fake->wire);
	}
	return NULL;
}

static void fake_make_segment(struct shmt_fake *fake)
{
	const struct shmp_kind *kind = shmp_kind_find("spsc");
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const char *why;
	int proc_fd_dir = open("/proc/self/fd", O_PATH | O_CLOEXEC);

	for (size_t i = 0; i < kind->option_count; i++)
		option[i] = kind->options[i].preset;
	ck_assert_int_eq(kind->plan(option, &fake->plan, &why), 0);
	ck_assert_int_eq(shmp_segment_make(&fake->plan, "fake", proc_fd_dir, &fake->fds), 0);
	ck_assert_int_eq(shmp_segment_seal(&fake->fds), 0);
	close(proc_fd_dir);
}

void shmt_fake_start(struct shmt_fake *fake, shmt_fake_fn fn, void *context)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	*fake = (struct shmt_fake){ .fn = fn, .context = context };
	strcpy(fake->folder, "/tmp/shmt-fake.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake->folder));
	snprintf(fake->address, sizeof(fake->address), "%s/socket", fake->folder);
	fake_make_segment(fake);

	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(name.sun_path, fake->address);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fake->listener, 4), 0);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

void shmt_fake_stop(struct shmt_fake *fake)
{
	shutdown(fake->listener, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	close(fake->listener);
	shmp_segment_close(&fake->fds);
	unlink(fake->address);
	rmdir(fake->folder);
}

static bool fake_is(const struct shmp_varlink_call *call, const char *method)
{
	return strcmp(call->method + strlen("org.shmbroker."), method) == 0;
}

cJSON *shmt_fake_attachment(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	const struct shmp_kind *kind = shmp_kind_find("spsc");
	cJSON *parameters = cJSON_CreateObject();
	cJSON *geometry = cJSON_AddObjectToObject(parameters, "geometry");
	cJSON *options = cJSON_AddObjectToObject(parameters, "options");
	const char *role = "producer";

	shmp_json_string(call->parameters, "role", &role);
	shmp_json_add_u64(parameters, "id", 7);
	shmp_json_add_u64(parameters, "generation", 1);
	shmp_json_add_u64(parameters, "endpoint", shmp_kind_role(kind, role)->first);
	shmp_json_add_u64(parameters, "incarnation", 1);
	shmp_json_add_u64(parameters, "ctl", 0);
	shmp_json_add_u64(parameters, "data", 1);
	shmp_json_add_u64(geometry, "ctl_bytes", fake->plan.ctl_bytes);
	shmp_json_add_u64(geometry, "data_bytes", fake->plan.data_bytes);
	shmp_json_add_u64(geometry, "control_bytes", fake->plan.control_bytes);
	shmp_json_add_u64(geometry, "endpoint_count", fake->plan.endpoint_count);
	shmp_json_add_u64(geometry, "kind_version", kind->version);
	cJSON_AddBoolToObject(geometry, "mirrored", kind->mirrored);
	for (size_t i = 0; i < kind->option_count; i++)
		shmp_json_add_u64(options, kind->options[i].name, fake->plan.option[i]);
	return parameters;
}

bool shmt_fake_answer(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	cJSON *parameters = cJSON_CreateObject();
	int fds[2] = { fake->fds.ctl, fake->fds.data };
	size_t fd_count = 0;

	if (fake_is(call, "Hello")) {
		cJSON_AddStringToObject(parameters, "version", "0");
		cJSON_AddStringToObject(parameters, "epoch", "fake");
		cJSON_AddStringToObject(parameters, "session", "fake");
		cJSON_AddFalseToObject(parameters, "resumed");
	} else if (fake_is(call, "Attach")) {
		cJSON_Delete(parameters);
		parameters = shmt_fake_attachment(fake, call);
		fd_count = 2;
	}
	if (!call->oneway)
		shmp_varlink_queue_reply(&fake->wire, parameters, false, fds, fd_count, false);
	cJSON_Delete(parameters);
	return true;
}
