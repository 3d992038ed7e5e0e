/*
 * Fields: those of a record that is about to be made, from words of the command line or from JSON.
 *
 *	temperature:double	samples:i32[16]		label:string:32 (or string(32))
 *	wheels:struct[4]	wheels.pressure:float	pose.x:double (makes the struct pose)
 *
 * JSON is an array of {"name":, "type":, "count":, "bytes":, "fields":}, or an object with such an
 * array in "fields", as describe --json prints it.
 */
#ifndef SHMBROKERCTL_FIELDS_H
#define SHMBROKERCTL_FIELDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "tools/options.h"

/* Whether any were given. */
bool fields_are_given(const struct options *options);

/*
 * Puts them into @parameters of Create, whose "options" are @kind_options: 0, or the exit code of
 * what was reported, with the field named.
 */
int fields_add(const struct options *options, cJSON *parameters, cJSON *kind_options);

/* The same from an array as describe --json prints it. */
int fields_add_list(const cJSON *fields, cJSON *parameters, cJSON *kind_options);

#endif
