/*
 * Varlink: calls, replies and errors as cJSON objects over a wire.
 *
 * Rules kept here: no unknown top-level key is ever written; absent, null and {} parameters are
 * the same; integers are printed as plain digits (cJSON prints large ones with an exponent);
 * numbers read as integers must be integral and in range. Text must be UTF-8 without U+0000:
 * what is parsed can be printed again and is never cut.
 */
#ifndef SHMP_VARLINK_H
#define SHMP_VARLINK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/wire.h"

/* Both point into the message that they own. */
struct shmp_varlink_call {
	cJSON *message;
	const char *method;
	cJSON *parameters; /* an object, never NULL */
	bool oneway;
	bool more;
	bool upgrade;
};

struct shmp_varlink_reply {
	cJSON *message;
	const char *error; /* "" = success */
	cJSON *parameters; /* an object, never NULL */
	bool continues;
};

#define SHMP_VARLINK_CALL_NULL	((struct shmp_varlink_call){ .message = NULL })
#define SHMP_VARLINK_REPLY_NULL ((struct shmp_varlink_reply){ .message = NULL })

/*
 * Parses one message. 0; -EBADMSG when the framing itself is broken: not JSON, not an object,
 * a known key of another type; -ENOMEM. Unknown top-level keys are passed over.
 */
int shmp_varlink_parse_call(const char *text, size_t bytes, struct shmp_varlink_call *ret_call);
int shmp_varlink_parse_reply(const char *text, size_t bytes, struct shmp_varlink_reply *ret_reply);
void shmp_varlink_call_deinit(struct shmp_varlink_call *call);
void shmp_varlink_reply_deinit(struct shmp_varlink_reply *reply);

/*
 * Queue a message; @parameters may be NULL and stays the caller's. 0; -ENOMEM; -EMSGSIZE when
 * it is longer than the other side takes. On failure nothing is queued.
 */
int shmp_varlink_queue_call(struct shmp_wire *wire, const char *method, const cJSON *parameters,
			    bool oneway, bool more);
int shmp_varlink_queue_reply(struct shmp_wire *wire, const cJSON *parameters, bool continues,
			     const int *fds, size_t fd_count, bool close_fds);
int shmp_varlink_queue_error(struct shmp_wire *wire, const char *error, const cJSON *parameters);

/* Whether @text may stand in a string: UTF-8 without U+0000. */
bool shmp_json_is_text(const char *text, size_t bytes);

/*
 * Parses a JSON text of any kind, with nothing but spaces behind it, that passes for text and has no
 * escaped U+0000. It need not end with NUL, and must not change meanwhile. 0; -EBADMSG, also when
 * memory stays short: cJSON does not say.
 */
int shmp_json_parse(const char *text, size_t bytes, cJSON **ret_item);

/*
 * Building: what found no memory spoils @object, NULL included, and no message is made of it or of
 * what it is in: a message that lacks something would say something else. 0 or -ENOMEM.
 */
int shmp_json_add_text(cJSON *object, const char *key, const char *text);
int shmp_json_add_bool(cJSON *object, const char *key, bool value);
/* @item, or NULL for one that found no memory; it is gone in any case. */
int shmp_json_put(cJSON *object, const char *key, cJSON *item);
int shmp_json_append(cJSON *array, cJSON *item);
int shmp_json_add_id(cJSON *array, uint64_t id); /* up to 2^53 */
/* NULL or the new one, which is in @object. */
cJSON *shmp_json_add_object(cJSON *object, const char *key);
cJSON *shmp_json_add_array(cJSON *object, const char *key);
void shmp_json_spoil(cJSON *object);
bool shmp_json_is_whole(const cJSON *item);

/*
 * Adds an integer printed as plain digits. Varlink's integers are signed and of 64 bits: what is
 * more is shown as INT64_MAX. 0 or -ENOMEM.
 */
int shmp_json_add_u64(cJSON *object, const char *key, uint64_t value);
int shmp_json_add_i64(cJSON *object, const char *key, int64_t value);

/*
 * Field readers for hostile objects. 0; 1 when absent or null (*ret untouched); -EINVAL when of
 * another type or out of range. Integers beyond 2^53 come rounded, as cJSON holds doubles.
 */
int shmp_json_u64(const cJSON *object, const char *key, uint64_t max, uint64_t *ret_value);
int shmp_json_i64(const cJSON *object, const char *key, int64_t min, int64_t max,
		  int64_t *ret_value);
int shmp_json_bool(const cJSON *object, const char *key, bool *ret_value);
int shmp_json_string(const cJSON *object, const char *key, const char **ret_value);
int shmp_json_object(const cJSON *object, const char *key, const cJSON **ret_value);
/* Of integers from 0 on. */
int shmp_json_array(const cJSON *object, const char *key, const cJSON **ret_value);
/* A key that stands in @object more than once, of which all but the first would be passed over;
 * NULL when there is none. */
const char *shmp_json_repeated(const cJSON *object);

#endif
