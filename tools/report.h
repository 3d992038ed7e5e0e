/*
 * Report: how the tool tells that something went wrong, and with which exit code.
 *
 * For people a sentence on stderr; with --json one object on stderr, {"error":, "message":,
 * "exit":}. Every function of a command returns an exit code, 0 = go on, and whoever finds the
 * fault reports it: callers only pass the code up.
 */
#ifndef SHMBROKERCTL_REPORT_H
#define SHMBROKERCTL_REPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* symbol, code, what it means */
#define EXIT_CODES(X)                                                                         \
	X(EXIT_DONE, 0, "done")                                                               \
	X(EXIT_REFUSED, 1, "the request was refused or failed; stderr says why")              \
	X(EXIT_USAGE, 2, "the command line makes no sense")                                   \
	X(EXIT_NO_BROKER, 3, "no broker answers, or it went away")                            \
	X(EXIT_PEER, 4, "pub, sub: the other side died (pub: or left a full queue behind)")   \
	X(EXIT_TIMEOUT, 5, "nothing happened within --timeout")                               \
	X(EXIT_DATA, 65, "restore: the file is none of save, damaged, or of another version") \
	X(EXIT_SIGNAL, 128, "plus N: ended in good order by signal N; 141: nobody reads stdout")

enum exit_code {
#define EXIT_CODE_ENUM(symbol, code, text) symbol = (code),
	EXIT_CODES(EXIT_CODE_ENUM)
#undef EXIT_CODE_ENUM
};

/* --json was given. */
void report_as_json(bool as_json);

/* @error: machine's name of it. Returns @code. */
__attribute__((format(printf, 3, 4))) int report(int code, const char *error, const char *format,
						 ...);

/*
 * One object on one line of stdout, its integers made plain digits. 0, or the exit code of a
 * stdout that cannot be written. The second one also deletes it.
 */
int report_json(cJSON *object);
int report_json_take(cJSON *object);
/* Flushes stdout: 0, or the exit code. */
int report_flush(void);

#endif
