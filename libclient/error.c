#include "libclient/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/varlink.h"

#define VARLINK_SERVICE "org.varlink.service."

enum shmc_result shmc__error(struct shmc_error *error, enum shmc_result result, const char *format,
			     ...)
{
	va_list arguments;

	if (!error)
		return result;
	error->result = result;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return result;
}

/* By fault, then by what Varlink itself may say. */
static enum shmc_result error_result(const char *name)
{
	static const enum shmc_result results[] = { [SHMP_FAULT_NONE] = SHMC_UNSUPPORTED,
#define ERROR_ROW(symbol, text) [SHMP_FAULT_##symbol] = SHMC_##symbol,
						    SHMP_FAULTS(ERROR_ROW)
#undef ERROR_ROW
	};

	if (strcmp(name, VARLINK_SERVICE "InvalidParameter") == 0)
		return SHMC_INVALID;
	if (strcmp(name, VARLINK_SERVICE "PermissionDenied") == 0)
		return SHMC_DENIED;
	return results[shmp_fault_find(name)];
}

enum shmc_result shmc__error_from_reply(struct shmc_error *error, const char *method,
					const struct shmp_varlink_reply *reply)
{
	enum shmc_result result = error_result(reply->error);
	const char *text = NULL;

	if (shmp_json_string(reply->parameters, "message", &text) == 0)
		return shmc__error(error, result, "%s", text);
	if (shmp_json_string(reply->parameters, "parameter", &text) == 0)
		return shmc__error(error, result, "%s: %s: %s", method, reply->error, text);
	return shmc__error(error, result, "%s: the broker answers %s", method, reply->error);
}

enum shmc_result shmc__error_from_errno(struct shmc_error *error, const char *what, int errnum)
{
	enum shmc_result result;
	char text[128];

	switch (errnum) {
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		result = SHMC_NO_SPACE;
		break;
	case EAGAIN: /* of mmap, when all that is mapped is locked (mlockall): RLIMIT_MEMLOCK */
		result = SHMC_QUOTA;
		break;
	case EACCES:
	case EPERM:
		result = SHMC_DENIED;
		break;
	default:
		result = SHMC_UNSUPPORTED;
		break;
	}
	return shmc__error(error, result, "could not %s: %s", what,
			   strerror_r(errnum, text, sizeof(text)));
}
