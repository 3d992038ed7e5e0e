/*
 * Any bytes: parsing never reads outside, and what is taken can be printed, sent and taken again
 * with the same method.
 */
#include "protocol/varlink.h"

#include <string.h>

#include "tests/support/fuzz.h"

static void check_readers(const cJSON *parameters)
{
	for (const cJSON *field = parameters->child; field; field = field->next) {
		const cJSON *object;
		const char *text;
		uint64_t u64 = 0;
		int64_t i64 = 0;
		bool flag;

		FUZZ_CHECK(shmp_json_u64(parameters, field->string, 1000, &u64) != 0 ||
			   u64 <= 1000);
		FUZZ_CHECK(shmp_json_i64(parameters, field->string, -5, 5, &i64) != 0 ||
			   (i64 >= -5 && i64 <= 5));
		shmp_json_bool(parameters, field->string, &flag);
		shmp_json_string(parameters, field->string, &text);
		shmp_json_object(parameters, field->string, &object);
	}
}

static void check_call(const struct shmp_varlink_call *call)
{
	struct shmp_varlink_call again;
	char *text = cJSON_PrintUnformatted(call->message);

	FUZZ_CHECK(text != NULL);
	FUZZ_CHECK(shmp_varlink_parse_call(text, strlen(text), &again) == 0);
	FUZZ_CHECK(strcmp(again.method, call->method) == 0);
	FUZZ_CHECK(again.more == call->more && again.oneway == call->oneway);
	FUZZ_CHECK(cJSON_IsObject(call->parameters));
	check_readers(call->parameters);
	shmp_varlink_call_deinit(&again);
	cJSON_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shmp_varlink_call call;
	struct shmp_varlink_reply reply;
	char *text = malloc(size + 1); /* exactly as long as the wire's: sanitizers see the end */

	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (shmp_varlink_parse_call(text, size, &call) == 0) {
		check_call(&call);
		shmp_varlink_call_deinit(&call);
	}
	if (shmp_varlink_parse_reply(text, size, &reply) == 0) {
		FUZZ_CHECK(reply.error && cJSON_IsObject(reply.parameters));
		shmp_varlink_reply_deinit(&reply);
	}
	free(text);
	return 0;
}
