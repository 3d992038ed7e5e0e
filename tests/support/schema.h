/* Images of schemas for tests that need no library. */
#ifndef SHMT_SCHEMA_H
#define SHMT_SCHEMA_H

#include "protocol/schema.h"
#include "tests/support/segment.h"

struct shmt_field {
	const char *name;
	uint32_t type;
	uint32_t count;
	uint32_t bytes;
	uint32_t parent;
};

/* An image, to be freed, not sealed yet. */
struct shmp_schema *shmt_schema_of(const struct shmt_field *fields, uint32_t count);
/* The same, sealed. */
struct shmp_schema *shmt_schema_sealed(const struct shmt_field *fields, uint32_t count);
/* A record of these fields. */
void shmt_record_make(struct shmt_segment *segment, const struct shmt_field *fields, uint32_t count,
		      uint32_t endpoints);

#endif
