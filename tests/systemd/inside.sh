#!/bin/sh
# Runs as root in the system that boot.sh boots. Each check is a function whose name is the sentence
# that TAP reports; each builds on the state that the ones before it have left.
#
#   usage: inside.sh [CHECK]
set -eu

# shellcheck source=tests/systemd/checks.sh
. /check/checks.sh

checks="
	service_sleeps_until_the_first_connection
	service_is_ready_when_it_says_so
	get_info_is_answered_on_both_sockets
	units_are_well_formed
	exposure_is_at_most_one
	anybody_can_stream_through_a_queue
	nobody_else_can_read_that_queue
	control_socket_is_closed_to_anybody
	control_socket_is_open_to_the_group
	journal_holds_structured_lines
	restart_is_answered_on_the_same_sockets
	restart_of_a_socket_leaves_the_service_alone
	killed_service_comes_back
	frozen_service_is_restarted_by_the_watchdog
	store_is_as_large_as_the_broker_is_told
	socket_that_the_broker_made_outlives_it
	stop_is_clean
	start_brings_the_sockets_along
	enabling_the_service_enables_its_sockets
	user_instance_serves_its_user
	nothing_has_failed
"

# ---- checks --------------------------------------------------------------------------------------

service_sleeps_until_the_first_connection() {
	[ "$(property ActiveState shmbrokerd.socket)" = active ]
	[ "$(property ActiveState shmbrokerd-control.socket)" = active ]
	[ "$(property ActiveState)" = inactive ]
	answers $client
	is_active
}

service_is_ready_when_it_says_so() {
	[ "$(property Type)" = notify ]
	[ "$(property SubState)" = running ]
	[ "$(property User)" = shmbroker ]
	# As much as asked for, or as the container may give.
	[ "$(property LimitNOFILE)" = 524288 ]
	awk '/^Max open files/ { exit !($4 == $5 && $4 > 4096) }' "/proc/$(property MainPID)/limits"
}

get_info_is_answered_on_both_sockets() {
	answers $client
	answers $control
}

units_are_well_formed() {
	for manager in --system --user; do
		HOME=/root XDG_RUNTIME_DIR=/run systemd-analyze $manager verify --man=no $service \
			shmbrokerd.socket shmbrokerd-control.socket >/check/verdict 2>&1 ||
			cat /check/verdict
		fails grep . /check/verdict
	done
}

# threshold: in tenths; above it the status is not 0.
exposure_is_at_most_one() {
	systemd-analyze security --no-pager --threshold=10 $service >/check/security
	grep Overall /check/security >&3
}

# streams USER [OPTION]: what the user's one process sends, the other receives.
streams() {
	user=$1
	shift
	seq 1 20000 >/check/sent
	as "$user" timeout $((20 * slow)) shmbrokerctl "$@" pub --create check/stream \
		</check/sent &
	as "$user" timeout $((20 * slow)) shmbrokerctl "$@" sub --create --count=20000 \
		check/stream >/check/received
	wait $!
	cmp /check/sent /check/received
}

anybody_can_stream_through_a_queue() {
	streams alice
}

nobody_else_can_read_that_queue() {
	as alice shmbrokerctl create check/private spsc
	fails as olga timeout $((10 * slow)) shmbrokerctl sub --timeout=1 check/private
	as olga shmbrokerctl ls | grep check/private
}

control_socket_is_closed_to_anybody() {
	fails as alice socat -u OPEN:/dev/null UNIX-CONNECT:$control 2>/check/refused
	grep 'Permission denied' /check/refused
}

control_socket_is_open_to_the_group() {
	call olga $control org.shmbroker.control.Status | grep '"uptime_ns"'
}

journal_holds_structured_lines() {
	# From the start of the line: the priority in front of it is what the journal took off.
	journalctl --unit=$service --output=cat | grep '^event=started .*pid='
}

restart_is_answered_on_the_same_sockets() {
	before=$(sockets)
	pid=$(property MainPID)
	systemctl restart $service
	runs_anew "$pid"
	[ "$(sockets)" = "$before" ]
	answers $client
	answers $control
}

# systemd refuses to open a socket that its running service has; it must not end either of them.
restart_of_a_socket_leaves_the_service_alone() {
	before=$(sockets)
	pid=$(property MainPID)
	fails systemctl restart shmbrokerd.socket
	[ "$(property MainPID)" = "$pid" ]
	answers $client

	systemctl restart $service
	[ "$(property ActiveState shmbrokerd.socket)" = active ]
	answers $client
	[ "$(sockets | cut -d ' ' -f 1,3-)" = "$(echo "$before" | cut -d ' ' -f 1,3-)" ]
}

killed_service_comes_back() {
	before=$(sockets)
	pid=$(property MainPID)
	restarts=$(property NRestarts)
	kill -KILL "$pid"
	# It waits for the next broker, and is not refused.
	answers $client
	eventually runs_anew "$pid"
	[ "$(property NRestarts)" -eq $((restarts + 1)) ]
	[ "$(sockets)" = "$before" ]
	answers $control
}

# Shows first that a living one is left alone: it must have fed the watchdog since it was ready.
frozen_service_is_restarted_by_the_watchdog() {
	[ "$(property WatchdogUSec)" = 30s ]
	mkdir -p /run/systemd/system/$service.d
	printf '[Service]\nWatchdogSec=%ss\n' "$slow" >/run/systemd/system/$service.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart $service
	pid=$(property MainPID)
	eventually has_fed_the_watchdog 3
	[ "$(property MainPID)" = "$pid" ]

	kill -STOP "$pid"
	eventually runs_anew "$pid"
	answers $client

	rm -r /run/systemd/system/$service.d
	systemctl daemon-reload
	systemctl restart $service
}

# Microseconds since it was ready, when it last fed the watchdog: more than SECONDS?
has_fed_the_watchdog() {
	fed=$(property WatchdogTimestampMonotonic)
	ready=$(property ActiveEnterTimestampMonotonic)
	[ $((fed - ready)) -gt $(($1 * slow * 1000000)) ]
}

store_is_as_large_as_the_broker_is_told() {
	most=$(property FileDescriptorStoreMax)
	[ "$most" = 4096 ]
	tr '\0' '\n' <"/proc/$(property MainPID)/environ" | grep "^FDSTORE=$most\$"
}

# Without socket units: what it makes itself, systemd keeps for the next one.
socket_that_the_broker_made_outlives_it() {
	folder=/run/check
	systemd-run --quiet --unit=check-store -p Type=notify -p Restart=always -p RestartSec=1 \
		-p FileDescriptorStoreMax=16 -E FDSTORE=16 "$(command -v shmbrokerd)" \
		--client-socket=$folder/client --control-socket=$folder/control
	eventually keeps 4
	most=$(property NFileDescriptorStore check-store)
	socket=$(stat -c %i $folder/client)
	pid=$(property MainPID check-store)
	for _ in 1 2 3; do
		kill -KILL "$pid"
		# There is no broker for a second, and yet nobody is refused.
		answers $folder/client
		[ "$(property MainPID check-store)" != "$pid" ]
		pid=$(property MainPID check-store)
		[ "$(stat -c %i $folder/client)" = "$socket" ]
		[ "$(property NFileDescriptorStore check-store)" = "$most" ]
	done
	fails shmbrokerd --client-socket=$folder/client --control-socket=$folder/control
	systemctl stop check-store
}

# Two sockets and their locks at least, once it is ready.
keeps() {
	[ "$(property NFileDescriptorStore check-store)" -ge "$1" ] &&
		[ "$(property ActiveState check-store)" = active ]
}

stop_is_clean() {
	systemctl stop shmbrokerd.socket shmbrokerd-control.socket $service
	[ "$(property ActiveState)" = inactive ]
	[ "$(property Result)" = success ]
	[ "$(property ExecMainStatus)" = 0 ]
	fails grep -l "^Uid:.*	$(id -u shmbroker)	" /proc/[0-9]*/status
}

start_brings_the_sockets_along() {
	systemctl start $service
	[ "$(property ActiveState shmbrokerd.socket)" = active ]
	[ "$(property ActiveState shmbrokerd-control.socket)" = active ]
	answers $client
	answers $control
}

enabling_the_service_enables_its_sockets() {
	systemctl --quiet disable $service shmbrokerd.socket shmbrokerd-control.socket
	fails systemctl is-enabled shmbrokerd.socket
	systemctl --quiet enable $service
	systemctl is-enabled $service
	systemctl is-enabled shmbrokerd.socket
	systemctl is-enabled shmbrokerd-control.socket
}

nothing_has_failed() {
	[ -z "$(systemctl list-units --failed --plain --no-legend | tee /dev/stderr)" ]
}

# ---- the user's own ------------------------------------------------------------------------------

user_instance_serves_its_user() {
	start_user_manager alice
	folder=/run/user/$(id -u alice)/shmbroker
	[ "$(as alice systemctl --user is-active shmbrokerd.socket)" = active ]
	[ "$(as alice systemctl --user is-active $service || true)" = inactive ]
	answers "$folder/shmbroker.sock" alice
	[ "$(as alice systemctl --user is-active $service)" = active ]
	[ "$(stat -c '%a %U' "$folder")" = "700 alice" ]
	streams alice --user
	as alice systemctl --user restart $service
	as alice systemctl --user stop $service
	[ "$(as alice systemctl --user show --value --property=Result $service)" = success ]
	[ "$(as alice systemctl --user list-units --failed --plain --no-legend)" = "" ]
	systemctl stop manager-of-alice.service
}

run_checks "$@"
