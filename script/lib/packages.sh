# shellcheck shell=bash
# What the scripts need from the system, under Debian's and Ubuntu's names.

# The PostgreSQL majors that are installed with server and headers, highest
# first.
installed_majors() {
	local dir

	for dir in /usr/lib/postgresql/*; do
		if [ -x "$dir/bin/postgres" ] && [ -f "$dir/lib/pgxs/src/makefiles/pgxs.mk" ] \
			&& [ -d "/usr/include/postgresql/${dir##*/}/server" ]; then
			echo "${dir##*/}"
		fi
	done | sort -rn
}

# The major that tests run on when nobody names one: $PG_CONFIG's, then the
# highest installed, then what the release's own metapackage brings.
default_major() {
	local major=''

	if [ -n "${PG_CONFIG:-}" ]; then
		major=$("$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
	fi
	[ -n "$major" ] || major=$(installed_majors | head -n 1)
	[ -n "$major" ] || major=$(release_major)
	echo "$major"
}

release_major() {
	apt-cache depends postgresql 2>/dev/null |
		sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1
}

# pg_config of a natively installed major; empty if it is not complete.
native_pg_config() {
	local config=/usr/lib/postgresql/$1/bin/pg_config

	if [ -n "${PG_CONFIG:-}" ] &&
		"$PG_CONFIG" --version | grep -q "^PostgreSQL $1[^0-9]"; then
		command -v "$PG_CONFIG"
	elif [ -x "$config" ] && installed_majors | grep -qx "$1"; then
		echo "$config"
	fi
}

# Drivers and a pooler, through which tests talk to a server as applications do.
client_packages='python3-psycopg2 libpostgresql-jdbc-java default-jdk-headless pgbouncer'

# Packages for building and testing on major $1.
server_packages() {
	echo "postgresql-$1 postgresql-server-dev-$1 postgresql-$1-pgtap" \
		"libtap-parser-sourcehandler-pgtap-perl libipc-run-perl" \
		"gcc libc6-dev make perl" \
		"$client_packages"
}

# missing_packages MAJOR [lint] [chroots]: names of what is not there.  Looks
# for the thing itself, not for the package: it may come from elsewhere.
missing_packages() {
	local major=$1 config share what tool
	local -a missing=()
	shift

	config=$(native_pg_config "$major")
	if [ -z "$config" ]; then
		missing+=("postgresql-$major" "postgresql-server-dev-$major" "postgresql-$major-pgtap")
	else
		share=$("$config" --sharedir)
		[ -f "$share/extension/pgtap.control" ] || missing+=("postgresql-$major-pgtap")
	fi
	command -v cc >/dev/null || missing+=(gcc libc6-dev)
	command -v make >/dev/null || missing+=(make)
	command -v prove >/dev/null || missing+=(perl)
	command -v pg_prove >/dev/null || missing+=(libtap-parser-sourcehandler-pgtap-perl)
	perl -MIPC::Run -e 1 2>/dev/null || missing+=(libipc-run-perl)
	# The system's own Python: tests call that, whatever comes first in PATH.
	/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || missing+=(python3-psycopg2)
	[ -e /usr/share/java/postgresql.jar ] || missing+=(libpostgresql-jdbc-java)
	# A bare Java cannot run a program from its source.
	command -v javac >/dev/null || missing+=(default-jdk-headless)
	PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || missing+=(pgbouncer)
	for what in "$@"; do
		case $what in
			lint)
				for tool in clang-format cppcheck shellcheck; do
					command -v "$tool" >/dev/null || missing+=("$tool")
				done
				;;
			chroots)
				PATH=$PATH:/usr/sbin command -v debootstrap >/dev/null || missing+=(debootstrap)
				;;
		esac
	done
	echo "${missing[*]}"
}
