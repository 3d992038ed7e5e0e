/* For targets.py: what the headers of protocol/ use of it; Linux has the same numbers nearly everywhere. */
#define EINVAL	22
#define EBADMSG 74
