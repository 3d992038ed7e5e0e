/*
 * org.varlink.service: what is spoken here.
 */
#include <string.h>

#include "config.h"
#include "daemon/call.h"
#include "daemon/dispatch.h"
#include "daemon/listener.h"
#include "daemon/session.h"

static const char text[] =
	"# The Varlink Service Interface is provided by every varlink service. It\n"
	"# describes the service and the interfaces it implements.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Get a list of all the interfaces a service provides and information\n"
	"# about the implementation.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# Get the description of an interface that is implemented by this service.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# The requested interface was not found.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The requested method was not found\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The interface defines the requested method, but the service does not\n"
	"# implement it.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# One of the passed parameters is invalid.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# Client is denied access\n"
	"error PermissionDenied ()\n"
	"\n"
	"# Method is expected to be called with 'more' set to true, but wasn't\n"
	"error ExpectedMore ()\n";

static void get_info(struct call *call)
{
	const struct interface *const *interfaces = call_session(call)->listener->interfaces;
	cJSON *reply = cJSON_CreateObject();
	cJSON *names;

	shmp_json_add_text(reply, "vendor", "shmbroker");
	shmp_json_add_text(reply, "product", "shmbrokerd");
	shmp_json_add_text(reply, "version", SHMBROKER_VERSION);
	shmp_json_add_text(reply, "url", "man:shmbrokerd(8)");
	names = shmp_json_add_array(reply, "interfaces");
	for (; *interfaces; interfaces++)
		shmp_json_append(names, cJSON_CreateString((*interfaces)->name));
	call_reply(call, reply);
}

static void get_interface_description(struct call *call)
{
	const struct interface *const *interfaces = call_session(call)->listener->interfaces;
	const char *name;
	cJSON *reply;

	if (!call_string(call, "interface", &name))
		return;
	while (*interfaces && strcmp((*interfaces)->name, name) != 0)
		interfaces++;
	reply = cJSON_CreateObject();
	if (!*interfaces) {
		shmp_json_add_text(reply, "interface", name);
		call_error(call, "org.varlink.service.InterfaceNotFound", reply);
		return;
	}
	shmp_json_add_text(reply, "description", (*interfaces)->text);
	call_reply(call, reply);
}

static const struct method methods[] = {
	{ "GetInfo", "", get_info },
	{ "GetInterfaceDescription", "interface", get_interface_description },
};

const struct interface interface_service = {
	.name = "org.varlink.service",
	.text = text,
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(methods[0]),
};
