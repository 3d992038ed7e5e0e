/*
 * Control: one connection to the broker, asked one thing at a time.
 *
 * Every function reports its own faults and returns an exit code (report.h).
 */
#ifndef SHMBROKERCTL_CONTROL_H
#define SHMBROKERCTL_CONTROL_H

#include "protocol/varlink.h"
#include "tools/options.h"

#define CONTROL_PATH_BYTES 108 /* of a socket's path, NUL included */

enum control_socket {
	CONTROL_SOCKET_CONTROL, /* status, events, administration */
	CONTROL_SOCKET_CLIENT,	/* what any client may do */
};

struct control {
	struct shmp_wire wire;
	char path[CONTROL_PATH_BYTES];
	int pid;	 /* of the broker, 0 = out of sight */
	bool is_guest;	 /* said hello, so that it must take its leave */
	bool is_patient; /* that it is lost is not worth a word: the next one is waited for */
	bool is_lost;	 /* it hung up or does not answer */
};

#define CONTROL_NULL ((struct control){ .wire = SHMP_WIRE_NULL })

/* Tries the addresses in order; says hello as a client. On failure nothing is left open. */
int control_open(const struct options *options, enum control_socket which,
		 struct control *ret_control);
/* The control socket, without a word when there is none: for what is merely nice to know. */
int control_open_quietly(const struct options *options, struct control *ret_control);
/* As control_open_quietly, and says what was tried and why it failed; *ret_tried is to be freed
 * then. */
int control_try(const struct options *options, enum control_socket which,
		struct control *ret_control, char **ret_tried);
/* Takes its leave first, so that the broker sees one who left and not one who died. */
void control_close(struct control *control);

/* Calls and waits for the answer; takes @parameters, which may be NULL. */
int control_call(struct control *control, const char *method, cJSON *parameters,
		 struct shmp_varlink_reply *ret_reply);
/* The same, but a fault is an exit code without a word. */
int control_call_quietly(struct control *control, const char *method, cJSON *parameters,
			 struct shmp_varlink_reply *ret_reply);
/* Gets the parameters of one reply. 0: go on; anything else ends it. */
typedef int (*control_page_fn)(void *context, const cJSON *page);
/*
 * Calls page by page: with @name, NULL = without one, and under @cursor what the page before said is
 * next. What @fn returned, or the exit code of a fault.
 */
int control_call_pages(struct control *control, const char *method, const char *name,
		       const char *cursor, control_page_fn fn, void *context);
/* Opens, calls, closes. */
int control_ask(const struct options *options, enum control_socket which, const char *method,
		cJSON *parameters, struct shmp_varlink_reply *ret_reply);
/* A call for a stream: each answer is read by control_next, which waits for ever. */
int control_call_more(struct control *control, const char *method);
int control_next(struct control *control, struct shmp_varlink_reply *ret_reply);

/* The path that --user, --system or --address names for clients; NULL = none of them given. */
const char *control_client_path(const struct options *options, char room[CONTROL_PATH_BYTES]);

#endif
