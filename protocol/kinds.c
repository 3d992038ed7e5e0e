/* kinds: the table. A row for each structure, sorted by id. */
#include "protocol/kinds.h"

#include <string.h>

#include "protocol/mpmc.h"
#include "protocol/spsc.h"

const struct shmp_kind *const shmp_kinds[] = {
	&shmp_spsc_kind,
	&shmp_mpmc_kind,
};
const size_t shmp_kind_count = sizeof(shmp_kinds) / sizeof(shmp_kinds[0]);

const struct shmp_kind *shmp_kind_find(const char *name)
{
	for (size_t i = 0; i < shmp_kind_count; i++)
		if (strcmp(shmp_kinds[i]->name, name) == 0)
			return shmp_kinds[i];
	return NULL;
}

const struct shmp_role *shmp_kind_role(const struct shmp_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->role_count; i++)
		if (strcmp(kind->roles[i].name, name) == 0)
			return &kind->roles[i];
	return NULL;
}

int shmp_kind_option(const struct shmp_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->option_count; i++)
		if (strcmp(kind->options[i].name, name) == 0)
			return (int)i;
	return -1;
}
