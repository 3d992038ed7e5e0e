/*
 * Units: numbers as people write and read them.
 */
#ifndef SHMBROKERCTL_UNITS_H
#define SHMBROKERCTL_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_BYTES 32 /* room for any of the texts below */

/* "4096", "64K", "1M", "2GiB": 0, or -EINVAL; -ERANGE beyond 64 bits. */
int units_parse(const char *text, uint64_t *ret_value);
/* "2", "0.5": nanoseconds from seconds. 0, -EINVAL, -ERANGE. */
int units_parse_seconds(const char *text, int64_t *ret_ns);

/* "64 KiB", "1.5 MiB". Returns @text. */
char *units_bytes(uint64_t bytes, char text[static UNITS_BYTES]);
/* The same where no digit may be lost: "64 KiB", "65520 B". Returns @text. */
char *units_bytes_exact(uint64_t bytes, char text[static UNITS_BYTES]);
/* "1.5 us", "12.3 s", "5 m 12 s", "3 d 4 h". Returns @text. */
char *units_duration(uint64_t ns, char text[static UNITS_BYTES]);

#endif
