# shellcheck shell=sh
# Checks: what the scripts that boot.sh has run in the booted system have in common. They source it,
# list the names of their functions in $checks, and end with: run_checks "$@"

service=shmbrokerd.service
client=/run/shmbroker/shmbroker.sock
control=/run/shmbroker/control.sock
slow=${SHMT_SLOW:-1}

# `! command` would not end a check under -e.
fails() {
	if "$@"; then return 1; fi
}

# Repeats a command until it succeeds, for as long as anything here may take.
eventually() {
	tries=$((100 * slow))
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# What systemctl knows of a unit of the system.
property() {
	systemctl show --value --property="$1" "${2:-$service}"
}

# Runs a command as a user, with that user's groups and no privileges.
as() {
	user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps=-all \
		env HOME="/home/$user" XDG_RUNTIME_DIR="/run/user/$(id -u "$user")" "$@"
}

# call USER SOCKET METHOD: one Varlink call.
call() {
	printf '{"method":"%s"}\0' "$3" | as "$1" timeout $((10 * slow)) socat -t 5 - "UNIX-CONNECT:$2"
}

# answers SOCKET [USER]
answers() {
	call "${2:-root}" "$1" org.varlink.service.GetInfo | grep -q '"org.shmbroker'
}

is_active() {
	[ "$(property ActiveState)" = active ]
}

# The service runs, in another process than PID.
runs_anew() {
	is_active && [ "$(property MainPID)" != "$1" ]
}

sockets() {
	stat -c '%n %i %a %U %G' $client $control
}

# Without PAM, which a minimal system lacks, user@.service cannot start: start what it would.
start_user_manager() {
	install -d -m 0755 /run/user
	install -d -m 0700 -o "$1" -g "$1" "/run/user/$(id -u "$1")"
	systemd-run --quiet --unit="manager-of-$1" -p Type=notify -p User="$1" -p Delegate=yes \
		-E XDG_RUNTIME_DIR="/run/user/$(id -u "$1")" /lib/systemd/systemd --user
}

# What the journal got since the last time.
new_journal_lines() {
	journalctl --quiet --no-pager --output=short-monotonic --cursor-file=/check/cursor
}

# run_checks [CHECK]: all of them, or the one, in this shell.
run_checks() {
	if [ $# = 1 ]; then
		set -x
		"$1"
		return
	fi
	exec 3>>/check/notes # what a check wants to be read when it passes
	# shellcheck disable=SC2086,SC2154 # a list of words, the sourcing script's
	set -- $checks
	echo "1..$#"
	number=0
	for check; do
		number=$((number + 1))
		new_journal_lines >/dev/null
		# In a shell of its own, because -e does not work inside a condition.
		if sh -e "$0" "$check" >/check/output 2>&1; then
			echo "ok $number - $check"
		else
			echo "not ok $number - $check"
			# What was tried again and again is not worth a page.
			sed 's/^/# /' /check/output | tail -n 60
			new_journal_lines | tail -n 40 | sed 's/^/# /'
		fi
		sed 's/^/# /' /check/notes
		: >/check/notes
	done
	touch /check/finished
}
