/*
 * Faults: the errors of org.shmbroker on the wire. One list makes the enum, the Varlink error
 * name and, in the client, the result. Every one carries "message", a sentence for people that
 * names the segment, the limit or the process, and the remedy.
 */
#ifndef SHMP_FAULT_H
#define SHMP_FAULT_H

#define SHMP_FAULTS(X)                                                                             \
	X(INVALID, "Invalid")	      /* parameter, message */                                     \
	X(NOT_FOUND, "NotFound")      /* name, message */                                          \
	X(EXISTS, "Exists")	      /* name, message */                                          \
	X(MISMATCH, "Mismatch")	      /* name, parameter, message */                               \
	X(BUSY, "Busy")		      /* name, role, pid, message */                               \
	X(DENIED, "Denied")	      /* name, message */                                          \
	X(QUOTA, "Quota")	      /* limit, message */                                         \
	X(NO_SPACE, "NoSpace")	      /* message */                                                \
	X(TOO_BIG, "TooBig")	      /* parameter, limit, message */                              \
	X(CORRUPT, "Corrupt")	      /* name, message */                                          \
	X(STALE, "Stale")	      /* message: the session or segment is an earlier broker's */ \
	X(UNSUPPORTED, "Unsupported") /* message: what the other side cannot do */

enum shmp_fault {
	SHMP_FAULT_NONE = 0,
#define SHMP_FAULT_ENUM(symbol, text) SHMP_FAULT_##symbol,
	SHMP_FAULTS(SHMP_FAULT_ENUM)
#undef SHMP_FAULT_ENUM
};

#define SHMP_FAULT_PREFIX "org.shmbroker."

/* "org.shmbroker.NotFound"; NULL for NONE. */
const char *shmp_fault_error(enum shmp_fault fault);
/* NONE when @error is not one of ours. */
enum shmp_fault shmp_fault_find(const char *error);

#endif
