#include "tools/control.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/report.h"
#include "tools/text.h"

#define ANSWER_SECONDS 5
#define CANDIDATES_MAX 2
#define FOLDER_SYSTEM  "/run/shmbroker"

static const char *const socket_names[] = {
	[CONTROL_SOCKET_CONTROL] = "control.sock",
	[CONTROL_SOCKET_CLIENT] = "shmbroker.sock",
};

/* Where a broker may be, and what each place said. */
struct candidates {
	char path[CANDIDATES_MAX][CONTROL_PATH_BYTES];
	int error[CANDIDATES_MAX]; /* errno, 0 = not tried */
	size_t count;
};

/* A path too long names no socket that could exist: connect says so. */
__attribute__((format(printf, 2, 3))) static void add(struct candidates *candidates,
						      const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(candidates->path[candidates->count], CONTROL_PATH_BYTES, format,
			   arguments);
	va_end(arguments);
	if (length >= CONTROL_PATH_BYTES)
		candidates->error[candidates->count] = ENAMETOOLONG;
	candidates->count++;
}

static const char *without_scheme(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
}

/* @address is a client socket; the control socket stands beside it. */
static void add_address(struct candidates *candidates, const char *address,
			enum control_socket which)
{
	const char *path = without_scheme(address);
	const char *slash = strrchr(path, '/');

	if (which == CONTROL_SOCKET_CLIENT)
		add(candidates, "%s", path);
	else
		add(candidates, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path,
		    socket_names[which]);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void add_user(struct candidates *candidates, enum control_socket which)
{
	const char *runtime = environment("XDG_RUNTIME_DIR");

	if (runtime)
		add(candidates, "%s/shmbroker/%s", runtime, socket_names[which]);
}

static void add_system(struct candidates *candidates, enum control_socket which)
{
	add(candidates, FOLDER_SYSTEM "/%s", socket_names[which]);
}

static void add_chosen(const struct options *options, enum control_socket which,
		       struct candidates *candidates)
{
	if (which == CONTROL_SOCKET_CONTROL && options->control)
		add(candidates, "%s", without_scheme(options->control));
	else if (options->address)
		add_address(candidates, options->address, which);
	else if (options->user)
		add_user(candidates, which);
	else if (options->system)
		add_system(candidates, which);
}

static bool is_chosen(const struct options *options)
{
	return options->address || options->user || options->system;
}

static void add_all(const struct options *options, enum control_socket which,
		    struct candidates *candidates)
{
	const char *control = environment("SHMBROKER_CONTROL_ADDRESS");
	const char *client = environment("SHMBROKER_ADDRESS");

	add_chosen(options, which, candidates);
	if (candidates->count > 0 || is_chosen(options))
		return;
	if (which == CONTROL_SOCKET_CONTROL && control) {
		add(candidates, "%s", without_scheme(control));
	} else if (client) {
		add_address(candidates, client, which);
	} else {
		add_user(candidates, which);
		add_system(candidates, which);
	}
}

const char *control_client_path(const struct options *options, char room[CONTROL_PATH_BYTES])
{
	struct candidates candidates = { .count = 0 };

	if (!is_chosen(options))
		return NULL;
	add_chosen(options, CONTROL_SOCKET_CLIENT, &candidates);
	memcpy(room, candidates.path[0], CONTROL_PATH_BYTES);
	return room;
}

static void set_timeout(int fd, int option, time_t seconds)
{
	struct timeval timeout = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof(timeout));
}

/* A connected socket, or -errno. */
static int connect_to(const char path[static CONTROL_PATH_BYTES])
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	static_assert(sizeof(name.sun_path) == CONTROL_PATH_BYTES, "any path of ours fits");
	memcpy(name.sun_path, path, CONTROL_PATH_BYTES);
	set_timeout(fd, SO_SNDTIMEO, ANSWER_SECONDS); /* also how long a full backlog may block */
	set_timeout(fd, SO_RCVTIMEO, ANSWER_SECONDS);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static int peer_pid(int fd)
{
	struct ucred peer = { .pid = 0 };
	socklen_t bytes = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
	return peer.pid;
}

/* True when one answered. */
static bool try_all(struct candidates *candidates, struct control *ret_control)
{
	for (size_t i = 0; i < candidates->count; i++) {
		int fd = candidates->error[i] ? -candidates->error[i] :
						connect_to(candidates->path[i]);

		if (fd < 0) {
			candidates->error[i] = -fd;
			continue;
		}
		*ret_control = CONTROL_NULL;
		shmp_wire_init(&ret_control->wire, fd, SHMP_WIRE_REPLY_BYTES_MAX, false);
		memcpy(ret_control->path, candidates->path[i], CONTROL_PATH_BYTES);
		ret_control->pid = peer_pid(fd);
		return true;
	}
	return false;
}

static const char *meaning_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "the socket is there, but no process listens: the broker has ended";
	case EACCES:
	case EPERM:
		return "permission denied: only root and the socket's group may ask";
	case EAGAIN:
		return "it does not accept connections: is the broker stopped?";
	default:
		return strerror(error);
	}
}

/* "PATH (why not), PATH (why not)"; to be freed. */
static char *tried_of(const struct candidates *candidates)
{
	char *tried = must_print("%s", "");

	for (size_t i = 0; i < candidates->count; i++) {
		char *more = must_print("%s%s%s (%s)", tried, i > 0 ? ", " : "",
					candidates->path[i], meaning_of(candidates->error[i]));

		free(tried);
		tried = more;
	}
	return tried;
}

static int report_none(const struct candidates *candidates)
{
	char *tried = tried_of(candidates);
	bool denied = false;
	int code;

	for (size_t i = 0; i < candidates->count; i++)
		denied |= candidates->error[i] == EACCES || candidates->error[i] == EPERM;
	code = report(EXIT_NO_BROKER, "NoBroker",
		      "no broker answers; tried %s. %s (systemctl start shmbrokerd, or "
		      "shmbrokerd --user --supervise) or name its socket with --address",
		      tried, denied ? "Join the group, start another one" : "Start one");
	free(tried);
	return code;
}

int control_open_quietly(const struct options *options, struct control *ret_control)
{
	struct candidates candidates = { .count = 0 };

	add_all(options, CONTROL_SOCKET_CONTROL, &candidates);
	return try_all(&candidates, ret_control) ? 0 : EXIT_NO_BROKER;
}

int control_try(const struct options *options, enum control_socket which,
		struct control *ret_control, char **ret_tried)
{
	struct candidates candidates = { .count = 0 };

	add_all(options, which, &candidates);
	if (try_all(&candidates, ret_control))
		return 0;
	*ret_tried = tried_of(&candidates);
	return EXIT_NO_BROKER;
}

/* What went wrong on the connection itself. */
static int report_broken(struct control *control, int r)
{
	control->is_lost = r == -EAGAIN || r == -EPIPE || r == -ECONNRESET;
	if (control->is_lost && control->is_patient)
		return EXIT_NO_BROKER;
	switch (r) {
	case -EAGAIN:
		/* what outlives a broker takes connections for the next one */
		if (kill(control->pid, 0) < 0 && errno == ESRCH)
			report(EXIT_NO_BROKER, "NoAnswer",
			       "the broker at %s (pid %d) has ended, and no other answered within "
			       "%d s; the log says why",
			       control->path, control->pid, ANSWER_SECONDS);
		else
			report(EXIT_NO_BROKER, "NoAnswer",
			       "the broker at %s (pid %d) did not answer within %d s: is it "
			       "stopped or busy?",
			       control->path, control->pid, ANSWER_SECONDS);
		break;
	case -EPIPE:
		report(EXIT_NO_BROKER, "BrokerLost",
		       "the broker at %s (pid %d) closed the connection; its log says why",
		       control->path, control->pid);
		break;
	case -EMSGSIZE:
	case -EBADMSG:
		report(EXIT_NO_BROKER, "Protocol",
		       "what answers at %s (pid %d) does not speak shmbroker's protocol",
		       control->path, control->pid);
		break;
	default:
		report(EXIT_NO_BROKER, "BrokerLost", "talking to the broker at %s (pid %d): %s",
		       control->path, control->pid, strerror(-r));
		break;
	}
	return EXIT_NO_BROKER;
}

static int report_fault(const struct shmp_varlink_reply *reply)
{
	const char *message = "";
	const char *name = reply->error;

	shmp_json_string(reply->parameters, "message", &message);
	if (*message)
		return report(EXIT_REFUSED, name, "%s", message);
	if (strcmp(name, "org.varlink.service.InvalidParameter") == 0)
		shmp_json_string(reply->parameters, "parameter", &message);
	if (strcmp(name, "org.varlink.service.MethodNotFound") == 0)
		shmp_json_string(reply->parameters, "method", &message);
	return report(EXIT_REFUSED, name, "the broker says %s%s%s; is it of another version?", name,
		      *message ? ": " : "", message);
}

static int send_call(struct control *control, const char *method, cJSON *parameters, bool more)
{
	int r = shmp_varlink_queue_call(&control->wire, method, parameters, false, more);

	cJSON_Delete(parameters);
	if (r == -EMSGSIZE)
		return report(EXIT_REFUSED, "TooBig",
			      "the request is longer than the %u bytes that "
			      "the broker takes",
			      SHMP_WIRE_REQUEST_BYTES_MAX);
	if (r == 0)
		r = shmp_wire_flush(&control->wire);
	return r < 0 ? report_broken(control, r) : 0;
}

/* One reply, whatever it says. */
static int receive(struct control *control, struct shmp_varlink_reply *ret_reply)
{
	struct shmp_wire_message message;
	int r;

	while ((r = shmp_wire_next(&control->wire, &message)) == 1) {
		r = shmp_wire_receive(&control->wire);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = shmp_varlink_parse_reply(message.text, message.bytes, ret_reply);
	return r == 0 ? 0 : report_broken(control, r);
}

int control_next(struct control *control, struct shmp_varlink_reply *ret_reply)
{
	struct shmp_varlink_reply reply = { .error = "" };
	int code = receive(control, &reply);

	if (code != 0)
		return code;
	if (*reply.error) {
		code = report_fault(&reply);
		shmp_varlink_reply_deinit(&reply);
		return code;
	}
	*ret_reply = reply;
	return 0;
}

int control_call(struct control *control, const char *method, cJSON *parameters,
		 struct shmp_varlink_reply *ret_reply)
{
	int code = send_call(control, method, parameters, false);

	return code ? code : control_next(control, ret_reply);
}

int control_call_quietly(struct control *control, const char *method, cJSON *parameters,
			 struct shmp_varlink_reply *ret_reply)
{
	struct shmp_varlink_reply reply;
	int code = send_call(control, method, parameters, false);

	if (code == 0)
		code = receive(control, &reply);
	if (code)
		return code;
	if (*reply.error) {
		shmp_varlink_reply_deinit(&reply);
		return EXIT_REFUSED;
	}
	*ret_reply = reply;
	return 0;
}

int control_call_pages(struct control *control, const char *method, const char *name,
		       const char *cursor, control_page_fn fn, void *context)
{
	cJSON *next = NULL;
	int code;

	do {
		struct shmp_varlink_reply reply = SHMP_VARLINK_REPLY_NULL;
		cJSON *parameters = must(cJSON_CreateObject());

		if (name)
			must(cJSON_AddStringToObject(parameters, "name", name));
		if (next)
			cJSON_AddItemToObject(parameters, cursor, next);
		next = NULL;
		code = control_call(control, method, parameters, &reply);
		if (code)
			return code;
		code = fn(context, reply.parameters);
		next = cJSON_DetachItemFromObjectCaseSensitive(reply.parameters, "next");
		shmp_varlink_reply_deinit(&reply);
	} while (code == 0 && next);
	cJSON_Delete(next);
	return code;
}

void control_close(struct control *control)
{
	/* nobody waits for an answer, and on a broken connection there is nothing more to say */
	if (control->is_guest &&
	    shmp_varlink_queue_call(&control->wire, "org.shmbroker.Leave", NULL, true, false) == 0)
		shmp_wire_flush(&control->wire);
	shmp_wire_deinit(&control->wire);
}

/* A client says who it is before anything else. */
static int say_hello(struct control *control)
{
	struct shmp_varlink_reply reply;
	cJSON *parameters = must(cJSON_CreateObject());
	int code;

	must(cJSON_AddStringToObject(parameters, "name", "shmbrokerctl"));
	code = control_call(control, "org.shmbroker.Hello", parameters, &reply);
	if (code == 0)
		shmp_varlink_reply_deinit(&reply);
	control->is_guest = code == 0;
	return code;
}

int control_open(const struct options *options, enum control_socket which,
		 struct control *ret_control)
{
	struct candidates candidates = { .count = 0 };
	int code = 0;

	add_all(options, which, &candidates);
	if (!try_all(&candidates, ret_control))
		return report_none(&candidates);
	if (which == CONTROL_SOCKET_CLIENT)
		code = say_hello(ret_control);
	if (code)
		control_close(ret_control);
	return code;
}

int control_ask(const struct options *options, enum control_socket which, const char *method,
		cJSON *parameters, struct shmp_varlink_reply *ret_reply)
{
	struct control control;
	int code = control_open(options, which, &control);

	if (code) {
		cJSON_Delete(parameters);
		return code;
	}
	code = control_call(&control, method, parameters, ret_reply);
	control_close(&control);
	return code;
}

int control_call_more(struct control *control, const char *method)
{
	set_timeout(control->wire.fd, SO_RCVTIMEO, 0);
	return send_call(control, method, NULL, true);
}
