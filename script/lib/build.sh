# shellcheck shell=bash disable=SC2154 # work comes from the caller
# Build, install and start in a workspace, for everything but the test suite:
# plain flags, as a user would build it.

# workspace_server PG_CONFIG [CONF]: builds and installs the tree in $work/src
# into a private copy of the server and starts a cluster, with the settings in
# CONF or else those of the tests.  Sets bin and pg_config.
workspace_server() {
	mkdir -p "$work"/{tmp,log}
	pg_config=$(private_server "$1" "$work/pg")
	bin=$(dirname "$pg_config")
	export PATH=$bin:$PATH TMPDIR=$work/tmp HOME=$work
	if ! make -C "$work/src" -j "$(job_count)" PG_CONFIG="$pg_config" install >"$work/log/build.log" 2>&1; then
		show_build_errors "$work/log/build.log" >&2
		say "the build failed" >&2
		return 1
	fi
	start_cluster "$bin" "$work/data" "$work/sock" "$work/log/server.log" "${2:-$work/src/test/conf/postgresql.conf}"
}
