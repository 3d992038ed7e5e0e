#!/bin/sh
# Runs as root in the system that boot.sh boots, beside inside.sh: the broker is killed, restarted,
# upgraded and moved about under load, with a thousand segments, and nobody may notice. Each check
# builds on the state that the ones before it have left.
#
#   usage: restart.sh [CHECK]
set -eu

# shellcheck source=tests/systemd/checks.sh
. /check/checks.sh

segments=1000
board=/check/alice/board
broker=$(command -v shmbrokerd)

checks="
	connection_starts_it
	thousand_segments_are_filled
	traffic_flows
	ten_kills_are_not_noticed
	ten_restarts_are_not_noticed
	reload_of_the_manager_is_not_noticed
	reexecution_of_the_manager_is_not_noticed
	restart_of_the_sockets_is_not_noticed
	restart_of_a_single_socket_is_not_noticed
	upgrade_is_not_noticed
	upgrade_that_does_not_start_leaves_all_in_place
	upgrade_to_another_state_leaves_all_in_place
	sixty_kills_in_a_row_reach_no_limit
	every_message_has_arrived
	segments_hold_what_they_held
	stop_and_start_are_told_by_their_name
	stop_gives_the_memory_back
	user_instance_goes_on_the_same
	nothing_has_failed
"

# ---- helpers -------------------------------------------------------------------------------------

# What the broker's Status says under a key.
status() {
	call root $control org.shmbroker.control.Status | tr '\0' '\n' |
		sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

journal() {
	journalctl --quiet --no-pager --output=cat --unit=$service "$@"
}

mark_journal() {
	journalctl --quiet --sync
	journal --lines=0 --cursor-file=/check/mark >/dev/null
}

# What the recoveries since mark_journal took, each on a line in microseconds. Not one lost anything.
recoveries() {
	journalctl --quiet --sync
	journal --cursor-file=/check/mark >/check/recoveries
	fails grep '^event=lost\|^event=other_version\|^event=.*_lost' /check/recoveries
	sed -n 's/^event=recovered .*segments=\([0-9]*\) .* us=\([0-9]*\)$/\1 \2/p' /check/recoveries |
		while read -r count us; do
			[ "$count" -ge $segments ] || return 1
			echo "$us"
		done
}

# WORDS: for the notes, and that there were at least COUNT recoveries.
note_recoveries() {
	recoveries | sort -n >/check/took
	count=$(wc -l </check/took)
	[ "$count" -ge "$1" ]
	awk -v count="$count" '{ us[NR] = $1 } END {
		printf "%d recoveries by the journal: p50 %.1f ms, max %.1f ms\n", count,
			us[int((count + 1) / 2)] / 1000, us[count] / 1000 }' /check/took >&3
}

# The broker knows everything, all that is under way moves, nobody in it was started anew, and no
# call was refused but those noted.
all_goes_on() {
	timeout $((40 * slow)) /check/traffic moves $board >/check/refused-now
	cmp /check/refused-now /check/refused
	knows_all
}

knows_all() {
	[ "$(status segments)" -ge $segments ]
	[ "$(status epoch)" = "$(cat /check/epoch)" ]
	[ "$(property MainPID check-traffic)" = "$(cat /check/traffic-pid)" ]
	[ "$(property NRestarts check-traffic)" = 0 ]
}

# What is there without a socket for a moment: calls may be refused, but nothing else.
all_but_calls_goes_on() {
	timeout $((40 * slow)) /check/traffic moves $board >/check/refused-now
	echo "$1: $(cat /check/refused) calls refused before, $(cat /check/refused-now) after" >&3
	mv /check/refused-now /check/refused
	knows_all
}

milliseconds() {
	date +%s%3N
}

# A command, and how long until a call is answered by who serves after it.
time_until_answered() {
	began=$(milliseconds)
	"$@"
	answers $client
	echo $(($(milliseconds) - began)) >>/check/times
}

# WORDS: the times taken.
note_times() {
	sort -n /check/times | awk -v what="$1" '{ ms[NR] = $1 } END {
		printf "%s: p50 %d ms, max %d ms\n", what, ms[int((NR + 1) / 2)], ms[NR] }' >&3
	rm /check/times
}

# Replaces a program as packages do: the old one stays with whoever runs it.
replace_broker() {
	chmod 755 "$1"
	mv "$1" "$broker"
}

# ---- checks --------------------------------------------------------------------------------------

connection_starts_it() {
	[ "$(property ActiveState)" = inactive ]
	mkdir -m 777 /check/alice
	systemctl reset-failed
	answers $client
	is_active
	status epoch >/check/epoch
	grep . /check/epoch
}

thousand_segments_are_filled() {
	as alice /check/calls fill $segments
	[ "$(status segments)" = $segments ]
	echo "$segments segments are kept in $(property NFileDescriptorStore) descriptors" >&3
	keeps_few
}

# All is there, and what was given up is not.
keeps_few() {
	kept=$(property NFileDescriptorStore)
	[ "$kept" -gt 10 ]
	[ "$kept" -lt 60 ]
}

traffic_flows() {
	systemd-run --quiet --unit=check-traffic -p User=alice -p KillMode=mixed \
		-p StandardOutput=file:/check/traffic-says -p StandardError=inherit \
		-p Restart=no /check/traffic run $board
	property MainPID check-traffic >/check/traffic-pid
	echo 0 >/check/refused
	all_goes_on
}

ten_kills_are_not_noticed() {
	mark_journal
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		/check/calls kill 1 "systemctl show --value --property=MainPID $service" \
			>>/check/kills
		all_goes_on
	done
	sed -n 's/.*max \(.*\) ms, refused 0 .*/\1/p' /check/kills | sort -n |
		awk '{ ms[NR] = $1 } END { printf "%d kills under load, kill to first answer: " \
			"p50 %s ms, max %s ms\n", NR, ms[int((NR + 1) / 2)], ms[NR] }' >&3
	note_recoveries 10
}

ten_restarts_are_not_noticed() {
	mark_journal
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		pid=$(property MainPID)
		time_until_answered systemctl restart $service
		runs_anew "$pid"
		all_goes_on
	done
	note_times "10 restarts under load, command to answer"
	note_recoveries 10
}

reload_of_the_manager_is_not_noticed() {
	pid=$(property MainPID)
	time_until_answered systemctl daemon-reload
	note_times "daemon-reload"
	[ "$(property MainPID)" = "$pid" ]
	keeps_few
	all_goes_on
	/check/calls kill 1 "echo $pid"
	all_goes_on
}

reexecution_of_the_manager_is_not_noticed() {
	pid=$(property MainPID)
	time_until_answered systemctl daemon-reexec
	note_times "daemon-reexec"
	[ "$(property MainPID)" = "$pid" ]
	keeps_few
	all_goes_on
	/check/calls kill 1 "echo $pid"
	all_goes_on
}

# Units named together are restarted one by one. A socket whose service runs at its turn is refused,
# and made by the service's next start.
restart_all() {
	systemctl restart $service shmbrokerd.socket shmbrokerd-control.socket ||
		systemctl restart $service
}

# Until systemd has made the new ones, nobody listens.
restart_of_the_sockets_is_not_noticed() {
	mark_journal
	time_until_answered restart_all
	note_times "restart of service and sockets"
	all_but_calls_goes_on "restart of service and sockets"
	[ "$(property ActiveState shmbrokerd.socket)" = active ]
	[ "$(property ActiveState shmbrokerd-control.socket)" = active ]
	note_recoveries 1
}

# systemd refuses, and has no socket any more; the broker serves on with its own, and the next one
# has systemd make it again.
restart_of_a_single_socket_is_not_noticed() {
	for socket in shmbrokerd.socket shmbrokerd-control.socket; do
		fails systemctl restart $socket
		all_goes_on
		/check/calls kill 1 "systemctl show --value --property=MainPID $service"
		all_but_calls_goes_on "kill after a failed restart of $socket"
		[ "$(property ActiveState $socket)" = active ]
	done
}

# The one that says another version: the same length of it, in the same place.
upgrade_is_not_noticed() {
	cp "$broker" /check/old
	old=$("$broker" --version | sed 's/.* //')
	new=$(echo "$old" | sed 's/[0-9]/9/g')
	LC_ALL=C sed "s/shmbrokerd $old/shmbrokerd $new/" "$broker" >/check/new
	replace_broker /check/new
	[ "$("$broker" --version)" = "shmbrokerd $new" ]
	[ "$(status version)" = "$old" ]
	time_until_answered systemctl restart $service
	note_times "upgrade, command to answer"
	[ "$(status version)" = "$new" ]
	all_goes_on
}

# It is tried again and again; what is kept stays kept until one can use it.
upgrade_that_does_not_start_leaves_all_in_place() {
	kept=$(property NFileDescriptorStore)
	restarts=$(property NRestarts)
	printf '#!/bin/sh\nexit 1\n' >/check/new
	replace_broker /check/new
	began=$(milliseconds)
	fails systemctl restart $service
	eventually fails_often "$restarts"
	tried=$(($(property NRestarts) - restarts))
	echo "a broker that does not start is tried $tried times in $(($(milliseconds) - began)) ms" >&3
	# the old one may have made another bundle before it ended
	[ "$(property NFileDescriptorStore)" -ge "$kept" ]
	cp /check/old /check/new
	replace_broker /check/new
	eventually answers $client
	all_goes_on
}

fails_often() {
	[ "$(property NRestarts)" -ge $(($1 + 10)) ]
}

# It says why it refuses, each time. What is kept stays for the right one, and meanwhile data flow.
upgrade_to_another_state_leaves_all_in_place() {
	kept=$(property NFileDescriptorStore)
	mark_journal
	cp /check/shmbrokerd-other /check/new
	replace_broker /check/new
	began=$(milliseconds)
	fails systemctl restart $service
	eventually has_refused_twice
	echo "a broker of another state has refused twice after $(($(milliseconds) - began)) ms" >&3
	timeout $((40 * slow)) /check/traffic flows $board
	fails is_active
	# the old one may have made another bundle before it ended
	[ "$(property NFileDescriptorStore)" -ge "$kept" ]
	cp /check/old /check/new
	replace_broker /check/new
	eventually answers $client
	all_goes_on
}

has_refused_twice() {
	journalctl --quiet --sync
	journal --cursor-file=/check/mark >>/check/refusals
	[ "$(grep -c '^event=other_version .*version 1, not 2.*remedy=' /check/refusals)" -ge 2 ]
}

sixty_kills_in_a_row_reach_no_limit() {
	mark_journal
	/check/calls kill 60 "systemctl show --value --property=MainPID $service" | tee /check/sixty >&3
	grep ' refused 0 ' /check/sixty
	all_goes_on
	note_recoveries 60
}

every_message_has_arrived() {
	kill -TERM "$(cat /check/traffic-pid)"
	eventually has_ended check-traffic
	sed 's/^/  /' /check/traffic-says >&3
	tail -n 1 /check/traffic-says | grep '^all has arrived$'
	[ "$(wc -l </check/traffic-says)" = 5 ] # nobody complained
}

has_ended() {
	fails [ "$(property ActiveState "$1")" = active ]
}

segments_hold_what_they_held() {
	as alice /check/calls empty $segments
}

stop_and_start_are_told_by_their_name() {
	mkfifo /check/line
	as alice timeout $((60 * slow)) /check/calls learn </check/line >/check/learnt &
	exec 4>/check/line
	eventually grep -q ready /check/learnt
	systemctl stop shmbrokerd.socket shmbrokerd-control.socket $service
	systemctl start shmbrokerd.socket shmbrokerd-control.socket
	fails [ "$(status epoch)" = "$(cat /check/epoch)" ]
	[ "$(status segments)" = 0 ]
	[ "$(status bytes)" = 0 ]
	echo >&4
	wait $!
	grep '^STALE' /check/learnt >&3
	grep "^STALE.*$(status epoch)" /check/learnt
}

# Of the whole machine: nothing else says what nobody has a name for.
shared_kib() {
	awk '/^Shmem:/ { print $2 }' /proc/meminfo
}

is_below_kib() {
	[ "$(shared_kib)" -lt "$1" ]
}

stop_gives_the_memory_back() {
	before=$(shared_kib)
	as alice shmbrokerctl create check/large buffer size_bytes=256M
	systemctl restart $service
	[ "$(shared_kib)" -gt $((before + 128 * 1024)) ]
	systemctl stop shmbrokerd.socket shmbrokerd-control.socket $service
	[ "$(property NFileDescriptorStore)" = 0 ]
	eventually is_below_kib $((before + 128 * 1024))
	ls -l /proc/1/fd >/check/descriptors
	fails grep memfd: /check/descriptors
	systemctl start shmbrokerd.socket
}

# The user's manager keeps as well as the system's.
user_instance_goes_on_the_same() {
	start_user_manager alice
	as alice /check/calls fill 50
	as alice systemctl --user is-active $service
	as alice systemd-run --user --quiet --unit=check-traffic -p KillMode=mixed \
		-p StandardOutput=file:/check/alice/says -p StandardError=inherit \
		/check/traffic run /check/alice/own
	pid=$(as alice systemctl --user show --value -p MainPID check-traffic)
	as alice timeout $((40 * slow)) /check/traffic moves /check/alice/own
	as alice /check/calls kill 10 "systemctl --user show --value --property=MainPID $service" >&3
	as alice systemctl --user restart $service
	as alice systemctl --user daemon-reexec
	as alice systemctl --user restart $service shmbrokerd.socket shmbrokerd-control.socket ||
		as alice systemctl --user restart $service
	as alice timeout $((40 * slow)) /check/traffic moves /check/alice/own
	kill -TERM "$pid"
	eventually grep 'all has arrived' /check/alice/says
	[ "$(wc -l </check/alice/says)" = 5 ]
	as alice /check/calls empty 50
	systemctl stop manager-of-alice.service
}

nothing_has_failed() {
	[ -z "$(systemctl list-units --failed --plain --no-legend | tee /dev/stderr)" ]
}

run_checks "$@"
