/*
 * A Varlink connection to a broker, as bare as the wire: for what a good client never says.
 * Whatever goes wrong on the test's side ends the test.
 */
#ifndef SHMT_RAW_H
#define SHMT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/segment.h"
#include "protocol/varlink.h"
#include "protocol/wire.h"

struct shmt_raw {
	struct shmp_wire wire;
	struct shmp_varlink_reply reply; /* the last one */
	int fds[SHMP_WIRE_FDS_MAX];	 /* that came with it; closed with the next */
	size_t fd_count;
};

struct shmt_raw *shmt_raw_open(const char *path);
void shmt_raw_close(struct shmt_raw *raw);

/* Sends @text and its NUL, or @bytes as they are. */
void shmt_raw_send(struct shmt_raw *raw, const char *text);
void shmt_raw_send_bytes(struct shmt_raw *raw, const void *bytes, size_t count);
/* Waits for the next reply; returns its error, "" for none. */
const char *shmt_raw_receive(struct shmt_raw *raw);
/* A whole call of org.shmbroker or, with a dot in @method, of what it says; @format makes the
 * parameters, in which ' stands for ". Returns the reply's error, without "org.shmbroker.". */
const char *shmt_raw_call(struct shmt_raw *raw, const char *method, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Waits until the broker hangs up; replies before that are passed over. */
void shmt_raw_expect_close(struct shmt_raw *raw);

/* Of the last reply; they must be there. */
int64_t shmt_raw_int(const struct shmt_raw *raw, const char *key);
bool shmt_raw_bool(const struct shmt_raw *raw, const char *key);
const char *shmt_raw_string(const struct shmt_raw *raw, const char *key);
const cJSON *shmt_raw_item(const struct shmt_raw *raw, const char *key);
/* The descriptor whose index stands under @key; -1 for -1. Stays the connection's. */
int shmt_raw_fd(const struct shmt_raw *raw, const char *key);

/* Maps what the last reply, to an Attach, gave. */
struct shmp_segment shmt_raw_map(const struct shmt_raw *raw, bool data_writable);

#endif
