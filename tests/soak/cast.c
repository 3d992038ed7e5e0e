#include "tests/soak/cast.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner.h"

enum {
	STUCK_S = 20,
	STOPPED_MS = 2000,
};

static const struct soak_role *role_of(const struct soak_seat *seat)
{
	return &soak_kinds[seat->kind]->roles[seat->role];
}

static _Noreturn void become_player(const struct soak_cast *cast, uint32_t seat, bool execs)
{
	char book[16], place[16];

	shmt_be_child();
	if (!execs)
		soak_play(cast->book, seat);
	fcntl(cast->book_fd, F_SETFD, 0);
	snprintf(book, sizeof(book), "%d", cast->book_fd);
	snprintf(place, sizeof(place), "%u", seat);
	execl("/proc/self/exe", "soak", "--play", book, place, (char *)NULL);
	_exit(4);
}

void soak_cast_start(struct soak_cast *cast, uint32_t seat)
{
	uint32_t life = atomic_fetch_add(&cast->book->seats[seat].lives, 1) + 1;
	pid_t pid = fork();

	if (pid == 0)
		become_player(cast, seat, (life + seat) % 2);
	cast->members[seat] = (struct soak_member){ .pid = pid, .alive_ns = soak_now_ns() };
	cast->starts++;
}

static void note_end(struct soak_cast *cast, uint32_t seat, int status)
{
	struct soak_member *member = &cast->members[seat];
	struct soak_book *book = cast->book;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	    atomic_load(&book->seats[seat].hand) == SOAK_HAND_EMPTY) {
		cast->left++;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		cast->deaths[seat]++; /* it had become another */
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		cast->deaths[seat]++;
	} else {
		soak_wrong(book, &book->seats[seat], "pid %d ended with status 0x%x", member->pid,
			   (unsigned)status);
	}
	soak_bury(book, &book->seats[seat]);
	member->pid = 0;
}

static bool wants_filling(const struct soak_cast *cast, uint32_t seat)
{
	enum soak_phase phase = (enum soak_phase)atomic_load(&cast->book->phase);

	return phase == SOAK_RUN ||
	       (phase == SOAK_CALM && !role_of(&cast->book->seats[seat])->sends);
}

void soak_cast_tend(struct soak_cast *cast)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (uint32_t i = 0; i < cast->count; i++) /* others are children's children */
			if (cast->members[i].pid == pid)
				note_end(cast, i, status);
	}
	for (uint32_t i = 0; i < cast->count; i++)
		if (cast->members[i].pid == 0 && wants_filling(cast, i))
			soak_cast_start(cast, i);
}

pid_t soak_cast_kill(struct soak_cast *cast, uint32_t seat)
{
	struct soak_member *member = &cast->members[seat];

	if (member->pid == 0 || member->was_killed)
		return 0;
	member->was_killed = true;
	kill(member->pid, SIGKILL);
	return member->pid;
}

void soak_cast_stop(struct soak_cast *cast, uint32_t seat, uint64_t bursts)
{
	struct soak_member *member = &cast->members[seat];

	if (member->pid == 0 || member->is_stopped || member->was_killed)
		return;
	kill(member->pid, SIGSTOP);
	member->is_stopped = true;
	member->goes_on_at_burst = atomic_load(&cast->book->bursts) + bursts;
	member->goes_on_at_ns = soak_now_ns() + STOPPED_MS * SOAK_MS;
	cast->stops++;
}

void soak_cast_continue(struct soak_cast *cast, bool all)
{
	uint64_t bursts = atomic_load(&cast->book->bursts), now = soak_now_ns();

	for (uint32_t i = 0; i < cast->count; i++) {
		struct soak_member *member = &cast->members[i];

		if (member->pid == 0 || !member->is_stopped)
			continue;
		if (!all && bursts < member->goes_on_at_burst && now < member->goes_on_at_ns)
			continue;
		kill(member->pid, SIGCONT);
		member->is_stopped = false;
		member->alive_ns = now;
	}
}

uint32_t soak_cast_left(const struct soak_cast *cast, bool senders)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < cast->count; i++)
		left += cast->members[i].pid != 0 &&
			(!senders || role_of(&cast->book->seats[i])->sends);
	return left;
}

void soak_cast_watch(struct soak_cast *cast)
{
	uint64_t now = soak_now_ns();

	for (uint32_t i = 0; i < cast->count; i++) {
		struct soak_member *member = &cast->members[i];
		uint64_t operations = atomic_load(&cast->book->seats[i].operations);

		if (member->pid == 0 || member->is_stopped)
			continue;
		if (operations != member->operations) {
			member->operations = operations;
			member->alive_ns = now;
		} else if (now - member->alive_ns > shmt_scaled(STUCK_S) * UINT64_C(1000000000)) {
			soak_wrong(cast->book, &cast->book->seats[i],
				   "pid %d has done nothing for %d s", member->pid, STUCK_S);
			member->alive_ns = now;
			soak_cast_kill(cast, i);
		}
	}
}
