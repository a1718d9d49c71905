# shellcheck shell=bash disable=SC2154 # root comes from common.sh
# A short-lived folder with a copy of the sources, owned by the user that
# servers run as, and one program that works in it.  However the caller ends,
# servers are stopped and the folder goes.

work=''
keep=''
inner_pid=''

workspace_end() {
	trap - EXIT INT TERM HUP
	if [ -n "$inner_pid" ]; then
		kill -TERM "$inner_pid" 2>/dev/null || true
		wait "$inner_pid" 2>/dev/null || true
		inner_pid=''
	fi
	[ -n "$work" ] && [ -d "$work" ] || return 0
	if [ -n "$keep" ]; then
		say "kept: $work (server: psql -h $work/sock -U postgres; logs: $work/log)"
	else
		stop_servers_in "$work"
		rm -rf "$work"
	fi
}

# workspace_begin [CHROOT]: sets work.
workspace_begin() {
	local owner

	trap workspace_end EXIT
	trap 'exit 130' INT TERM HUP
	work=$(short_temp_dir "${1:-}")
	copy_tree "$work/src"
	if is_root; then
		if [ -n "${1:-}" ]; then
			owner=$(chroot "$1" id -u postgres)
		else
			owner=$(server_user)
		fi
		chown -R "$owner" "$work"
	fi
}

# workspace_run [CHROOT] -- PROGRAM ARGUMENT...: PROGRAM (under script/lib) of
# the copied tree, with the workspace as its first argument.
workspace_run() {
	local chroot_dir='' inner program status=0
	local -a where=(--)

	if [ "$1" != -- ]; then
		chroot_dir=$1
		where=("$chroot_dir" --)
		shift
	fi
	program=$2
	shift 2
	inner=${work#"$chroot_dir"}
	# In the background, so that a signal reaches us while it runs.
	(as_server_user "${where[@]}" "$inner/src/script/lib/$program" "$inner" "$@") </dev/null &
	inner_pid=$!
	wait "$inner_pid" || status=$?
	inner_pid=''
	return "$status"
}
