/*
 * Names of segments: parts of [A-Za-z0-9_.-] joined by '/', 255 bytes in all. No part is empty,
 * "." or "..". Too long is refused, never cut. An object in an arena is "arena:object": two such
 * names and one ':' between them, 255 bytes in all.
 */
#ifndef SHMP_NAME_H
#define SHMP_NAME_H

#include <stddef.h>

#define SHMP_NAME_MAX 255u

/* NULL when @name is legal, otherwise what is wrong with it, as a sentence's end. */
const char *shmp_name_check(const char *name);
/* What follows the ':' of a legal name; NULL when it is that of a segment. */
const char *shmp_name_object(const char *name);

#endif
