/*
 * What every test of the library does: connect, make and open a queue, and say by name what came
 * instead of the result that was expected.
 */
#ifndef SHMT_CLIENT_H
#define SHMT_CLIENT_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "shmclient/shmclient.h"
#include "tests/support/broker.h"

/* Without a note for each success, which is a write to a file that all processes share: these are
 * asked a million times. */
#define shmt_assert_result(call, expected)                                                \
	do {                                                                              \
		enum shmc_result shmt_got = (call);                                       \
		if (shmt_got != (expected))                                               \
			ck_abort_msg("%s: %s, not %s", #call, shmc_result_name(shmt_got), \
				     shmc_result_name((expected)));                       \
	} while (0)

#define shmt_assert_ok(call) shmt_assert_result(call, SHMC_OK)

/* The text of an error must name each of these. */
void shmt_assert_says(const struct shmc_error *error, const char *words);

struct shmc_client *shmt_connect(const struct shmt_broker *broker);
/* With options of its own; the address is filled in. */
struct shmc_client *shmt_connect_as(const struct shmt_broker *broker,
				    struct shmc_client_options options);
void shmt_create(struct shmc_client *client, const char *name, uint64_t capacity_bytes);
struct shmc_spsc *shmt_open(struct shmc_client *client, const char *name, enum shmc_spsc_role role);

/* Messages that say which they are: the number decides size (up to @most) and every byte. */
uint64_t shmt_numbered_size(uint64_t number, uint64_t most);
enum shmc_result shmt_push_numbered(struct shmc_spsc *queue, uint64_t number, uint64_t most,
				    int64_t timeout_ns);
/* Checks what it got against @number. */
enum shmc_result shmt_pop_numbered(struct shmc_spsc *queue, uint64_t number, uint64_t most,
				   int64_t timeout_ns, uint32_t *ret_flags);
/* Pops one whose number is not known; it must be whole. */
enum shmc_result shmt_pop_any(struct shmc_spsc *queue, uint64_t most, int64_t timeout_ns,
			      uint64_t *ret_number, uint32_t *ret_flags);

/* Returns when the other side has gone, or is about to go, to sleep more than @before times. */
void shmt_await_sleeper(struct shmc_spsc *queue, uint64_t before);
uint64_t shmt_sleeps_of_peer(struct shmc_spsc *queue);

#endif
