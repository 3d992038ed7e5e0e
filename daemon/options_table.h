/*
 * The table of options: what each is called, where it is kept, what it may be. Only options.c reads
 * it from outside.
 */
#ifndef SHMBROKER_OPTIONS_TABLE_H
#define SHMBROKER_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/options.h"

enum option_type {
	OPTION_FLAG, /* on the command line without a value */
	OPTION_PATH,
	OPTION_COUNT,
	OPTION_BYTES, /* K, M, G, T count by 1024 */
	OPTION_MODE,  /* octal */
};

struct option_row {
	const char *name;
	enum option_type type;
	bool in_config; /* also a key of the file */
	size_t offset;
	uint64_t min;
	uint64_t max;
	uint64_t preset;
	const char *help; /* NULL = not shown: for tests */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

/* The field that the row is about. */
void *option_field(struct options *options, const struct option_row *row);
/* Values as text and as a number; 0, or -EINVAL with what is wrong, or -ENOMEM. */
int option_set_text(struct options *options, const struct option_row *row, const char *text,
		    struct complaint *complaint);
int option_set_number(struct options *options, const struct option_row *row, uint64_t value,
		      struct complaint *complaint);

/* Returns -EINVAL. */
int option_complain(struct complaint *complaint, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
