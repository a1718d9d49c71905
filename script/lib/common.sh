# shellcheck shell=bash
# What every script shares: messages, the cache folder, the user that servers
# run as, temporary folders that never stay behind.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# Chroots and built servers live outside the repository: they outlast a
# checkout, and several checkouts can share them.
default_cache() {
	if [ -n "${XDG_CACHE_HOME:-}" ]; then
		echo "$XDG_CACHE_HOME/plinth"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/cache/plinth
	else
		echo "${HOME:-/tmp}/.cache/plinth"
	fi
}
# shellcheck disable=SC2034 # for the scripts that read this file
cache=${PLINTH_CACHE:-$(default_cache)}

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" -eq 0 ]
}

# A heading that the eye finds in a long log.
heading() {
	printf '\n== %s\n' "$*"
}

# The server refuses to run as root, so root hands its work to this user.
# Called in the parent shell before anything is handed over.
server_user() {
	if ! is_root; then
		id -un
	elif id -u postgres >/dev/null 2>&1; then
		echo postgres
	else
		echo plinth-test
	fi
}

# own_mounts COMMAND...: replaces this shell by COMMAND in a mount namespace of
# its own.  Call it in a subshell.
own_mounts() {
	if unshare --mount --propagation private true 2>/dev/null; then
		exec unshare --mount --propagation private -- "$@"
	fi
	exec unshare --mount --propagation unchanged -- "$@"
}

# as_server_user [ROOT_DIR] -- COMMAND...: replaces this shell by COMMAND,
# without root's rights and without the caller's environment (a PGHOST or
# PGOPTIONS of the caller would change what is tested).  With ROOT_DIR the
# command runs inside that chroot.  Call it in a subshell.
as_server_user() {
	local chroot_dir='' user
	local -a prefix=()

	if [ "$1" != -- ]; then
		chroot_dir=$1
		shift
	fi
	shift
	user=$(server_user)
	if [ -n "$chroot_dir" ]; then
		user=postgres
		prefix=(own_mounts "$root/script/lib/in-chroot" "$chroot_dir")
	fi
	if is_root; then
		prefix+=(setpriv "--reuid=$user" "--regid=$user" --init-groups --)
	fi
	prefix+=(env -i
		PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
		LANG=C.UTF-8 USER="$user" LOGNAME="$user"
		TERM="${TERM:-dumb}" CI="${CI:-}" PLINTH_STEP_LIMIT="${PLINTH_STEP_LIMIT:-}"
		PLINTH_SEEDS="${PLINTH_SEEDS:-}")
	if [ -n "$chroot_dir" ]; then
		"${prefix[@]}" "$@"
	else
		exec "${prefix[@]}" "$@"
	fi
}

# Unix socket paths may have 107 bytes and Perl TAP clusters nest deep, hence
# a short name, not $TMPDIR.
short_temp_dir() {
	mktemp -d "${1:-}/tmp/plinth.XXXXXX"
}

# stop_servers_in DIR: shuts down, by pid, every server whose data directory
# lies in DIR.  Looks at the process's working directory first: a stale pid
# file may name somebody else's process.
stop_servers_in() {
	local pid_file pid tries

	[ -d "$1" ] || return 0
	while IFS= read -r pid_file; do
		pid=$(head -n 1 "$pid_file" 2>/dev/null) || continue
		[ -n "$pid" ] || continue
		case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
			"$1"/*) ;;
			*) continue ;;
		esac
		kill -QUIT "$pid" 2>/dev/null || continue
		for ((tries = 0; tries < 100; tries++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done < <(find "$1" -name postmaster.pid 2>/dev/null)
}

# copy_tree DEST: the sources as they are now (uncommitted changes too),
# without history and without what was built.
copy_tree() {
	mkdir -p "$1"
	tar -C "$root" --exclude=./.git --exclude=./build -cf - . | tar -C "$1" --no-same-owner -xf -
}

# make_once DIR COMMAND...: lets COMMAND make DIR if it is not there.  Two runs
# at a time must not both do it; COMMAND's last step has to be a rename, so
# that DIR is there whole or not at all.
make_once() {
	local dir=$1
	shift

	[ ! -d "$dir" ] || return 0
	mkdir -p "$(dirname "$dir")"
	(
		flock 9
		[ -d "$dir" ] || "$@"
	) 9>"$dir.lock"
}

# What went wrong, without the commands, each of which fills a screen.
show_build_errors() {
	grep -E -A4 '(error|warning): |undefined reference|\*\*\* ' "$1" | cut -c1-200 | head -n 100 || tail -n 40 "$1"
}

job_count() {
	nproc 2>/dev/null || echo 2
}
