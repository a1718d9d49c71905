# shellcheck shell=bash
# A server that belongs to one run: a copy of an installed PostgreSQL, and a
# throw-away cluster that listens on a unix socket only.

# private_server PG_CONFIG DEST: copies the server into DEST and prints the
# path of the copy's pg_config.  PostgreSQL finds its folders relative to its
# own executable, so "make install" with that pg_config, CREATE EXTENSION and
# the copy's server all stay within DEST and the system is never touched.
private_server() {
	local pg_config=$1 dest=$2 what dir

	for what in bindir pkglibdir sharedir; do
		dir=$("$pg_config" "--$what")
		case $dir in
			/bin | /usr/bin | /usr/local/bin | /usr/lib | /usr/lib64 | /usr/share)
				die "PostgreSQL's files lie among others in $dir; a copy for tests needs folders of its own (as in Debian's packages)"
				;;
		esac
		mkdir -p "$dest$(dirname "$dir")"
		cp -R --preserve=mode,timestamps,links "$dir" "$dest$dir"
	done
	# Only read, so a link does.
	dir=$("$pg_config" --includedir)
	mkdir -p "$dest$(dirname "$dir")"
	ln -s "$dir" "$dest$dir"

	dir=$dest$("$pg_config" --bindir)
	[ "$("$dir/pg_config" --bindir)" = "$dir" ] ||
		die "the copied server does not know its place (pg_config --bindir is not $dir)"
	echo "$dir/pg_config"
}

# start_cluster BINDIR DATA SOCKET_DIR LOG [CONF]: initdb and start.
start_cluster() {
	local bin=$1 data=$2 socket=$3 log=$4 conf=${5:-}

	mkdir -p "$socket"
	"$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$log.initdb" 2>&1 || {
		cat "$log.initdb" >&2
		return 1
	}
	[ -z "$conf" ] || cat "$conf" >>"$data/postgresql.conf"
	cat >>"$data/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$socket'
	END
	"$bin/pg_ctl" -D "$data" -l "$log" -w -s start </dev/null || {
		tail -n 40 "$log" >&2
		return 1
	}
}

stop_cluster() {
	local bin=$1 data=$2

	[ -f "$data/postmaster.pid" ] || return 0
	"$bin/pg_ctl" -D "$data" -m "${3:-fast}" -w -s stop </dev/null >/dev/null 2>&1 || true
}
