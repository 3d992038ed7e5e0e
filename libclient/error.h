/*
 * Error: fills the struct shmc_error of a control call.
 *
 * Inside libclient, functions that serve one public call return its enum shmc_result and have
 * filled the caller's error already; everything below them returns 0, an expected positive or
 * -errno, as protocol/ does.
 */
#ifndef SHMC__ERROR_H
#define SHMC__ERROR_H

#include "protocol/fault.h"
#include "shmclient/result.h"

struct shmp_varlink_reply;

/* Returns @result, with the sentence in @error (may be NULL), cut to its room. */
enum shmc_result shmc__error(struct shmc_error *error, enum shmc_result result, const char *format,
			     ...) __attribute__((format(printf, 3, 4)));

/* What the broker answered instead of a success. */
enum shmc_result shmc__error_from_reply(struct shmc_error *error, const char *method,
					const struct shmp_varlink_reply *reply);

/* An errno of this machine; @what completes "could not ...". */
enum shmc_result shmc__error_from_errno(struct shmc_error *error, const char *what, int errnum);

#endif
