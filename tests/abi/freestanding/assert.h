/* For targets.py: what the headers of protocol/ use of it. */
#define assert(condition) ((void)0)
#define static_assert	  _Static_assert
