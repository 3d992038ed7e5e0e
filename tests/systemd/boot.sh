#!/bin/sh
# Boots a Debian that has the broker installed, with systemd as its first process, and lets
# a script check there how the two get on. TAP; needs root, and once the network.
#
#   usage: boot.sh BUILD_DIR SCRIPT [FILE...]
#
# SCRIPT, beside this one, and the FILEs are in /check there.
#
# All of it lives in own mount and PID namespaces, on a tmpfs: whatever ends this script, nothing
# is left running or mounted. Only the bare Debian is kept, in ~/.cache/shmbroker, for next time.
#
# Environment: SHMT_DEBIAN_MIRROR (default http://deb.debian.org/debian), SHMT_SLOW (factor for
# timeouts), SHMT_BOOT_LOG (a file to keep console and journal in)
set -eu

slow=${SHMT_SLOW:-1}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
mirror=${SHMT_DEBIAN_MIRROR:-http://deb.debian.org/debian}
script=$2
packages=libcjson1,libisal2,libuv1,socat,systemd
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/shmbroker

# To meson a TAP program skips with this line; status 77 would be an error to it.
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

fail() {
	echo "Bail out! $*"
	exit 1
}

comment() {
	sed 's/^/# /'
}

# ---- a place of its own --------------------------------------------------------------------------

if [ "${SHMT_BOOT_INSIDE_NAMESPACES:-}" != yes ]; then
	[ "$(id -u)" = 0 ] || skip "needs root to boot a container"
	for tool in debootstrap flock meson systemd-nspawn unshare; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
	unshare --mount --pid --fork --mount-proc true 2>/dev/null || skip "may not make namespaces"
	SHMT_BOOT_INSIDE_NAMESPACES=yes exec unshare --mount --propagation private \
		--pid --fork --kill-child --mount-proc sh "$0" "$@"
fi

# The first process of a PID namespace gets no signal that it does not ask for.
trap 'exit 130' HUP INT TERM

# One at a time: nspawn's control groups have fixed names below our own.
mkdir -p "$cache/boot"
exec 9>"$cache/lock"
flock 9
work=$cache/boot
mount -t tmpfs -o mode=0755 shmbroker-test "$work"

# nspawn leaves these behind. With what is still busy, rmdir does nothing.
# shellcheck disable=SC2317 # reached by the trap
remove_control_groups() {
	sed -n 's/^0:://p; s/^[0-9]*:name=systemd://p' /proc/self/cgroup | while read -r own; do
		for hierarchy in "" /unified /systemd; do
			for group in payload supervisor; do
				find "/sys/fs/cgroup$hierarchy$own/$group" -depth -type d -exec rmdir {} \; \
					2>/dev/null || true
			done
		done
	done
}
trap remove_control_groups EXIT

# ---- a bare Debian, kept -------------------------------------------------------------------------

# The one that this machine runs: what was built here must run there.
# shellcheck source=/dev/null
suite=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-}") || suite=
[ -n "$suite" ] || skip "boots the Debian that this machine runs, and it runs none"
debian=$cache/debian-$suite-$(dpkg --print-architecture)

make_debian() {
	debootstrap --variant=minbase --include="$packages" "$suite" "$debian.new" "$mirror" \
		>"$work/debootstrap.log" 2>&1 || {
		tail -n 20 "$work/debootstrap.log" | comment
		fail "debootstrap failed"
	}
	rm -rf "$debian.new/var/cache/apt/archives" "$debian.new/var/lib/apt/lists"
	echo "$packages" >"$debian.new/.shmbroker"
	mv "$debian.new" "$debian"
}

if [ "$(cat "$debian/.shmbroker" 2>/dev/null)" != "$packages" ]; then
	wget --quiet --tries=1 --timeout=20 --spider "$mirror/dists/$suite/Release" ||
		skip "cannot reach $mirror, and there is no Debian in $cache"
	rm -rf "$debian" "$debian.new"
	make_debian
fi

# ---- a fresh copy, with the broker ---------------------------------------------------------------

root=$work/root
mkdir "$root" "$work/upper" "$work/overlay"
mount -t overlay -o "lowerdir=$debian,upperdir=$work/upper,workdir=$work/overlay" \
	overlay "$root" 2>/dev/null || cp -a "$debian/." "$root"

mkdir -p "$root/check" "$root/var/log/journal"
(
	shift
	cd "$here"
	cp checks.sh "$@" "$root/check"
)
cat >"$root/etc/systemd/system/check.service" <<-END
	[Unit]
	After=multi-user.target
	SuccessAction=poweroff-force
	FailureAction=poweroff-force

	[Service]
	Type=oneshot
	Environment=SHMT_SLOW=$slow
	ExecStart=/bin/sh /check/$script
	TimeoutStartSec=$((240 * slow))
	StandardOutput=file:/check/tap
	StandardError=file:/check/errors

	[Install]
	WantedBy=multi-user.target
	END

{
	DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
	# What a package does after it is unpacked.
	chroot "$root" ldconfig
	chroot "$root" systemd-sysusers
	systemctl --root="$root" enable shmbrokerd.socket
	systemctl --root="$root" --global enable shmbrokerd.socket
	systemctl --root="$root" enable check.service
	# Alice is anybody; Olga is an operator.
	chroot "$root" useradd --create-home alice
	chroot "$root" useradd --create-home --groups shmbroker olga
} >"$work/install.log" 2>&1 || {
	comment <"$work/install.log"
	fail "the broker could not be installed"
}

# ---- boot ----------------------------------------------------------------------------------------

# register, keep-unit: there may be no systemd outside that could be asked for a unit.
booted=0
timeout --kill-after=10 $((300 * slow)) \
	systemd-nspawn --quiet --boot --directory="$root" --machine=shmbroker-test \
	--register=no --keep-unit --private-network --link-journal=no \
	--resolv-conf=off --timezone=off --console=read-only \
	</dev/null >"$work/console" 2>&1 || booted=$?

journalctl --directory="$root/var/log/journal" --no-pager -o short-monotonic \
	>"$work/journal" 2>/dev/null || true
if [ -n "${SHMT_BOOT_LOG:-}" ]; then
	cat "$work/console" "$root/check/errors" "$work/journal" >"$SHMT_BOOT_LOG" || true
fi
[ ! -e "$root/check/tap" ] || cat "$root/check/tap"
[ ! -e "$root/check/finished" ] || exit 0

echo "# console:"
tail -n 40 "$work/console" | comment
echo "# journal:"
tail -n 80 "$work/journal" | comment
fail "the booted system did not finish its checks (nspawn: $booted)"
