/*
 * org.shmbroker: Unlink.
 */
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/methods_client.h"
#include "daemon/segment.h"

static bool check_rights(struct call *call, const struct segment *segment)
{
	const struct credentials *who = &call_client(call)->credentials;
	bool may = segment->parent ? policy_may_write(who, &segment->ownership) :
				     policy_may_manage(who, &segment->ownership);

	if (!may)
		call_fault(call, SHMP_FAULT_DENIED, &(struct about){ .name = segment->name },
			   "user %u may not unlink %s: it is user %u's", who->uid, segment->name,
			   segment->ownership.uid);
	return may;
}

void method_unlink(struct call *call)
{
	struct segment *segment;
	const char *name;

	if (method_caller_is_dead(call) || !method_name(call, &name))
		return;
	segment = method_segment(call, name);
	if (!segment || !check_rights(call, segment))
		return;
	event_emit(
		call_broker(call),
		&(struct event){ .kind = "unlinked", .who = call_client(call), .segment = name });
	segment_unlink(segment);
	call_done(call);
}
