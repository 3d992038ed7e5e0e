#include "protocol/varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol/interfaces.h"
#include "tests/support/runner.h"

static int parse_call(const char *text, struct shmp_varlink_call *ret_call)
{
	return shmp_varlink_parse_call(text, strlen(text), ret_call);
}

static void assert_refused(const char *text)
{
	struct shmp_varlink_call call = SHMP_VARLINK_CALL_NULL;

	ck_assert_msg(parse_call(text, &call) == -EBADMSG, "taken: %s", text);
	ck_assert_ptr_null(call.message);
}

static cJSON *parameters_of(const char *text)
{
	cJSON *object = cJSON_Parse(text);

	ck_assert_msg(object != NULL, "bad test: %s", text);
	return object;
}

TEST(call_is_read_with_all_its_keys)
{
	struct shmp_varlink_call call;

	ck_assert_int_eq(parse_call("{\"method\":\"a.B\",\"parameters\":{\"x\":7},\"more\":true,"
				    "\"oneway\":false,\"upgrade\":null,\"unknown\":[1]}",
				    &call),
			 0);
	ck_assert_str_eq(call.method, "a.B");
	ck_assert(call.more && !call.oneway && !call.upgrade);
	ck_assert(cJSON_HasObjectItem(call.parameters, "x"));
	shmp_varlink_call_deinit(&call);
}

TEST(absent_null_and_empty_parameters_are_the_same)
{
	static const char *const texts[] = {
		"{\"method\":\"a.B\"}",
		"{\"method\":\"a.B\",\"parameters\":null}",
		"{\"parameters\":{},\"method\":\"a.B\"}",
	};

	for (size_t i = 0; i < 3; i++) {
		struct shmp_varlink_call call;

		ck_assert_int_eq(parse_call(texts[i], &call), 0);
		ck_assert(cJSON_IsObject(call.parameters) && !call.parameters->child);
		shmp_varlink_call_deinit(&call);
	}
}

TEST(text_that_is_no_object_is_refused)
{
	assert_refused("");
	assert_refused(" ");
	assert_refused("nonsense");
	assert_refused("[]");
	assert_refused("\"{}\"");
	assert_refused("null");
	assert_refused("{\"method\":\"a.B\"");
	assert_refused("{\"method\":\"a.B\"}}");
	assert_refused("{\"method\":\"a.B\"} x");
	assert_refused("{\"method\":\"a.B\"}{\"method\":\"a.B\"}");
}

TEST(keys_of_another_type_are_refused)
{
	assert_refused("{}");
	assert_refused("{\"method\":null}");
	assert_refused("{\"method\":1}");
	assert_refused("{\"method\":\"a.B\",\"parameters\":[]}");
	assert_refused("{\"method\":\"a.B\",\"parameters\":\"\"}");
	assert_refused("{\"method\":\"a.B\",\"more\":1}");
	assert_refused("{\"method\":\"a.B\",\"oneway\":\"true\"}");
	assert_refused("{\"method\":\"a.B\",\"upgrade\":{}}");
}

/* cJSON takes all of these; the first would cut the method short. */
TEST(text_that_could_not_be_printed_again_is_refused)
{
	assert_refused("{\"method\":\"a.B\\u0000c\"}");
	assert_refused("{\"method\":\"\\\\\\u0000\"}");
	assert_refused("{\"method\":\"\xff\"}");
	assert_refused("{\"method\":\"\xc0\x80\"}");
	assert_refused("{\"method\":\"\xe0\x80\x80\"}");
	assert_refused("{\"method\":\"\xed\xa0\x80\"}");
	assert_refused("{\"method\":\"\xf4\x90\x80\x80\"}");
	assert_refused("{\"method\":\"\xf0\x9f\x98\"}");
}

TEST(nul_inside_is_refused)
{
	static const char text[] = "{\"method\":\"a.B\"}\0 ";
	struct shmp_varlink_call call;

	ck_assert_int_eq(shmp_varlink_parse_call(text, sizeof(text) - 1, &call), -EBADMSG);
}

TEST(escapes_and_multi_byte_characters_are_kept)
{
	struct shmp_varlink_call call;

	ck_assert_int_eq(
		parse_call("{\"method\":\"\\\\u0000 \\u00e9 \xc3\xa9 \xf0\x9f\x98\x80\"}", &call),
		0);
	ck_assert_str_eq(call.method, "\\u0000 \xc3\xa9 \xc3\xa9 \xf0\x9f\x98\x80");
	shmp_varlink_call_deinit(&call);
}

TEST(long_method_is_not_cut)
{
	char text[2000] = "{\"method\":\"";
	struct shmp_varlink_call call;

	memset(text + 11, 'm', 1000);
	strcpy(text + 1011, "\"}");
	ck_assert_int_eq(parse_call(text, &call), 0);
	ck_assert_uint_eq(strlen(call.method), 1000);
	shmp_varlink_call_deinit(&call);
}

TEST(depth_bomb_is_refused)
{
	size_t depth = 30000;
	char *text = malloc(2 * depth + 100);
	char *end = stpcpy(text, "{\"method\":\"a.B\",\"parameters\":{\"x\":");

	memset(end, '[', depth);
	memset(end + depth, ']', depth);
	strcpy(end + 2 * depth, "}}");
	assert_refused(text);
	free(text);
}

TEST(reply_is_success_unless_it_names_an_error)
{
	static const char failed[] = "{\"error\":\"a.Bad\",\"parameters\":{\"message\":\"m\"}}";
	struct shmp_varlink_reply reply;

	ck_assert_int_eq(shmp_varlink_parse_reply("{\"continues\":true}", 18, &reply), 0);
	ck_assert_str_eq(reply.error, "");
	ck_assert(reply.continues && cJSON_IsObject(reply.parameters));
	shmp_varlink_reply_deinit(&reply);

	ck_assert_int_eq(shmp_varlink_parse_reply(failed, strlen(failed), &reply), 0);
	ck_assert_str_eq(reply.error, "a.Bad");
	ck_assert(!reply.continues);
	shmp_varlink_reply_deinit(&reply);
}

/* What was queued, as the other side reads it. */
static struct shmp_wire_message sent(struct shmp_wire *sender, struct shmp_wire *receiver)
{
	struct shmp_wire_message message;

	ck_assert_int_eq(shmp_wire_flush(sender), 0);
	while (shmp_wire_next(receiver, &message) == 1)
		ck_assert_int_eq(shmp_wire_receive(receiver), 0);
	return message;
}

static void wires(struct shmp_wire *sender, struct shmp_wire *receiver)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	shmp_wire_init(sender, fds[0], SHMP_WIRE_REPLY_BYTES_MAX, false);
	shmp_wire_init(receiver, fds[1], SHMP_WIRE_REPLY_BYTES_MAX, true);
}

TEST(messages_have_no_other_keys_than_they_need)
{
	struct shmp_wire a, b;
	cJSON *parameters = parameters_of("{\"x\":\"y\"}");

	wires(&a, &b);
	ck_assert_int_eq(shmp_varlink_queue_call(&a, "a.B", NULL, false, true), 0);
	ck_assert_str_eq(sent(&a, &b).text, "{\"method\":\"a.B\",\"parameters\":{},\"more\":true}");
	ck_assert_int_eq(shmp_varlink_queue_reply(&a, parameters, false, NULL, 0, false), 0);
	ck_assert_str_eq(sent(&a, &b).text, "{\"parameters\":{\"x\":\"y\"}}");
	ck_assert_int_eq(shmp_varlink_queue_error(&a, "a.Bad", parameters), 0);
	ck_assert_str_eq(sent(&a, &b).text, "{\"error\":\"a.Bad\",\"parameters\":{\"x\":\"y\"}}");
	cJSON_Delete(parameters);
	shmp_wire_deinit(&a);
	shmp_wire_deinit(&b);
}

TEST(call_longer_than_the_broker_takes_is_not_queued)
{
	struct shmp_wire wire = SHMP_WIRE_NULL;
	char *text = calloc(1, SHMP_WIRE_REQUEST_BYTES_MAX + 1);
	cJSON *parameters = cJSON_CreateObject();

	memset(text, 'x', SHMP_WIRE_REQUEST_BYTES_MAX);
	cJSON_AddStringToObject(parameters, "x", text);
	ck_assert_int_eq(shmp_varlink_queue_call(&wire, "a.B", parameters, false, false),
			 -EMSGSIZE);
	ck_assert_ptr_null(wire.out_first);
	cJSON_Delete(parameters);
	free(text);
}

TEST(integers_are_printed_as_plain_digits)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	ck_assert_int_eq(shmp_json_add_u64(object, "a", 1000000000000000000u), 0);
	ck_assert_int_eq(shmp_json_add_i64(object, "b", INT64_MIN), 0);
	ck_assert_int_eq(shmp_json_add_u64(object, "c", UINT64_MAX), 0);
	text = cJSON_PrintUnformatted(object);
	ck_assert_str_eq(text, "{\"a\":1000000000000000000,\"b\":-9223372036854775808,"
			       "\"c\":9223372036854775807}");
	cJSON_free(text);
	cJSON_Delete(object);
}

TEST(integers_must_be_integral_and_in_range)
{
	cJSON *object = parameters_of("{\"half\":0.5,\"minus\":-1,\"big\":1e300,\"inf\":1e999,"
				      "\"text\":\"1\",\"two64\":18446744073709551616,"
				      "\"flag\":true,\"ok\":4096,\"e\":1e3}");
	static const char *const bad[] = { "half", "minus", "big", "inf", "text", "two64", "flag" };
	uint64_t value = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(shmp_json_u64(object, bad[i], UINT64_MAX, &value), -EINVAL);
	ck_assert_int_eq(shmp_json_u64(object, "ok", 4095, &value), -EINVAL);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(shmp_json_u64(object, "ok", 4096, &value), 0);
	ck_assert_uint_eq(value, 4096);
	ck_assert_int_eq(shmp_json_u64(object, "e", UINT64_MAX, &value), 0);
	ck_assert_uint_eq(value, 1000);
	cJSON_Delete(object);
}

TEST(signed_integers_have_two_ends)
{
	cJSON *object = parameters_of("{\"minus\":-1,\"low\":-9223372036854775808,\"ten\":10,"
				      "\"two63\":9223372036854775808}");
	int64_t value = 7;

	ck_assert_int_eq(shmp_json_i64(object, "two63", INT64_MIN, INT64_MAX, &value), -EINVAL);
	ck_assert_int_eq(shmp_json_i64(object, "minus", 0, 10, &value), -EINVAL);
	ck_assert_int_eq(shmp_json_i64(object, "ten", -1, 9, &value), -EINVAL);
	ck_assert_int_eq(shmp_json_i64(object, "minus", -1, 9, &value), 0);
	ck_assert_int_eq(value, -1);
	ck_assert_int_eq(shmp_json_i64(object, "low", INT64_MIN, INT64_MAX, &value), 0);
	ck_assert_int_eq(value, INT64_MIN);
	cJSON_Delete(object);
}

TEST(absent_and_null_fields_are_told_from_wrong_ones)
{
	cJSON *object = parameters_of("{\"null\":null,\"number\":1}");
	const cJSON *inner;
	const char *string;
	uint64_t number;
	bool flag;

	ck_assert_int_eq(shmp_json_u64(object, "null", 9, &number), 1);
	ck_assert_int_eq(shmp_json_u64(object, "absent", 9, &number), 1);
	ck_assert_int_eq(shmp_json_string(object, "null", &string), 1);
	ck_assert_int_eq(shmp_json_string(object, "number", &string), -EINVAL);
	ck_assert_int_eq(shmp_json_bool(object, "number", &flag), -EINVAL);
	ck_assert_int_eq(shmp_json_object(object, "number", &inner), -EINVAL);
	ck_assert_int_eq(shmp_json_object(object, "NUMBER", &inner), 1);
	cJSON_Delete(object);
}

TEST(interface_files_are_built_in)
{
	ck_assert_ptr_nonnull(strstr(shmp_interface_client, "\ninterface org.shmbroker\n"));
	ck_assert_ptr_nonnull(
		strstr(shmp_interface_control, "\ninterface org.shmbroker.control\n"));
}

SHMT_MAIN
