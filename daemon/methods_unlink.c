/*
 * org.shmbroker: Unlink.
 */
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
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
	uint64_t tag = 0;

	if (method_caller_is_dead(call) || !method_name(call, &name) ||
	    !call_u64_optional(call, "tag", INT64_MAX, &tag))
		return;
	/* said again, by one who did not get the answer; what has that name now is another */
	if (tag != 0 && ledger_knows_unlink(call_broker(call), tag)) {
		call_done(call);
		return;
	}
	segment = method_segment(call, name);
	if (!segment || !check_rights(call, segment))
		return;
	event_emit(
		call_broker(call),
		&(struct event){ .kind = "unlinked", .who = call_client(call), .segment = name });
	if (tag != 0)
		ledger_unlink(segment, tag);
	segment_unlink(segment);
	call_done(call);
}
