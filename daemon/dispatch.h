/*
 * Dispatch: from a method's name to the function of the room that has it.
 *
 * An interface is a table beside its methods; which socket speaks which is main's choice.
 * org.varlink.service is spoken everywhere.
 */
#ifndef SHMBROKER_DISPATCH_H
#define SHMBROKER_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

struct call;

struct method {
	const char *name;
	const char *parameters; /* legal ones, separated by blanks */
	void (*run)(struct call *call);
};

struct interface {
	const char *name;
	const char *text; /* the .varlink file */
	const struct method *methods;
	size_t method_count;
};

/* Runs the call, or answers that there is no such thing. */
void dispatch(struct call *call, const struct interface *const *interfaces);

extern const struct interface interface_client;	 /* methods_client.c */
extern const struct interface interface_control; /* methods_control.c */
extern const struct interface interface_service; /* methods_service.c */

#endif
