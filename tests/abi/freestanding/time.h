/* what a header of protocol/ needs of it, where there is no C library */
#include <stdint.h>
typedef int64_t time_t;
time_t time(time_t *ret_now);
