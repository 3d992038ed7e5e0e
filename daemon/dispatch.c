#include "daemon/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"

static const struct interface *find_interface(const struct interface *const *interfaces,
					      const char *name, size_t length)
{
	for (; *interfaces; interfaces++) {
		if (strlen((*interfaces)->name) == length &&
		    memcmp((*interfaces)->name, name, length) == 0)
			return *interfaces;
	}
	return NULL;
}

static const struct method *find_method(const struct interface *interface, const char *name)
{
	for (size_t i = 0; i < interface->method_count; i++) {
		if (strcmp(interface->methods[i].name, name) == 0)
			return &interface->methods[i];
	}
	return NULL;
}

static void refuse(struct call *call, const char *error, const char *key, const char *value,
		   size_t length)
{
	cJSON *parameters = cJSON_CreateObject();
	char *text = strndup(value, length);

	if (text)
		shmp_json_add_text(parameters, key, text);
	else
		shmp_json_spoil(parameters);
	free(text);
	call_error(call, error, parameters);
}

static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list) {
		size_t here = strcspn(list, " ");

		if (here == length && memcmp(list, name, length) == 0)
			return true;
		list += here;
		list += strspn(list, " ");
	}
	return false;
}

/* A parameter that this broker does not know may change what the caller means: refuse it. */
static const char *unknown_parameter(const struct call *call, const struct method *method)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, call->message.parameters)
	{
		if (!is_listed(method->parameters, item->string))
			return item->string;
	}
	return NULL;
}

void dispatch(struct call *call, const struct interface *const *interfaces)
{
	const char *name = call->message.method;
	const char *dot = strrchr(name, '.');
	const struct interface *interface;
	const struct method *method;
	const char *unknown;

	if (!dot || dot == name || !dot[1]) {
		call_invalid(call, "method");
		return;
	}
	interface = find_interface(interfaces, name, (size_t)(dot - name));
	if (!interface) {
		refuse(call, "org.varlink.service.InterfaceNotFound", "interface", name,
		       (size_t)(dot - name));
		return;
	}
	method = find_method(interface, dot + 1);
	if (!method) {
		refuse(call, "org.varlink.service.MethodNotFound", "method", name, strlen(name));
		return;
	}
	unknown = unknown_parameter(call, method);
	if (unknown)
		call_invalid(call, unknown);
	else if (!method->run)
		refuse(call, "org.varlink.service.MethodNotImplemented", "method", name,
		       strlen(name));
	else
		method->run(call);
}
