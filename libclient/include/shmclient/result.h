/*
 * Results: what every call of libshmclient returns.
 *
 * 0 is done. Positive: nothing is wrong and nothing was done; ask again later. Negative, from
 * -1000 on: failed, and nothing was changed unless the text says so. Never an errno.
 */
#ifndef SHMCLIENT_RESULT_H
#define SHMCLIENT_RESULT_H

#ifdef __cplusplus
extern "C" {
#endif

/* symbol, value, text */
#define SHMC_RESULTS(X)                                                                         \
	X(OK, 0, "done")                                                                        \
	X(FULL, 1, "no room now")                                                               \
	X(EMPTY, 2, "nothing there now")                                                        \
	X(TIMEOUT, 3, "nothing happened within the time given")                                 \
	X(LAPPED, 4, "written over before it was done with: what was read is worth nothing")    \
	X(OWNER_DIED, -1000, "done, but the previous owner died holding it: look at the data")  \
	X(PEER_DEAD, -1001, "the other side died; nothing left to read, or no room to write")   \
	X(CLOSED, -1002, "the other side closed; nothing left to read, or no room to write")    \
	X(TOO_BIG, -1003, "larger than the limit of this segment or buffer")                    \
	X(NOT_FOUND, -1004, "there is none of that name, or of that range")                     \
	X(EXISTS, -1005, "the name is taken")                                                   \
	X(MISMATCH, -1006, "kind, geometry or type differ from what is there")                  \
	X(BUSY, -1007, "the role is held by another")                                           \
	X(DENIED, -1008, "not allowed")                                                         \
	X(QUOTA, -1009, "a limit of this user is reached")                                      \
	X(NO_SPACE, -1010, "out of memory")                                                     \
	X(CORRUPT, -1011, "another process wrote nonsense into the segment")                    \
	X(FORKED, -1012, "a forked child may not use its parent's handles")                     \
	X(BROKER_LOST, -1013, "no broker answers")                                              \
	X(INVALID, -1014, "an argument is out of range")                                        \
	X(STALE, -1015, "of an earlier life: the broker was restarted, or the object released") \
	X(UNSUPPORTED, -1016, "this broker, kernel or kind cannot do it")                       \
	X(UNRECOVERABLE, -1017, "what a dead owner left was given up: make it anew")            \
	X(DAMAGED, -1018, "the bytes are not those that the checksum was made of")              \
	X(BAD_VALUE, -1019, "the codec cannot make a value of the bytes, or bytes of the value")

enum shmc_result {
#define SHMC_RESULT_ENUM(symbol, value, text) SHMC_##symbol = (value),
	SHMC_RESULTS(SHMC_RESULT_ENUM)
#undef SHMC_RESULT_ENUM
};

/**
 * The symbol of a result, e.g. "PEER_DEAD".
 *
 * Return: a constant string, "UNKNOWN" for a value that is none.
 * Threads: any. Context: does not block or allocate; signal- and fork-safe.
 * Since: 0.1
 */
const char *shmc_result_name(enum shmc_result result);

/**
 * A sentence that explains a result to a person.
 *
 * Return: a constant string, "unknown result" for a value that is none.
 * Threads: any. Context: does not block or allocate; signal- and fork-safe.
 * Since: 0.1
 */
const char *shmc_result_text(enum shmc_result result);

/** What a control call has to say beyond its result; filled only when it fails. */
struct shmc_error {
	enum shmc_result result;
	char text[508]; /* names the segment, the process, the limit, the remedy */
};

#ifdef __cplusplus
}
#endif

#endif
