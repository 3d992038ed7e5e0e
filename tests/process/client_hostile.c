/* A broker that is broken or hostile: an error that says so, never a crash or a leak. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shmclient/shmclient.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/fake_broker.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

static struct shmc_client *connect_to(struct shmt_fake *fake, int64_t timeout_ns)
{
	struct shmc_client_options options = { .address = fake->address,
					       .control_timeout_ns = timeout_ns };
	struct shmc_client *client = NULL;
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_connect(&options, &client, &error) == SHMC_OK, "%s", error.text);
	return client;
}

static bool is_method(const struct shmp_varlink_call *call, const char *method)
{
	return strcmp(call->method + strlen("org.shmbroker."), method) == 0;
}

static struct shmc_spsc *open_producer(struct shmc_client *client, enum shmc_result expected,
				       struct shmc_error *error)
{
	struct shmc_spsc *queue = NULL;

	*error = (struct shmc_error){ .result = SHMC_OK };
	shmt_assert_result(shmc_spsc_open(client, "queue", SHMC_SPSC_PRODUCER, &queue, error),
			   expected);
	ck_assert_int_eq(error->result, expected);
	return queue;
}

TEST(an_honest_fake_is_believed)
{
	size_t before = shmt_descriptor_count();
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	struct shmc_error error;

	shmt_fake_start(&fake, shmt_fake_answer, NULL);
	client = connect_to(&fake, 0);
	queue = open_producer(client, SHMC_OK, &error);
	shmt_assert_ok(shmc_spsc_try_push(queue, "x", 1));
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

/* An answer to Attach in which one field is not what it should be. */
struct spoiled {
	const char *object; /* "" = the parameters themselves */
	const char *field;
	const char *value; /* JSON; NULL = leave it out */
	enum shmc_result expected;
};

static const struct spoiled spoiled[] = {
	{ "", "id", NULL, SHMC_UNSUPPORTED },
	{ "", "id", "-1", SHMC_UNSUPPORTED },
	{ "", "id", "1.5", SHMC_UNSUPPORTED },
	{ "", "id", "\"1\"", SHMC_UNSUPPORTED },
	{ "", "id", "1e30", SHMC_UNSUPPORTED },
	{ "", "generation", NULL, SHMC_UNSUPPORTED },
	{ "", "incarnation", "[]", SHMC_UNSUPPORTED },
	{ "", "endpoint", "-1", SHMC_UNSUPPORTED },
	{ "", "endpoint", "1", SHMC_CORRUPT }, /* the consumer's */
	{ "", "endpoint", "2", SHMC_CORRUPT },
	{ "", "endpoint", "4294967296", SHMC_UNSUPPORTED },
	{ "", "geometry", NULL, SHMC_UNSUPPORTED },
	{ "", "geometry", "7", SHMC_UNSUPPORTED },
	{ "", "options", NULL, SHMC_UNSUPPORTED },
	{ "", "ctl", NULL, SHMC_UNSUPPORTED },
	{ "", "ctl", "-1", SHMC_CORRUPT },
	{ "", "ctl", "2", SHMC_UNSUPPORTED },
	{ "", "ctl", "1", SHMC_CORRUPT }, /* data's size is another */
	{ "", "data", "-1", SHMC_CORRUPT },
	{ "", "data", "9", SHMC_UNSUPPORTED },
	{ "", "data", "0", SHMC_CORRUPT },
	{ "geometry", "kind_version", NULL, SHMC_UNSUPPORTED },
	{ "geometry", "kind_version", "99", SHMC_MISMATCH },
	{ "geometry", "ctl_bytes", "0", SHMC_CORRUPT },
	{ "geometry", "ctl_bytes", "8192", SHMC_CORRUPT },
	{ "geometry", "data_bytes", "131072", SHMC_CORRUPT },
	{ "geometry", "data_bytes", "9007199254740993", SHMC_UNSUPPORTED },
	{ "geometry", "control_bytes", "0", SHMC_CORRUPT },
	{ "geometry", "endpoint_count", "255", SHMC_CORRUPT },
	{ "geometry", "mirrored", "false", SHMC_CORRUPT },
	{ "geometry", "mirrored", "1", SHMC_UNSUPPORTED },
	{ "options", "capacity_bytes", NULL, SHMC_UNSUPPORTED },
	{ "options", "capacity_bytes", "131072", SHMC_CORRUPT },
	{ "options", "capacity_bytes", "1099511627776", SHMC_UNSUPPORTED },
	{ "options", "message_bytes_max", "65521", SHMC_CORRUPT },
};

static void spoil(cJSON *parameters, const struct spoiled *how)
{
	cJSON *object = *how->object ? cJSON_GetObjectItem(parameters, how->object) : parameters;

	cJSON_DeleteItemFromObject(object, how->field);
	if (how->value)
		cJSON_AddRawToObject(object, how->field, how->value);
}

static bool answer_spoiled(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	int fds[2] = { fake->fds.ctl, fake->fds.data };
	cJSON *parameters;

	if (!is_method(call, "Attach"))
		return shmt_fake_answer(fake, call);
	parameters = shmt_fake_attachment(fake, call);
	spoil(parameters, fake->context);
	shmp_varlink_queue_reply(&fake->wire, parameters, false, fds, 2, false);
	cJSON_Delete(parameters);
	return true;
}

TEST(an_answer_with_a_spoiled_field_is_refused, .rounds = sizeof(spoiled) / sizeof(*spoiled))
{
	size_t before = shmt_descriptor_count();
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_spoiled, (void *)&spoiled[_i]);
	client = connect_to(&fake, 0);
	ck_assert_ptr_null(open_producer(client, spoiled[_i].expected, &error));
	/* the connection is as good as before */
	shmt_assert_ok(shmc_unlink(client, "queue", &error));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

/* An answer as for an object in an arena. */
static const struct spoiled spoiled_pieces[] = {
	{ "geometry", "ctl_offset", "64", SHMC_CORRUPT },
	{ "geometry", "ctl_offset", "3968", SHMC_CORRUPT }, /* beyond the end of the file */
	{ "geometry", "ctl_offset", "9007199254740864", SHMC_CORRUPT },
	{ "geometry", "ctl_file_bytes", NULL, SHMC_UNSUPPORTED },
	{ "geometry", "ctl_file_bytes", "8192", SHMC_CORRUPT }, /* not that large */
	{ "geometry", "ctl_bytes", "4096", SHMC_CORRUPT },
	{ "geometry", "data_offset", NULL, SHMC_UNSUPPORTED },
	{ "geometry", "data_offset", "128", SHMC_CORRUPT },
	{ "geometry", "data_offset", "4096", SHMC_CORRUPT },
	{ "geometry", "data_offset", "9007199254736896", SHMC_CORRUPT },
	{ "geometry", "data_file_bytes", NULL, SHMC_UNSUPPORTED },
	{ "geometry", "data_file_bytes", "131072", SHMC_CORRUPT },
	{ "geometry", "huge_pages", "true", SHMC_CORRUPT },
};

static bool answer_with_pieces(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	int fds[2] = { fake->fds.ctl, fake->fds.data };
	struct shmp_plan plan = fake->plan;
	cJSON *parameters, *geometry;

	if (!is_method(call, "Attach"))
		return shmt_fake_answer(fake, call);
	parameters = shmt_fake_attachment(fake, call);
	geometry = cJSON_GetObjectItem(parameters, "geometry");
	shmp_segment_plan_packed(&plan);
	cJSON_DeleteItemFromObject(geometry, "ctl_bytes");
	shmp_json_add_u64(geometry, "ctl_bytes", plan.ctl_bytes);
	/* the last piece of the file */
	shmp_json_add_u64(geometry, "ctl_offset",
			  fake->plan.ctl_bytes - shmp_round_up(plan.ctl_bytes, 128));
	shmp_json_add_u64(geometry, "ctl_file_bytes", fake->plan.ctl_bytes);
	shmp_json_add_u64(geometry, "data_offset", 0);
	shmp_json_add_u64(geometry, "data_file_bytes", fake->plan.data_bytes);
	if (fake->context)
		spoil(parameters, fake->context);
	shmp_varlink_queue_reply(&fake->wire, parameters, false, fds, 2, false);
	cJSON_Delete(parameters);
	return true;
}

TEST(a_piece_of_a_file_is_where_it_can_be_or_refused,
     .rounds = sizeof(spoiled_pieces) / sizeof(*spoiled_pieces) + 1)
{
	bool is_good = _i == sizeof(spoiled_pieces) / sizeof(*spoiled_pieces);
	size_t before = shmt_descriptor_count();
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_with_pieces, is_good ? NULL : (void *)&spoiled_pieces[_i]);
	client = connect_to(&fake, 0);
	shmc_spsc_close(
		open_producer(client, is_good ? SHMC_OK : spoiled_pieces[_i].expected, &error));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

TEST(a_layout_of_another_version_is_named_with_both)
{
	struct spoiled how = { "geometry", "kind_version", "7", SHMC_MISMATCH };
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_spoiled, &how);
	client = connect_to(&fake, 0);
	open_producer(client, SHMC_MISMATCH, &error);
	shmt_assert_says(&error, "version 7");
	shmt_assert_says(&error, "version 1");
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

/* Memory that its maker could still shrink, and what is no memory at all. */
static bool answer_with_other_fds(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	int *other = fake->context;
	int fds[2] = { fake->fds.ctl, other[0] };
	cJSON *parameters;

	if (!is_method(call, "Attach"))
		return shmt_fake_answer(fake, call);
	parameters = shmt_fake_attachment(fake, call);
	shmp_varlink_queue_reply(&fake->wire, parameters, false, fds, 2, false);
	cJSON_Delete(parameters);
	return true;
}

static void expect_refused_fd(int fd)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_with_other_fds, &fd);
	client = connect_to(&fake, 0);
	open_producer(client, SHMC_CORRUPT, &error);
	shmt_assert_says(&error, "sealed");
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	close(fd);
}

TEST(memory_that_is_not_sealed_is_refused)
{
	int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, 65536), 0);
	expect_refused_fd(fd);
}

TEST(what_is_no_memory_is_refused)
{
	expect_refused_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static bool answer_without_fds(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	cJSON *parameters;

	if (!is_method(call, "Attach"))
		return shmt_fake_answer(fake, call);
	parameters = shmt_fake_attachment(fake, call);
	shmp_varlink_queue_reply(&fake->wire, parameters, false, NULL, 0, false);
	cJSON_Delete(parameters);
	return true;
}

TEST(an_answer_without_its_descriptors_is_refused)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_without_fds, NULL);
	client = connect_to(&fake, 0);
	open_producer(client, SHMC_UNSUPPORTED, &error);
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

/* Whole messages that make no sense, instead of an answer. */
static const char *const nonsense[] = {
	"",
	"{",
	"null",
	"[]",
	"\"text\"",
	"{\"parameters\":7}",
	"{\"error\":7}",
	"{\"parameters\":{},\"continues\":true}",
	"\xff\xfe",
	"GET / HTTP/1.1",
};

static bool answer_nonsense(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	const char *text = fake->context;

	if (!is_method(call, "Unlink"))
		return shmt_fake_answer(fake, call);
	shmp_wire_queue(&fake->wire, text, strlen(text), NULL, 0, false);
	return true;
}

TEST(nonsense_is_no_answer, .rounds = sizeof(nonsense) / sizeof(*nonsense))
{
	size_t before = shmt_descriptor_count();
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_nonsense, (void *)nonsense[_i]);
	client = connect_to(&fake, 0);
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_UNSUPPORTED);
	shmt_assert_says(&error, fake.address);
	/* the next call has a new connection */
	shmt_assert_ok(shmc_spsc_create(client, "queue", NULL, &error));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

static bool say_error(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	const char *name = fake->context;
	cJSON *parameters;

	if (!is_method(call, "Unlink"))
		return shmt_fake_answer(fake, call);
	parameters = cJSON_CreateObject();
	cJSON_AddStringToObject(parameters, "message", "because of this");
	shmp_varlink_queue_error(&fake->wire, name, parameters);
	cJSON_Delete(parameters);
	return true;
}

static const struct {
	const char *name;
	enum shmc_result expected;
} errors[] = {
	{ "org.shmbroker.Invalid", SHMC_INVALID },
	{ "org.shmbroker.NotFound", SHMC_NOT_FOUND },
	{ "org.shmbroker.Exists", SHMC_EXISTS },
	{ "org.shmbroker.Mismatch", SHMC_MISMATCH },
	{ "org.shmbroker.Busy", SHMC_BUSY },
	{ "org.shmbroker.Denied", SHMC_DENIED },
	{ "org.shmbroker.Quota", SHMC_QUOTA },
	{ "org.shmbroker.NoSpace", SHMC_NO_SPACE },
	{ "org.shmbroker.TooBig", SHMC_TOO_BIG },
	{ "org.shmbroker.Corrupt", SHMC_CORRUPT },
	{ "org.shmbroker.Stale", SHMC_STALE },
	{ "org.shmbroker.Unsupported", SHMC_UNSUPPORTED },
	{ "org.varlink.service.InvalidParameter", SHMC_INVALID },
	{ "org.varlink.service.PermissionDenied", SHMC_DENIED },
	{ "org.varlink.service.MethodNotFound", SHMC_UNSUPPORTED },
	{ "com.example.Whatever", SHMC_UNSUPPORTED },
};

TEST(each_error_has_its_result_and_its_words, .rounds = sizeof(errors) / sizeof(*errors))
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, say_error, (void *)errors[_i].name);
	client = connect_to(&fake, 0);
	shmt_assert_result(shmc_unlink(client, "queue", &error), errors[_i].expected);
	ck_assert_int_eq(error.result, errors[_i].expected);
	ck_assert_str_eq(error.text, "because of this");
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

static bool say_a_long_error(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	char text[5000];
	cJSON *parameters;

	if (!is_method(call, "Unlink"))
		return shmt_fake_answer(fake, call);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	parameters = cJSON_CreateObject();
	cJSON_AddStringToObject(parameters, "message", text);
	shmp_varlink_queue_error(&fake->wire, "org.shmbroker.Quota", parameters);
	cJSON_Delete(parameters);
	return true;
}

TEST(a_long_explanation_is_cut)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, say_a_long_error, NULL);
	client = connect_to(&fake, 0);
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_QUOTA);
	ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

/* Silence, and hanging up. */

static bool be_silent(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	if (is_method(call, fake->context))
		return true;
	return shmt_fake_answer(fake, call);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 * MS_NS + now.tv_nsec;
}

TEST(a_silent_broker_is_given_up_in_time)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;
	int64_t start;

	shmt_fake_start(&fake, be_silent, (void *)"Unlink");
	client = connect_to(&fake, 50 * MS_NS);
	start = now_ns();
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_BROKER_LOST);
	ck_assert_int_ge(now_ns() - start, 50 * MS_NS);
	shmt_assert_says(&error, "50 ms");
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

TEST(one_who_is_silent_from_the_start_is_no_broker)
{
	struct shmt_fake fake;
	struct shmc_client_options options = { .control_timeout_ns = 50 * MS_NS };
	struct shmc_client *client = NULL;
	struct shmc_error error;

	shmt_fake_start(&fake, be_silent, (void *)"Hello");
	options.address = fake.address;
	shmt_assert_result(shmc_connect(&options, &client, &error), SHMC_BROKER_LOST);
	shmt_assert_says(&error, fake.address);
	shmt_fake_stop(&fake);
}

static bool hang_up(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	return !is_method(call, "Unlink") && shmt_fake_answer(fake, call);
}

TEST(one_who_hangs_up_on_a_call_is_lost)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, hang_up, NULL);
	client = connect_to(&fake, 0);
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_BROKER_LOST);
	shmt_assert_says(&error, "hung up");
	shmt_assert_ok(shmc_spsc_create(client, "queue", NULL, &error));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

/* Answers to Attach only when the next call comes; by then nobody waits. */
struct late {
	bool is_owed;
	unsigned int detached;
};

static bool answer_late(struct shmt_fake *fake, const struct shmp_varlink_call *call)
{
	struct late *late = fake->context;
	cJSON *attach;

	if (is_method(call, "Attach")) {
		late->is_owed = true;
		return true;
	}
	if (late->is_owed) {
		int fds[2] = { fake->fds.ctl, fake->fds.data };

		attach = shmt_fake_attachment(fake, call);
		shmp_varlink_queue_reply(&fake->wire, attach, false, fds, 2, false);
		cJSON_Delete(attach);
		late->is_owed = false;
	}
	if (is_method(call, "Detach"))
		late->detached++;
	return shmt_fake_answer(fake, call);
}

TEST(a_place_that_is_given_too_late_is_given_back)
{
	size_t before = shmt_descriptor_count();
	struct late late = { .is_owed = false };
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;

	shmt_fake_start(&fake, answer_late, &late);
	client = connect_to(&fake, 50 * MS_NS);
	open_producer(client, SHMC_BROKER_LOST, &error);
	shmt_assert_ok(shmc_unlink(client, "queue", &error));
	shmt_assert_ok(shmc_unlink(client, "queue", &error));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
	ck_assert_uint_eq(late.detached, 1);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
}

TEST(a_process_without_free_descriptors_is_told_so)
{
	struct shmt_fake fake;
	struct shmc_client *client;
	struct shmc_error error;
	struct rlimit limit;
	int taken[64], count = 0;

	shmt_fake_start(&fake, shmt_fake_answer, NULL);
	client = connect_to(&fake, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 40;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (count < 64 && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	open_producer(client, SHMC_NO_SPACE, &error);
	while (count > 0)
		close(taken[--count]);
	shmc_spsc_close(open_producer(client, SHMC_OK, &(struct shmc_error){ 0 }));
	shmc_disconnect(client);
	shmt_fake_stop(&fake);
}

SHMT_MAIN
