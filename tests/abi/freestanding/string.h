/* For targets.py: what the headers of protocol/ use of it. */
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t bytes);
