/*
 * org.varlink.certification: one table of what each step gives, which the next step must bring
 * back unchanged. Values are such as often go wrong: integers beyond 32 bits, escapes, bytes
 * beyond ASCII, null inside a list.
 */
#include "tests/wire/certification.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"

#define CLIENTS_MAX  64
#define STREAM_COUNT 10

struct step {
	const char *method;
	const char *wants; /* beside client_id */
	const char *gives;
};

#define FOUR                                                                \
	"\"bool\":false,\"int\":1234567890123,\"float\":3.141592653589793," \
	"\"string\":\"a \\\"lot\\\" of\\n\\\\string, \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""
#define MAP "\"map\":{\"foo\":\"Foo\",\"bar\":\"Bar\"}"
#define SET "\"set\":{\"one\":{},\"two\":{},\"three\":{}}"
#define MYTYPE                                                                             \
	"\"mytype\":{\"object\":{\"any\":[1,\"two\",{\"three\":null}]},\"enum\":\"two\","  \
	"\"struct\":{\"first\":1,\"second\":\"2\"},\"array\":[\"one\",\"two\",\"three\"]," \
	"\"dictionary\":{\"foo\":\"Foo\",\"bar\":\"Bar\"},"                                \
	"\"stringset\":{\"one\":{},\"two\":{},\"three\":{}},"                              \
	"\"interface\":{\"foo\":[null,{\"foo\":\"foo\",\"bar\":\"bar\"},null],"            \
	"\"anon\":{\"foo\":true,\"bar\":false}}}"
#define REPLY(n) "\"Reply number " #n "\""
#define REPLIES                                                                                  \
	REPLY(1)                                                                                 \
	"," REPLY(2) "," REPLY(3) "," REPLY(4) "," REPLY(5) "," REPLY(6) "," REPLY(7) "," REPLY( \
		8) "," REPLY(9) "," REPLY(10)

static const struct step steps[] = {
	{ "Test01", "{}", "{\"bool\":true}" },
	{ "Test02", "{\"bool\":true}", "{\"int\":-9007199254740991}" },
	{ "Test03", "{\"int\":-9007199254740991}", "{\"float\":0.001953125}" },
	{ "Test04", "{\"float\":0.001953125}", "{\"string\":\"ping\"}" },
	{ "Test05", "{\"string\":\"ping\"}", "{" FOUR "}" },
	{ "Test06", "{" FOUR "}", "{\"struct\":{" FOUR "}}" },
	{ "Test07", "{\"struct\":{" FOUR "}}", "{" MAP "}" },
	{ "Test08", "{" MAP "}", "{" SET "}" },
	{ "Test09", "{" SET "}", "{" MYTYPE "}" },
	{ "Test10", "{" MYTYPE "}", NULL }, /* a stream */
	{ "Test11", "{\"last_more_replies\":[" REPLIES "]}", "{}" },
};

#define STEP_COUNT (sizeof(steps) / sizeof(*steps))

/* Steps that each client has done, by the number in its id. */
static size_t done[CLIENTS_MAX];
static size_t client_count;

static void start(struct call *call)
{
	cJSON *reply = cJSON_CreateObject();
	char id[32];

	snprintf(id, sizeof(id), "client-%zu", client_count % CLIENTS_MAX);
	done[client_count++ % CLIENTS_MAX] = 0;
	cJSON_AddStringToObject(reply, "client_id", id);
	call_reply(call, reply);
}

static bool find_client(struct call *call, size_t *ret_client)
{
	const char *id = "";
	size_t client;

	shmp_json_string(call->message.parameters, "client_id", &id);
	if (sscanf(id, "client-%zu", &client) == 1 && client < CLIENTS_MAX &&
	    client < client_count) {
		*ret_client = client;
		return true;
	}
	call_error(call, "org.varlink.certification.ClientIdError", NULL);
	return false;
}

/* Answers with CertificationError when it is not so. */
static bool check(struct call *call, const struct step *step, bool is_in_order)
{
	cJSON *got = cJSON_Duplicate(call->message.parameters, true);
	cJSON *wants = cJSON_Parse(step->wants);
	cJSON *reply;

	cJSON_DeleteItemFromObjectCaseSensitive(got, "client_id");
	if (is_in_order && cJSON_Compare(got, wants, true)) {
		cJSON_Delete(got);
		cJSON_Delete(wants);
		return true;
	}
	reply = cJSON_CreateObject();
	cJSON_AddItemToObject(reply, "wants", wants);
	cJSON_AddItemToObject(reply, "got", got);
	call_error(call, "org.varlink.certification.CertificationError", reply);
	return false;
}

static void run_step(struct call *call)
{
	const char *name = strrchr(call->message.method, '.') + 1;
	size_t index = strtoul(name + strlen("Test"), NULL, 10) - 1;
	size_t client;

	if (!find_client(call, &client) || !check(call, &steps[index], done[client] == index))
		return;
	done[client]++;
	call_reply(call, cJSON_CreateRaw(steps[index].gives)); /* its digits as they stand */
}

static cJSON *stream_reply(int number)
{
	cJSON *reply = cJSON_CreateObject();
	char text[32];

	snprintf(text, sizeof(text), "Reply number %d", number);
	cJSON_AddStringToObject(reply, "string", text);
	return reply;
}

static void test10(struct call *call)
{
	size_t client;

	if (!call->message.more) {
		call_error(call, "org.varlink.service.ExpectedMore", NULL);
		return;
	}
	if (!find_client(call, &client) || !check(call, &steps[9], done[client] == 9))
		return;
	done[client]++;
	for (int i = 1; i < STREAM_COUNT; i++) {
		cJSON *reply = stream_reply(i);

		call_continue(call, reply);
		cJSON_Delete(reply);
	}
	call_reply(call, stream_reply(STREAM_COUNT));
}

static void end(struct call *call)
{
	cJSON *reply;
	size_t client;

	if (!find_client(call, &client))
		return;
	reply = cJSON_CreateObject();
	cJSON_AddBoolToObject(reply, "all_ok", done[client] == STEP_COUNT);
	call_reply(call, reply);
}

static const struct method methods[] = {
	{ "Start", "", start },
	{ "Test01", "client_id", run_step },
	{ "Test02", "client_id bool", run_step },
	{ "Test03", "client_id int", run_step },
	{ "Test04", "client_id float", run_step },
	{ "Test05", "client_id string", run_step },
	{ "Test06", "client_id bool int float string", run_step },
	{ "Test07", "client_id struct", run_step },
	{ "Test08", "client_id map", run_step },
	{ "Test09", "client_id set", run_step },
	{ "Test10", "client_id mytype", test10 },
	{ "Test11", "client_id last_more_replies", run_step },
	{ "End", "client_id", end },
};

const struct interface interface_certification = {
	.name = "org.varlink.certification",
	.text = certification_text,
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(*methods),
};
