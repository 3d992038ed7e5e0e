/*
 * Base64, as RFC 4648 has it, padded: bytes in JSON.
 */
#ifndef SHMP_BASE64_H
#define SHMP_BASE64_H

#include <stddef.h>

#define SHMP_BASE64_BYTES(bytes_) (((bytes_) + 2) / 3 * 4 + 1) /* of the text, NUL included */

/* @text has room for SHMP_BASE64_BYTES(bytes). */
void shmp_base64_encode(const void *data, size_t bytes, char *text);
/* 0; -EINVAL when it is none; -ERANGE when it is more than @room bytes. */
int shmp_base64_decode(const char *text, void *data, size_t room, size_t *ret_bytes);

#endif
