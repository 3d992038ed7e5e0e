/*
 * doctor: examines a broker, check by check, and says what to do about what is found.
 *
 * A check that the broker is too old for says nothing but that; one whose connection breaks ends
 * the examination: nobody answers any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "config.h"
#include "protocol/waiter.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/finding.h"
#include "tools/process.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

#define CONTROL		 "org.shmbroker.control."
#define EXIT_NOT_REACHED 2 /* doctor's own: nobody answers */
#define WHERE_BYTES	 600
#define WAITERS_TOLD	 4

struct doctor {
	const struct options *options;
	struct findings findings;
	struct control control;
	bool is_in_sight; /* pids mean the same here */
	uint64_t broker_pid;
	bool is_keeper_lost;
	char keeper[32];   /* ", pid 123,", or nothing */
	cJSON *waits;	   /* who waits for whom, of all segments */
	uint64_t restored; /* sessions that have not called since the broker was restarted */
};

/* @where of a finding: printf into a room of its own. */
#define WHERE(room, ...) (snprintf(room, sizeof(room), __VA_ARGS__), room)

static void tell_lost(struct doctor *doctor)
{
	finding_tell(
		&doctor->findings,
		&(struct finding){ FINDING_ERROR, "answer", doctor->control.path,
				   "look at its log; is it stopped (ps -o stat) or overloaded?" },
		"the broker, pid %d, takes the connection and does not answer",
		doctor->control.pid);
}

/* 0 and a reply; else it was told. */
static int ask(struct doctor *doctor, const char *method, struct shmp_varlink_reply *ret_reply)
{
	int code = control_call_quietly(&doctor->control, method, NULL, ret_reply);

	if (code == 0)
		return 0;
	if (code != EXIT_REFUSED) {
		tell_lost(doctor);
		return EXIT_NOT_REACHED;
	}
	finding_tell(
		&doctor->findings,
		&(struct finding){ FINDING_WARNING, "version", doctor->control.path,
				   "restart it after the upgrade: systemctl restart shmbrokerd" },
		"the broker does not know %s: it is older than this tool", method);
	return EXIT_REFUSED;
}

/* Reaching it */

static int reach(struct doctor *doctor)
{
	char *tried = NULL;

	if (control_try(doctor->options, CONTROL_SOCKET_CONTROL, &doctor->control, &tried) == 0)
		return 0;
	finding_tell(&doctor->findings,
		     &(struct finding){
			     FINDING_ERROR, "reach", tried,
			     "start one (systemctl start shmbrokerd, or shmbrokerd "
			     "--user --supervise), name its socket with --address, or join the "
			     "group of the socket" },
		     "no broker answers at any address that was tried");
	free(tried);
	return EXIT_NOT_REACHED;
}

static void check_client_socket(struct doctor *doctor)
{
	struct control client;
	char *tried = NULL;

	if (control_try(doctor->options, CONTROL_SOCKET_CLIENT, &client, &tried) == 0) {
		control_close(&client);
		return;
	}
	finding_tell(&doctor->findings,
		     &(struct finding){ FINDING_ERROR, "client-socket", tried,
					"restart the broker, or the socket unit: systemctl restart "
					"shmbrokerd.socket" },
		     "the broker can be administrated, but its client socket cannot be reached");
	free(tried);
}

static void check_version(struct doctor *doctor, const cJSON *status)
{
	const char *version = show_string(status, "version");

	if (strcmp(version, SHMBROKER_VERSION) != 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_WARNING, "version", doctor->control.path,
						"restart the broker after an upgrade, or use the "
						"tool that was installed with it" },
			     "the broker is of version %s, this tool of " SHMBROKER_VERSION,
			     version);
}

static void check_deaths(struct doctor *doctor, const cJSON *status)
{
	uint64_t deaths = show_u64(status, "deaths");

	if (deaths > 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "deaths", doctor->control.path,
						"shmbrokerctl deaths says who, and what he held" },
			     "%" PRIu64 " process%s died with something open since the broker "
			     "started",
			     deaths, deaths == 1 ? "" : "es");
}

/* Sockets as this process sees them; elsewhere they may have other names. */
static void check_socket(struct doctor *doctor, const char *path, bool is_control)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return;
	if (is_control && (status.st_mode & S_IWOTH) != 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_WARNING, "socket", path,
						"set control-mode to 0660" },
			     "everybody may administrate the broker (mode %04o)",
			     status.st_mode & 07777u);
	if (!is_control && (status.st_mode & S_IWOTH) == 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "socket", path,
						"set client-mode to 0666 if others are to: names "
						"have rights of their own" },
			     "only some users can connect (mode %04o)", status.st_mode & 07777u);
}

/* Who may write the folder can put a broker of his own there. */
static void check_folder(struct doctor *doctor, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[CONTROL_PATH_BYTES];
	struct stat status;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (stat(folder, &status) < 0 || (status.st_mode & S_IWOTH) == 0 ||
	    (status.st_mode & S_ISVTX) != 0)
		return;
	finding_tell(&doctor->findings,
		     &(struct finding){ FINDING_WARNING, "folder", folder,
					"chmod o-w: whoever may write it can replace the sockets" },
		     "everybody may write the folder of the sockets (mode %04o)",
		     status.st_mode & 07777u);
}

static void note_keeper(struct doctor *doctor, const cJSON *status)
{
	uint64_t pid = show_u64(status, "keeper_pid");

	doctor->broker_pid = show_u64(status, "pid");
	doctor->is_keeper_lost = strcmp(show_string(status, "kept_by"), "lost") == 0;
	if (pid > 0)
		snprintf(doctor->keeper, sizeof(doctor->keeper), ", pid %" PRIu64 ",", pid);
}

static int check_status(struct doctor *doctor)
{
	struct shmp_varlink_reply reply;
	int code = ask(doctor, CONTROL "Status", &reply);

	if (code)
		return code;
	doctor->is_in_sight = process_is_in_sight(&doctor->control,
						  show_u64(reply.parameters, "pid"));
	note_keeper(doctor, reply.parameters);
	check_version(doctor, reply.parameters);
	check_deaths(doctor, reply.parameters);
	check_socket(doctor, show_string(reply.parameters, "client_address"), false);
	check_socket(doctor, show_string(reply.parameters, "control_address"), true);
	check_folder(doctor, show_string(reply.parameters, "control_address"));
	shmp_varlink_reply_deinit(&reply);
	return 0;
}

/* Limits and the kernel */

static void check_limit(struct doctor *doctor, const cJSON *limit)
{
	uint64_t used = show_u64(limit, "used"), max = show_u64(limit, "max");
	const char *name = show_string(limit, "name"), *option = show_string(limit, "option");
	bool is_users = cJSON_GetObjectItemCaseSensitive(limit, "uid") != NULL;
	char where[WHERE_BYTES], remedy[WHERE_BYTES], user[32] = "";

	if (max == 0 || used < max - max / 5)
		return;
	if (is_users)
		snprintf(user, sizeof(user), " of user %" PRIu64, show_u64(limit, "uid"));
	finding_tell(&doctor->findings,
		     &(struct finding){ used >= max ? FINDING_ERROR : FINDING_WARNING, "limit",
					WHERE(where, "%s%s", name, user),
					WHERE(remedy,
					      "raise %s, or look for what is not needed any "
					      "more: shmbrokerctl ls, shmbrokerctl sessions",
					      option) },
		     "%" PRIu64 " of %" PRIu64 " are used", used, max);
}

static void check_feature(struct doctor *doctor, const cJSON *feature)
{
	if (!show_bool(feature, "available"))
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "kernel",
						show_string(feature, "name"),
						"a newer kernel, or a looser sandbox, if that "
						"matters" },
			     "the kernel does not give it; %s", show_string(feature, "otherwise"));
}

static void check_counts(struct doctor *doctor, const cJSON *health)
{
	uint64_t fencing = show_u64(health, "fencing"), repairing = show_u64(health, "repairing");
	uint64_t refusals = show_u64(health, "refusals");

	if (fencing > 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "membarrier", "processes",
						"let their sandbox have membarrier(2)" },
			     "%" PRIu64 " could not register for membarrier: whoever publishes in "
			     "their segments pays a fence for each message",
			     fencing);
	if (repairing > 0)
		finding_tell(
			&doctor->findings,
			&(struct finding){ FINDING_WARNING, "repair", "segments",
					   "shmbrokerctl blocked, and end who is stopped there" },
			"the repair of %" PRIu64 " goes on: somebody alive stands in the middle "
			"of a move, or there is much to look at",
			repairing);
	if (refusals > 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "quota", "users",
						"the broker's log names users and limits" },
			     "%" PRIu64 " request%s refused by a user's limit since the broker "
			     "started",
			     refusals, refusals == 1 ? " was" : "s were");
}

static void tell_keeper_lost(struct doctor *doctor)
{
	char remedy[WHERE_BYTES];

	finding_tell(&doctor->findings,
		     &(struct finding){ FINDING_WARNING, "keeper", doctor->control.path,
					WHERE(remedy,
					      "shmbrokerctl save what must stay, end the broker "
					      "(kill %" PRIu64 "), start a new one by systemd or "
					      "with --supervise",
					      doctor->broker_pid) },
		     "the keeper%s is gone: when this broker ends, all segments end with it",
		     doctor->keeper);
}

/* A restarted broker takes up what a keeper kept for it. */
static void check_keeper(struct doctor *doctor, const cJSON *health)
{
	if (doctor->is_keeper_lost)
		tell_keeper_lost(doctor);
	else if (!show_bool(health, "kept"))
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "keeper", doctor->control.path,
						"start it by systemd, or with --supervise" },
			     "nobody keeps the segments over a restart of the broker: they would "
			     "be lost to who is not in them yet");
}

static int check_health(struct doctor *doctor)
{
	struct shmp_varlink_reply reply;
	const cJSON *item;
	int code = ask(doctor, CONTROL "Health", &reply);

	if (code)
		return code;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply.parameters, "limits"))
	{
		check_limit(doctor, item);
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply.parameters, "features"))
	{
		check_feature(doctor, item);
	}
	check_keeper(doctor, reply.parameters);
	check_counts(doctor, reply.parameters);
	shmp_varlink_reply_deinit(&reply);
	return 0;
}

/* Of the namespace of who asks: that of the broker, as a rule. */
static void check_noexec(struct doctor *doctor)
{
	FILE *file = fopen("/proc/sys/vm/memfd_noexec", "re");

	if (file) {
		fclose(file); /* any value will do: segments are asked for as not executable */
		return;
	}
	finding_tell(&doctor->findings,
		     &(struct finding){ FINDING_NOTE, "kernel", "/proc/sys/vm/memfd_noexec",
					"Linux 6.3 or later" },
		     "the kernel cannot seal memory against being executed");
}

/* Segments */

static void check_segment_health(struct doctor *doctor, const cJSON *segment)
{
	const char *health = show_string(segment, "health");
	bool is_mendable = strncmp(health, "half written", 12) == 0;

	if (strcmp(health, "good") == 0)
		return;
	finding_tell(&doctor->findings,
		     &(struct finding){ is_mendable ? FINDING_WARNING : FINDING_ERROR, "segment",
					show_string(segment, "name"),
					is_mendable ? "start a writer that mends it and marks it "
						      "consistent" :
						      "remove it (shmbrokerctl rm), have it made "
						      "anew, and distrust who wrote there" },
		     "%s", health);
}

static void check_memlock(struct doctor *doctor, const cJSON *segment)
{
	uint64_t bytes = show_u64(segment, "ctl_bytes") + show_u64(segment, "data_bytes");
	struct rlimit limit;

	if (!show_bool(segment, "mlock") || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes)
		return;
	finding_tell(&doctor->findings,
		     &(struct finding){ FINDING_NOTE, "memlock", show_string(segment, "name"),
					"ulimit -l, or LimitMEMLOCK= in the unit of who opens it" },
		     "whoever opens it locks %" PRIu64 " bytes; a process with the limit of this "
		     "shell, %" PRIu64 ", is refused",
		     bytes, (uint64_t)limit.rlim_cur);
}

/* Whether the segment says that everybody stands behind this one. */
static bool is_in_the_way(const cJSON *segment, const cJSON *endpoint)
{
	static const char *const keys[] = { "lock_held_by_endpoint", "lock_claimed_by_endpoint",
					    "unpublished_by_endpoint", "unreleased_by_endpoint" };
	const cJSON *figures = cJSON_GetObjectItemCaseSensitive(segment, "figures");

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const cJSON *figure = cJSON_GetObjectItemCaseSensitive(figures, keys[i]);

		if (figure && show_u64(figures, keys[i]) == show_u64(endpoint, "index"))
			return true;
	}
	return false;
}

/* "a message", "an answer", "the lock", "room" */
static const char *article_of(const char *what)
{
	if (strcmp(what, "room") == 0)
		return "";
	if (strcmp(what, "lock") == 0)
		return "the ";
	return strchr("aeiou", *what) ? "an " : "a ";
}

/* Whether the move may be that endpoint's. */
static bool is_for(const cJSON *wait, const cJSON *segment, const cJSON *endpoint)
{
	uint64_t index = show_u64(endpoint, "index");

	if (strcmp(show_string(wait, "segment"), show_string(segment, "name")) != 0 ||
	    show_u64(wait, "endpoint") == index)
		return false;
	if (cJSON_GetObjectItemCaseSensitive(wait, "by"))
		return show_u64(wait, "by") == index;
	return strcmp(show_string(wait, "by_role"), show_string(endpoint, "role")) == 0;
}

/* "; producer 12 waits for room"; a lock says since when it is kept. To be freed. */
static char *tell_waiter(const cJSON *wait)
{
	uint64_t since_ns = show_u64(wait, "since_ns"), now_ns = shmp_clock_ns();
	uint64_t count = show_u64(wait, "by_count");
	char age[UNITS_BYTES], kept[UNITS_BYTES + 16] = "", many[64] = "";

	if (since_ns > 0 && since_ns <= now_ns)
		snprintf(kept, sizeof(kept), ", kept for %s",
			 units_duration(now_ns - since_ns, age));
	if (count > 1)
		snprintf(many, sizeof(many), " of any of %" PRIu64, count);
	return must_print("; %s %" PRIu64 " waits for %s%s%s%s", show_string(wait, "role"),
			  show_u64(wait, "pid"), article_of(show_string(wait, "what")),
			  show_string(wait, "what"), many, kept);
}

/* @text and @more, which it takes. */
static char *join(char *text, char *more)
{
	char *both = must_print("%s%s", text, more);

	free(text);
	free(more);
	return both;
}

/* Who waits for that endpoint, WAITERS_TOLD of them in words, to be freed. @ret_alone: somebody whom
 * nobody else can help. */
static char *tell_waiters(const struct doctor *doctor, const cJSON *segment, const cJSON *endpoint,
			  bool *ret_alone)
{
	char *all = must_print("%s", "");
	uint64_t count = 0;
	const cJSON *wait;

	cJSON_ArrayForEach(wait, doctor->waits)
	{
		if (!is_for(wait, segment, endpoint))
			continue;
		if (!show_bool(wait, "idle") && show_u64(wait, "by_count") == 1)
			*ret_alone = true;
		if (++count <= WAITERS_TOLD)
			all = join(all, tell_waiter(wait));
	}
	if (count > WAITERS_TOLD)
		all = join(all, must_print("; and %" PRIu64 " more wait", count - WAITERS_TOLD));
	return all;
}

static void tell_held_up(struct doctor *doctor, const cJSON *segment, const cJSON *endpoint,
			 enum process_state state)
{
	bool is_in_way = is_in_the_way(segment, endpoint), is_alone = false;
	char *waiters = tell_waiters(doctor, segment, endpoint, &is_alone);
	char where[WHERE_BYTES], remedy[WHERE_BYTES];
	uint64_t pid = show_u64(endpoint, "pid");

	finding_tell(&doctor->findings,
		     &(struct finding){
			     is_in_way || is_alone ? FINDING_ERROR : FINDING_WARNING, "process",
			     WHERE(where, "%s, pid %" PRIu64, show_string(segment, "name"), pid),
			     WHERE(remedy,
				   "let it go on (%s), or end it (kill -9 %" PRIu64
				   "): a dead one's hold is taken back",
				   state == PROCESS_TRACED ? "detach the debugger" : "kill -CONT",
				   pid) },
		     "the %s is %s%s%s", show_string(endpoint, "role"), process_state_name(state),
		     is_in_way ? " and keeps everybody else waiting" : "", waiters);
	free(waiters);
}

static void check_endpoint(struct doctor *doctor, const cJSON *segment, const cJSON *endpoint)
{
	const char *state = show_string(endpoint, "state");
	enum process_state process = PROCESS_UNSEEN;
	char where[WHERE_BYTES];

	if (strcmp(state, "dying") == 0)
		finding_tell(&doctor->findings,
			     &(struct finding){
				     FINDING_WARNING, "repair",
				     WHERE(where, "%s, pid %" PRIu64, show_string(segment, "name"),
					   show_u64(endpoint, "pid")),
				     "shmbrokerctl blocked, and end who is stopped there" },
			     "the %s died and is not repaired yet", show_string(endpoint, "role"));
	if (strcmp(state, "active") == 0 && doctor->is_in_sight)
		process = process_look(show_u64(endpoint, "pid"), show_u64(endpoint, "uid"));
	if (process_is_held_up(process))
		tell_held_up(doctor, segment, endpoint, process);
}

static int check_segments(void *context, const cJSON *page)
{
	struct doctor *doctor = context;
	const cJSON *segment, *endpoint;

	cJSON_ArrayForEach(segment, cJSON_GetObjectItemCaseSensitive(page, "segments"))
	{
		check_segment_health(doctor, segment);
		check_memlock(doctor, segment);
		cJSON_ArrayForEach(endpoint, cJSON_GetObjectItemCaseSensitive(segment, "endpoints"))
		{
			check_endpoint(doctor, segment, endpoint);
		}
	}
	return 0;
}

static void check_wait(struct doctor *doctor, const cJSON *wait)
{
	bool is_idle = show_bool(wait, "idle");
	char where[WHERE_BYTES];

	if (show_u64(wait, "by_count") > 0)
		return;
	finding_tell(&doctor->findings,
		     &(struct finding){ is_idle ? FINDING_NOTE : FINDING_WARNING, "wait",
					WHERE(where, "%s, pid %" PRIu64,
					      show_string(wait, "segment"), show_u64(wait, "pid")),
					"start one, or end who waits" },
		     "the %s waits for %s%s, and no %s is there", show_string(wait, "role"),
		     article_of(show_string(wait, "what")), show_string(wait, "what"),
		     show_string(wait, "by_role"));
}

/* Before all else: what is wrong with a process is worse if somebody waits for it. */
static int gather_waits(void *context, const cJSON *page)
{
	struct doctor *doctor = context;
	const cJSON *wait;

	cJSON_ArrayForEach(wait, cJSON_GetObjectItemCaseSensitive(page, "waits"))
	{
		cJSON_AddItemToArray(doctor->waits, must(cJSON_Duplicate(wait, true)));
	}
	return 0;
}

static void check_waits(struct doctor *doctor)
{
	const cJSON *wait;

	cJSON_ArrayForEach(wait, doctor->waits)
	{
		check_wait(doctor, wait);
	}
}

static int check_sessions(void *context, const cJSON *page)
{
	struct doctor *doctor = context;
	char where[WHERE_BYTES];
	const cJSON *session;

	cJSON_ArrayForEach(session, cJSON_GetObjectItemCaseSensitive(page, "sessions"))
	{
		if (show_bool(session, "connected"))
			continue;
		if (show_bool(session, "restored")) {
			doctor->restored++;
			continue;
		}
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_WARNING, "quarantine",
						WHERE(where, "pid %" PRIu64 " %s",
						      show_u64(session, "pid"),
						      show_string(session, "name")),
						"end it, if it should have gone: what it holds is "
						"free then" },
			     "the process lives without its connection; places it holds: %" PRIu64,
			     show_u64(session, "endpoints"));
	}
	return 0;
}

static void tell_restored(struct doctor *doctor)
{
	if (doctor->restored > 0)
		finding_tell(&doctor->findings,
			     &(struct finding){ FINDING_NOTE, "restored", doctor->control.path,
						"nothing: each comes back when it has something to "
						"ask" },
			     "%" PRIu64 " process%s had nothing to ask since the broker was "
			     "restarted",
			     doctor->restored, doctor->restored == 1 ? " has" : "es have");
}

static int check_pages(struct doctor *doctor)
{
	int code = control_call_pages(&doctor->control, CONTROL "Blocked", NULL, "after",
				      gather_waits, doctor);

	if (code == 0)
		code = control_call_pages(&doctor->control, CONTROL "List", NULL, "after",
					  check_segments, doctor);
	if (code == 0)
		code = control_call_pages(&doctor->control, CONTROL "Sessions", NULL, "after",
					  check_sessions, doctor);
	if (code == 0)
		tell_restored(doctor);
	if (code == 0)
		check_waits(doctor);
	return code;
}

static int examine(struct doctor *doctor)
{
	int code = check_status(doctor);

	check_client_socket(doctor);
	check_noexec(doctor);
	if (code != EXIT_NOT_REACHED)
		code = check_health(doctor);
	if (code == 0)
		code = check_pages(doctor);
	return code == EXIT_NO_BROKER ? EXIT_NOT_REACHED : code;
}

int run_doctor(const struct options *options)
{
	struct doctor doctor = { .options = options, .findings = { .as_json = options->json } };
	int code = reach(&doctor);
	int end;

	if (code == 0) {
		doctor.waits = must(cJSON_CreateArray());
		code = examine(&doctor);
		cJSON_Delete(doctor.waits);
		control_close(&doctor.control);
	}
	end = findings_end(&doctor.findings);
	return code == EXIT_NOT_REACHED ? code : end;
}
