/*
 * What the methods of org.shmbroker share; they are spread over methods_client.c (session, kinds,
 * doorbells), methods_create.c, methods_unlink.c and methods_attach.c. Finders answer the call when
 * they find nothing.
 */
#ifndef SHMBROKER_METHODS_CLIENT_H
#define SHMBROKER_METHODS_CLIENT_H

#include <stdbool.h>

#include "daemon/call.h"
#include "daemon/dispatch.h"

struct attachment;
struct segment;

void method_create(struct call *call);
void method_unlink(struct call *call);
void method_attach(struct call *call);
void method_detach(struct call *call);

/*
 * Whether the kernel has reported the caller's end. The call may have lain in its socket since then,
 * and whoever knows of that end counts on nothing happening for the dead any more.
 */
bool method_caller_is_dead(struct call *call);
/* For nobody to read. */
void method_answer_dead(struct call *call);

/* The legal name under "name". */
bool method_name(struct call *call, const char **ret_name);
/* The complete segment of that name. */
struct segment *method_segment(struct call *call, const char *name);
/* The caller's attachment under "id". */
struct attachment *method_attachment(struct call *call);
/* "endpoint" and "incarnation" are the attachment's own. */
bool method_own_endpoint(struct call *call, const struct attachment *attachment);

#endif
