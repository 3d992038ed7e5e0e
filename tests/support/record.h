/* The record that most tests use, and how they open it. Every failure ends the test. */
#ifndef SHMT_RECORD_H
#define SHMT_RECORD_H

#include "shmclient/record.h"
#include "tests/support/client.h"

/* Every type there is, arrays of all, a struct and an array of structs. */
extern const struct shmc_field shmt_fields[];
extern const uint32_t shmt_field_count;

void shmt_record_create(struct shmc_client *client, const char *name,
			const struct shmc_field *fields, uint32_t field_count);
struct shmc_record *shmt_record_open(struct shmc_client *client, const char *name,
				     enum shmc_record_role role);
struct shmc_place shmt_place(const struct shmc_record *record, const char *path);

#endif
