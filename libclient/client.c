#include "libclient/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/object.h"
#include "protocol/name.h"
#include "protocol/waiter.h"

#define CLIENT_INTERFACE "org.shmbroker."

#define CLIENT_SPIN_NS		  INT64_C(20000)
#define CLIENT_CONTROL_TIMEOUT_NS UINT64_C(5000000000)
/* A broker that ends with each call is not asked for ever. */
#define CLIENT_ATTEMPTS 64
/* What fits in a request, with room to spare. */
#define CLIENT_HELD_MAX 4096

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; older headers lack it */
#endif

/* Before Linux 6.5 the broker knows a process by its start time, field 22 of its stat. 0: needs
 * none, or cannot be had. */
static uint64_t client_start_time(int socket)
{
	char text[1024];
	socklen_t bytes = sizeof(int);
	ssize_t got;
	char *at;
	int fd = -1;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &bytes) == 0) {
		close(fd);
		return 0;
	}
	if (errno != ENOPROTOOPT)
		return 0;
	fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	at = strrchr(text, ')'); /* ends field 2, whatever the program is called */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* What of the session is open: what else the broker has of it, nobody was told of. */
static void client_add_held(const struct shmc_client *client, cJSON *parameters)
{
	cJSON *held = shmp_json_add_array(parameters, "held");
	size_t count = 0;

	for (const struct shmc__object *at = client->objects; at; at = at->next) {
		if (at->session != client->session)
			continue;
		shmp_json_add_id(held, at->id);
		count++;
	}
	if (count > CLIENT_HELD_MAX)
		cJSON_DeleteItemFromObjectCaseSensitive(parameters, "held");
}

static cJSON *client_hello(struct shmc_client *client)
{
	uint64_t start_time = client_start_time(client->control.wire.fd);
	cJSON *parameters = cJSON_CreateObject();

	shmp_json_add_text(parameters, "name", client->name);
	shmp_json_add_bool(parameters, "membarrier", client->has_membarrier);
	if (start_time)
		shmp_json_add_u64(parameters, "start_time", start_time);
	if (client->token[0] != '\0') {
		shmp_json_add_text(parameters, "resume", client->token);
		client_add_held(client, parameters);
		if (client->is_opening)
			shmp_json_add_bool(parameters, "opening", true);
	}
	return parameters;
}

static int client_read_token(const cJSON *parameters, const char *key,
			     char (*ret_token)[SHMC__TOKEN_BYTES])
{
	const char *text;

	if (shmp_json_string(parameters, key, &text) != 0)
		return -EBADMSG;
	if (*text == '\0' || strlen(text) >= SHMC__TOKEN_BYTES)
		return -EBADMSG;
	memcpy(*ret_token, text, strlen(text) + 1);
	return 0;
}

static int client_begin_session(struct shmc_client *client, const cJSON *parameters)
{
	char epoch[SHMC__TOKEN_BYTES], token[SHMC__TOKEN_BYTES];
	bool is_resumed = false;

	if (client_read_token(parameters, "epoch", &epoch) < 0 ||
	    client_read_token(parameters, "session", &token) < 0 ||
	    shmp_json_bool(parameters, "resumed", &is_resumed) < 0)
		return -EBADMSG;
	if (!is_resumed || client->session == 0)
		client->session++;
	memcpy(client->epoch, epoch, sizeof(epoch));
	memcpy(client->token, token, sizeof(token));
	return 0;
}

/* A broker that is being replaced may be away for a moment: then another one is no substitute. */
static enum shmc_result client_connect(struct shmc_client *client, uint64_t deadline_ns,
				       struct shmc_error *error)
{
	struct shmc__holding socket = SHMC__HOLDING_NULL;
	const char *chosen = client->token[0] != '\0' ? client->connected_to : client->address;
	enum shmc_result result = shmc__address_connect(chosen, deadline_ns, &socket,
							&client->connected_to, error);

	if (result == SHMC_OK)
		shmc__control_open(&client->control, &socket);
	return result;
}

/* What a call that got no answer says. */
static enum shmc_result client_call_failed(const struct shmc_client *client, const char *method,
					   int r, struct shmc_error *error)
{
	int fd;

	switch (r) {
	case -ETIMEDOUT:
		return shmc__error(error, SHMC_BROKER_LOST,
				   "the broker at %s did not answer %s within %" PRIu64
				   " ms: it is stopped, busy or being restarted; its log says more",
				   client->connected_to, method,
				   client->control_timeout_ns / 1000000);
	case -EPIPE:
		return shmc__error(error, SHMC_BROKER_LOST,
				   "the broker at %s hung up instead of answering %s",
				   client->connected_to, method);
	case -EMSGSIZE:
		return shmc__error(error, SHMC_INVALID, "%s: the arguments are too long", method);
	case -ENOMEM:
		return shmc__error_from_errno(error, method, ENOMEM);
	default:
		break;
	}
	/* Descriptors that found no room make an answer unreadable, too. */
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 && errno == EMFILE)
		return shmc__error_from_errno(error, method, EMFILE);
	if (fd >= 0)
		close(fd);
	return shmc__error(error, SHMC_UNSUPPORTED,
			   "what answers %s at %s is not a broker that this library understands",
			   method, client->connected_to);
}

/* *ret_r: 0, or why there was no answer. */
static enum shmc_result client_say_hello(struct shmc_client *client, uint64_t deadline_ns,
					 int *ret_r, struct shmc_error *error)
{
	cJSON *parameters = client_hello(client);
	struct shmc__reply reply;
	enum shmc_result result = SHMC_OK;
	int r = parameters ? shmc__control_call(&client->control, CLIENT_INTERFACE "Hello",
						parameters, deadline_ns, NULL, NULL, &reply) :
			     -ENOMEM;

	cJSON_Delete(parameters);
	if (r == 0) {
		if (*reply.varlink.error != '\0')
			result = shmc__error_from_reply(error, "Hello", &reply.varlink);
		else
			r = client_begin_session(client, reply.varlink.parameters);
		shmc__reply_deinit(&reply);
	}
	if (r < 0)
		result = client_call_failed(client, "Hello", r, error);
	*ret_r = r;
	if (result != SHMC_OK)
		shmc__control_close(&client->control);
	return result;
}

/*
 * A connection with a session, the one there is or a new one. A broker that is replaced may end
 * between the connection and its answer, and the next one is there at once.
 */
static enum shmc_result client_ensure(struct shmc_client *client, uint64_t deadline_ns,
				      struct shmc_error *error)
{
	enum shmc_result result = SHMC_BROKER_LOST;
	int r = -EPIPE;

	/* finds out whether the broker hung up, and takes what came meanwhile */
	if (shmc__control_collect(&client->control) == 0)
		return SHMC_OK;
	for (int attempt = 0; attempt < CLIENT_ATTEMPTS && r == -EPIPE; attempt++) {
		result = client_connect(client, deadline_ns, error);
		if (result != SHMC_OK)
			return result;
		result = client_say_hello(client, deadline_ns, &r, error);
	}
	return result;
}

static uint64_t client_deadline(const struct shmc_client *client)
{
	uint64_t now = shmp_clock_ns();

	return client->control_timeout_ns > UINT64_MAX - now ? UINT64_MAX :
							       now + client->control_timeout_ns;
}

static const char *client_method(char *buffer, size_t bytes, const char *method)
{
	snprintf(buffer, bytes, CLIENT_INTERFACE "%s", method);
	return buffer;
}

void shmc__client_add_tag(cJSON *parameters)
{
	uint64_t tag = 0;

	if (getrandom(&tag, sizeof(tag), GRND_NONBLOCK) == sizeof(tag) && tag >> 11 != 0)
		shmp_json_add_u64(parameters, "tag", tag >> 11);
}

enum shmc_result shmc__client_call(struct shmc_client *client, const char *method,
				   const cJSON *parameters, uint64_t session, shmc__reply_fn late,
				   struct shmc__reply *ret_reply, struct shmc_error *error)
{
	uint64_t deadline_ns = client_deadline(client);
	enum shmc_result result;
	char full[64];
	int r;

	if (!parameters)
		return shmc__error_from_errno(error, method, ENOMEM);
	client_method(full, sizeof(full), method);
	/* A broker that was restarted may be noticed by the call only: then it is made again. */
	for (int attempt = 0; attempt < CLIENT_ATTEMPTS; attempt++) {
		client->is_opening = attempt > 0 && strcmp(method, "Attach") == 0;
		result = client_ensure(client, deadline_ns, error);
		client->is_opening = false;
		if (result != SHMC_OK)
			return result;
		if (session != 0 && session != client->session)
			return shmc__error(error, SHMC_STALE,
					   "the broker at %s was stopped, and what it had is gone: "
					   "that of now (epoch %s) does not know this endpoint, "
					   "make and open the segment again",
					   client->connected_to, client->epoch);
		r = shmc__control_call(&client->control, full, parameters, deadline_ns, late,
				       client, ret_reply);
		if (r != -EPIPE)
			break;
	}
	if (r < 0)
		return client_call_failed(client, method, r, error);
	if (*ret_reply->varlink.error == '\0')
		return SHMC_OK;
	result = shmc__error_from_reply(error, method, &ret_reply->varlink);
	shmc__reply_deinit(ret_reply);
	return result;
}

/* The answer to a hello that nobody waited for. */
static void client_take_hello(void *context, struct shmc__reply *reply)
{
	struct shmc_client *client = context;

	if (reply && *reply->varlink.error == '\0')
		client_begin_session(client, reply->varlink.parameters);
}

static int client_send_hello(struct shmc_client *client)
{
	cJSON *hello = client_hello(client);
	int r = hello ? shmc__control_send(&client->control, CLIENT_INTERFACE "Hello", hello,
					   client_take_hello, client) :
			-ENOMEM;

	cJSON_Delete(hello);
	/* without it, the broker would take what follows for a stranger's */
	if (r < 0)
		shmc__control_close(&client->control);
	return r;
}

int shmc__client_send(struct shmc_client *client, const char *method, const cJSON *parameters,
		      shmc__reply_fn fn, void *context)
{
	char full[64];
	int r;

	if (!parameters)
		return -ENOMEM;
	if (!shmc__control_is_open(&client->control)) {
		if (client_connect(client, 0, NULL) != SHMC_OK)
			return -EPIPE;
		r = client_send_hello(client);
		if (r < 0)
			return r;
	}
	return shmc__control_send(&client->control, client_method(full, sizeof(full), method),
				  parameters, fn, context);
}

enum shmc_result shmc__client_enter(struct shmc_client *client, struct shmc_error *error)
{
	if (shmc__process_is_forked(client->alive))
		return shmc__error(error, SHMC_FORKED,
				   "this client is the parent process's: connect anew");
	pthread_mutex_lock(&client->mutex);
	return SHMC_OK;
}

void shmc__client_leave(struct shmc_client *client)
{
	for (;;) {
		pthread_mutex_unlock(&client->mutex);
		/* Either this sees the mark, or its setter's trylock, which comes after it, finds
		 * the mutex free or with a holder who has yet to come here. */
		atomic_thread_fence(
			memory_order_seq_cst); /* [bell.O] fence; pairs with ringer_owe */
		/* relaxed: ordered by the fence */
		if (!atomic_load_explicit(&client->owes_ring, memory_order_relaxed))
			return;
		if (pthread_mutex_trylock(&client->mutex) != 0)
			return;
		shmc__bell_pay(client);
	}
}

/* Spinning helps only where the other side can run meanwhile. */
static void client_set_spinning(struct shmc_client *client, int64_t option)
{
	cpu_set_t cpus;

	if (option == 0)
		option = CLIENT_SPIN_NS;
	if (option < 0 || sysconf(_SC_NPROCESSORS_ONLN) == 1)
		option = 0;
	client->spin_ns = (uint64_t)option;
	client->is_pinned = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
}

/* What the broker lets stand in its log and its tables. */
static bool client_may_show(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

/* Whatever the program is called, it can connect. */
static void client_set_name(struct shmc_client *client, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(client->name) - 1 && name[i] != '\0'; i++)
		client->name[i] = client_may_show(name[i]) ? name[i] : '?';
	client->name[i] = '\0';
}

static void client_free(struct shmc_client *client)
{
	pthread_mutex_destroy(&client->mutex);
	free(client->address);
	free(client);
}

static enum shmc_result client_new(const struct shmc_client_options *options,
				   struct shmc_client **ret_client, struct shmc_error *error)
{
	struct shmc_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return shmc__error_from_errno(error, "connect", ENOMEM);
	pthread_mutex_init(&client->mutex, NULL);
	shmc__control_init(&client->control);
	client_set_spinning(client, options->spin_ns);
	client->control_timeout_ns = options->control_timeout_ns > 0 ?
					     (uint64_t)options->control_timeout_ns :
					     CLIENT_CONTROL_TIMEOUT_NS;
	client_set_name(client, options->name ? options->name : program_invocation_short_name);
	if (options->address)
		client->address = strdup(options->address);
	r = options->address && !client->address ? -ENOMEM : shmc__process_enter(&client->alive);
	if (r < 0) {
		client_free(client);
		return shmc__error_from_errno(error, "connect", -r);
	}
	*ret_client = client;
	return SHMC_OK;
}

enum shmc_result shmc_connect(const struct shmc_client_options *options,
			      struct shmc_client **ret_client, struct shmc_error *error)
{
	static const struct shmc_client_options none;
	struct shmc_client *client = NULL;
	enum shmc_result result = client_new(options ? options : &none, &client, error);

	if (result != SHMC_OK)
		return result;
	assert(client);
	client->has_membarrier = shmp_membarrier_register();
	result = client_ensure(client, client_deadline(client), error);
	if (result == SHMC_OK)
		*ret_client = client;
	else
		client_free(client);
	return result;
}

/* What another thread was changing when this process was forked is neither old nor new: it stays. */
static void client_free_in_child(struct shmc_client *client)
{
	if (pthread_mutex_trylock(&client->mutex) != 0)
		return;
	shmc__control_abandon(&client->control);
	pthread_mutex_unlock(&client->mutex);
	client_free(client);
}

struct shmc_client *shmc_disconnect(struct shmc_client *client)
{
	struct shmc__reply reply;

	if (!client)
		return NULL;
	if (shmc__process_is_forked(client->alive)) {
		client_free_in_child(client);
		return NULL;
	}
	pthread_mutex_lock(&client->mutex);
	if (shmc__control_is_open(&client->control) &&
	    shmc__control_call(&client->control, CLIENT_INTERFACE "Leave", NULL,
			       client_deadline(client), NULL, NULL, &reply) == 0)
		shmc__reply_deinit(&reply);
	shmc__control_close(&client->control);
	pthread_mutex_unlock(&client->mutex);
	client_free(client);
	return NULL;
}

static enum shmc_result client_is_there(struct shmc_client *client, struct shmc_error *error)
{
	if (shmc__control_is_open(&client->control))
		return SHMC_OK;
	return shmc__error(error, SHMC_BROKER_LOST, "the broker at %s closed the connection",
			   client->connected_to);
}

enum shmc_result shmc_client_fd(struct shmc_client *client, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result = shmc__client_enter(client, error);

	if (result != SHMC_OK)
		return result;
	result = client_is_there(client, error);
	if (result == SHMC_OK)
		*ret_fd = client->control.wire.fd;
	shmc__client_leave(client);
	return result;
}

enum shmc_result shmc_client_check(struct shmc_client *client, struct shmc_error *error)
{
	enum shmc_result result = shmc__client_enter(client, error);

	if (result != SHMC_OK)
		return result;
	if (shmc__control_collect(&client->control) == -ENOMEM)
		result = shmc__error_from_errno(error, "hear the broker", ENOMEM);
	else
		result = client_is_there(client, error);
	shmc__client_leave(client);
	return result;
}

static bool client_has_stale(const struct shmc_client *client)
{
	for (const struct shmc__object *at = client->objects; at; at = at->next)
		if (at->session != client->session)
			return true;
	return false;
}

enum shmc_result shmc_client_resume(struct shmc_client *client, struct shmc_error *error)
{
	enum shmc_result result = shmc__client_enter(client, error);

	if (result != SHMC_OK)
		return result;
	result = client_ensure(client, client_deadline(client), error);
	if (result == SHMC_OK && client_has_stale(client))
		result = shmc__error(error, SHMC_STALE,
				     "the broker at %s was stopped, and what it had is gone: that "
				     "of now (epoch %s) does not know what is open here, open it "
				     "again",
				     client->connected_to, client->epoch);
	shmc__client_leave(client);
	return result;
}

enum shmc_result shmc_unlink(struct shmc_client *client, const char *name, struct shmc_error *error)
{
	const char *wrong = shmp_name_check(name);
	struct shmc__reply reply;
	enum shmc_result result;
	cJSON *parameters;

	if (wrong)
		return shmc__error(error, SHMC_INVALID, "name: %s", wrong);
	result = shmc__client_enter(client, error);
	if (result != SHMC_OK)
		return result;
	parameters = cJSON_CreateObject();
	shmp_json_add_text(parameters, "name", name);
	shmc__client_add_tag(parameters);
	result = shmc__client_call(client, "Unlink", parameters, 0, NULL, &reply, error);
	if (result == SHMC_OK)
		shmc__reply_deinit(&reply);
	cJSON_Delete(parameters);
	shmc__client_leave(client);
	return result;
}
