/*
 * Call: one request on its way through the broker, and the ways to answer it.
 *
 * A method answers exactly once, at once or later; until then its session takes no other call, so
 * that replies go out in call order. A oneway call is answered in the same way and nothing is
 * sent. Readers of parameters answer by themselves when they return false.
 */
#ifndef SHMBROKER_CALL_H
#define SHMBROKER_CALL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/list.h"
#include "protocol/fault.h"
#include "protocol/varlink.h"

struct broker;
struct client;
struct segment;
struct session;

#define CALL_FDS_MAX 2u /* in one reply */

struct call {
	struct shmp_varlink_call message;
	bool is_active;		/* between arrival and answer */
	bool is_waiting;	/* its method has returned without an answer */
	struct segment *making; /* whose creation it began */
	struct list waiting;	/* in a segment that is being made by another */
};

void call_init(struct call *call);
/* Forgets whatever it waits for: its session is gone. */
void call_abandon(struct call *call);

struct session *call_session(struct call *call);
struct broker *call_broker(struct call *call);
struct client *call_client(struct call *call);

/* Answers. @parameters are gone afterwards; where they found no memory, as a whole (NULL) or in part,
 * the connection is closed instead: half an answer would be a wrong one. */
void call_reply(struct call *call, cJSON *parameters);
/* An answer without parameters. */
void call_done(struct call *call);
/* With descriptors, whose duplicates the reply takes or which stay open until it is sent. */
void call_reply_fds(struct call *call, cJSON *parameters, const int *fds, size_t fd_count,
		    bool close_fds);
/* One of many answers; the call goes on. @parameters stay the caller's. 0 or -errno. */
int call_continue(struct call *call, const cJSON *parameters);
void call_error(struct call *call, const char *error, cJSON *parameters);
/* org.varlink.service.InvalidParameter: of another type, missing or unknown. */
void call_invalid(struct call *call, const char *parameter);

/* What a fault is about; the fields that its definition names must be there. */
struct about {
	const char *name;
	const char *parameter;
	const char *role;
	const char *limit_name; /* Quota */
	bool has_pid;		/* Busy */
	pid_t pid;
	bool has_limit; /* TooBig */
	uint64_t limit;
};

void call_fault(struct call *call, enum shmp_fault fault, const struct about *about,
		const char *format, ...) __attribute__((format(printf, 4, 5)));
/* -errno of the broker's own doing: out of memory, out of descriptors. */
void call_broken(struct call *call, int error);

/* Parameters. A reader of an optional one leaves *ret_value when it is absent. */
bool call_string(struct call *call, const char *key, const char **ret_value);
bool call_string_optional(struct call *call, const char *key, const char **ret_value);
bool call_u64(struct call *call, const char *key, uint64_t max, uint64_t *ret_value);
bool call_u64_optional(struct call *call, const char *key, uint64_t max, uint64_t *ret_value);
bool call_i64(struct call *call, const char *key, int64_t min, int64_t max, int64_t *ret_value);
bool call_bool_optional(struct call *call, const char *key, bool *ret_value);
bool call_object_optional(struct call *call, const char *key, const cJSON **ret_value);
/* Of integers from 0 on. */
bool call_array_optional(struct call *call, const char *key, const cJSON **ret_value);

#endif
