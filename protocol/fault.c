/*
 * Names of faults, made from the one list.
 */
#include "protocol/fault.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = { NULL, /* SHMP_FAULT_NONE */
#define SHMP_FAULT_NAME(symbol, text) [SHMP_FAULT_##symbol] = SHMP_FAULT_PREFIX text,
				     SHMP_FAULTS(SHMP_FAULT_NAME)
#undef SHMP_FAULT_NAME
};

#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

const char *shmp_fault_error(enum shmp_fault fault)
{
	return (size_t)fault < NAME_COUNT ? names[fault] : NULL;
}

enum shmp_fault shmp_fault_find(const char *error)
{
	for (size_t i = SHMP_FAULT_NONE + 1; i < NAME_COUNT; i++) {
		if (strcmp(names[i], error) == 0)
			return (enum shmp_fault)i;
	}
	return SHMP_FAULT_NONE;
}
