#!/bin/sh
# usage: demo.sh BUILD_DIR [FILE]
#
# Shows the system at work on a file: a private broker, a producer and a consumer, a kill in
# mid-stream, a successor. Proves after each act that what came out is what went in, and fails
# when it is not. Without FILE it takes logs and lists of files that every Debian has, 16 MB at
# most. Leaves nothing behind.
set -eu

build=${1:?usage: demo.sh BUILD_DIR [FILE]}
build=$(cd "$build" && pwd)
dir=$(mktemp -d)

# A broker of its own, reachable by this script's children only.
export XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir"
unset SHMBROKER_ADDRESS NOTIFY_SOCKET LISTEN_FDS LISTEN_PID

broker='' consumer='' producer=''
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up() {
	status=$?
	trap - EXIT INT TERM
	for pid in $producer $consumer $broker; do
		kill "$pid" 2>/dev/null || true
	done
	wait
	[ $status = 0 ] || show "$dir/broker.log"
	rm -rf "$dir"
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

show() {
	sed 's/^/  /' "$@"
}

die() {
	echo "demo: $*" >&2
	exit 1
}

# Waits until a command succeeds, 20 seconds at most.
await() {
	what=$1 tries=400
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || die "waited in vain for $what"
		sleep 0.05
	done
}

ctl() {
	"$build/tools/shmbrokerctl" "$@"
}

# ---- the file ------------------------------------------------------------------------------------

# Logs first; then what the package manager knows, then the headers a compiler has.
texts() {
	find /var/log -maxdepth 1 -type f -size -65536k \( -name '*.log' -o -name syslog -o -name messages \) \
		-readable 2>/dev/null | sort
	find /var/lib/dpkg /usr/include -type f -readable 2>/dev/null | sort
}

choose_file() {
	texts | tr '\n' '\0' | xargs -0 cat 2>/dev/null | head -c 16000000 >"$dir/text" || true
	[ -s "$dir/text" ] || die "found no text on this machine, please give a FILE"
	echo "$dir/text"
}

size_of() {
	wc -c <"$1" | tr -d ' '
}

# ---- the acts ------------------------------------------------------------------------------------

start_broker() {
	mkdir -p "$dir/shmbroker"
	"$build/daemon/shmbrokerd" --user >"$dir/broker.log" 2>&1 &
	broker=$!
	await "the broker" ctl ping
}

start_consumer() {
	rm -f "$dir/out"
	"$build/examples/consumer" "$1" "$dir/out" 2>"$dir/consumer.log" &
	consumer=$!
}

finish_consumer() {
	wait "$consumer" || {
		show "$dir/consumer.log"
		die "the consumer failed"
	}
	consumer=''
}

prove_identical() {
	cmp "$file" "$dir/out" || die "the output differs from the input"
	sum=$(sha256sum <"$file")
	[ "$sum" = "$(sha256sum <"$dir/out")" ] || die "the checksums differ"
	echo "  byte-identical, sha256 ${sum%% *}"
}

full_speed() {
	start_consumer demo/fast
	"$build/examples/producer" demo/fast "$file" 2>"$dir/producer.log" || {
		show "$dir/producer.log"
		die "the producer failed"
	}
	finish_consumer
	show "$dir/producer.log" "$dir/consumer.log"
	lines=$(sed -n 's/^producer: \([0-9]*\) lines sent.*/\1/p' "$dir/producer.log")
	prove_identical
}

enough_arrived() {
	[ -e "$dir/out" ] && [ "$(size_of "$dir/out")" -ge $((size / 3)) ]
}

kill_producer() {
	start_consumer demo/killed
	"$build/examples/producer" demo/killed "$file" "$pace" 2>"$dir/producer.log" &
	producer=$!
	await "a third of the file" enough_arrived
	times=$("$build/examples/demo_kill" "$producer") || die "the producer had ended already"
	killed_ns=${times% *} ended_ns=${times#* }
	wait "$producer" 2>/dev/null || true
	producer=''
	await "PEER_DEAD" grep -q PEER_DEAD "$dir/consumer.log"
}

report_death() {
	show "$dir/consumer.log"
	report=$(sed -n 's/.*PEER_DEAD at \([0-9]*\) ns after \([0-9]*\) lines/\1 \2/p' "$dir/consumer.log")
	seen_ns=${report% *} arrived=${report#* }
	echo "  killed with SIGKILL after $arrived of $lines lines"
	echo "  PEER_DEAD came $(((seen_ns - killed_ns) / 1000)) us after the kill;" \
		"the kernel took $(((ended_ns - killed_ns) / 1000)) us to end the process"
	if [ "$arrived" -le 0 ] || [ "$arrived" -ge "$lines" ]; then
		die "that was not in mid-stream"
	fi
}

finish_by_successor() {
	"$build/examples/producer" demo/killed "$file" "$pace" 2>"$dir/producer.log" || {
		show "$dir/producer.log"
		die "the successor failed"
	}
	finish_consumer
	show "$dir/producer.log"
	sed '/PEER_DEAD/d' "$dir/consumer.log" | show
	prove_identical
}

file=${2:-$(choose_file)}
[ -r "$file" ] || die "$file cannot be read"
size=$(size_of "$file")

say "1. A private broker starts."
start_broker
ctl version | show

say "2. A file of $size bytes goes line by line through shared memory, as fast as it can."
full_speed
[ "$lines" -ge 3 ] || die "$file has $lines lines, too few to be killed in the middle"

pace=$((lines / 3 + 1))
say "3. Again, at $pace lines per second, and the producer is killed in mid-stream."
kill_producer
report_death

say "4. The broker knows who died, and keeps what was sent."
ctl describe demo/killed | show

say "5. A successor takes the place and finishes the file; the consumer never restarted."
finish_by_successor

say "6. What there is now."
ctl ls | show
echo
ctl status | show

say "Done: nothing lost, nothing doubled, nothing left behind."
