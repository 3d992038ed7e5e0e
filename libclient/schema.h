/*
 * Schema: from an application's description of fields to the image in a segment, and whether one
 * that is there does for another that is expected.
 */
#ifndef SHMC__SCHEMA_H
#define SHMC__SCHEMA_H

#include "protocol/schema.h"
#include "shmclient/record.h"

/* The image, to be freed: OK; INVALID, NO_SPACE with @error. */
enum shmc_result shmc__schema_build(const struct shmc_field *fields, uint32_t field_count,
				    uint64_t version, struct shmp_schema **ret_schema,
				    struct shmc_error *error);

/* By any rule but CALLBACK: OK; MISMATCH with @error. */
enum shmc_result shmc__schema_compare(const char *name, const struct shmp_schema *has,
				      const struct shmp_schema *wanted, enum shmc_record_rule rule,
				      struct shmc_error *error);

#endif
