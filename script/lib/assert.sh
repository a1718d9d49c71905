# shellcheck shell=bash disable=SC2154 # root and cache come from common.sh
# A server with assertions, built from the distribution's source package of the
# major that is installed, and kept in the cache.

# shellcheck source=script/lib/apt.sh
. "$root/script/lib/apt.sh"

# The features of Debian's own build that a test may use.
assert_configure=(--enable-cassert --enable-debug --enable-tap-tests --without-readline
	--with-icu --with-libxml --with-lz4 --with-ssl=openssl)
assert_packages=(libicu-dev libxml2-dev liblz4-dev libssl-dev zlib1g-dev pkg-config bzip2 gcc libc6-dev make perl)

# Source entries in folders of our own: the machine's apt is not changed.
private_apt() {
	local dir=$1

	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	apt_targets | awk -F'|' '($1 == "Debian" || $1 == "Ubuntu") && $5 == "main" {
		printf "deb-src [signed-by=/usr/share/keyrings/%s-archive-keyring.gpg] %s %s main\n",
			tolower($1), $3, $4
	}' | sort -u >"$dir/sources.list"
	[ -s "$dir/sources.list" ] || die "no Debian or Ubuntu archive among this machine's apt sources to take the server's source from"
	apt_options=(-q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${apt_options[@]}" update
}

# download_source MAJOR DIR: the newest version that the archive still holds;
# an index may name one that is gone already.  apt checks what it downloads
# against the signed index.
download_source() {
	local major=$1 dir=$2 version

	private_apt "$dir"
	for version in $(apt-cache "${apt_options[@]}" showsrc "postgresql-$major" |
		sed -n 's/^Version: //p' | sort -rVu); do
		if (cd "$dir" && apt-get "${apt_options[@]}" source --download-only "postgresql-$major=$version"); then
			return 0
		fi
		say "$version is not to be had, trying the one before"
	done
	return 1
}

# build_assert_server MAJOR PREFIX TEMP_DIR: leaves it under TEMP_DIR/install.
build_assert_server() {
	local major=$1 prefix=$2 dir=$3

	download_source "$major" "$dir" || return 1
	mkdir -p "$dir/source"
	tar -C "$dir/source" --strip-components=1 --no-same-owner -xf "$dir"/postgresql-"$major"_*.orig.tar.* || return 1
	cd "$dir/source" || return 1
	./configure --prefix="$prefix" "${assert_configure[@]}" \
		CFLAGS='-O1 -g -fno-omit-frame-pointer' || return 1
	make -j "$(job_count)" world-bin || return 1
	make DESTDIR="$dir/install" install-world-bin || return 1
	# pgTAP is SQL only, so the package's files serve this server too.
	cp -R "/usr/share/postgresql/$major"/extension/pgtap* \
		"$dir/install$("$dir/install$prefix/bin/pg_config" --sharedir | sed "s,^$dir/install,,")/extension/"
}

# The libraries' headers, where the build finds them missing.  The source of 17
# and later comes without its generated parsers.
install_assert_packages() {
	local package
	local -a missing=()

	[ "$1" -lt 17 ] || assert_packages+=(bison flex)
	for package in "${assert_packages[@]}"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] || "$root/script/bootstrap" --quiet --packages "${missing[*]}"
}

# cache_assert_server MAJOR PREFIX
cache_assert_server() {
	local major=$1 prefix=$2 log=$2.log temp=$2.tmp started=$SECONDS

	command -v apt-get >/dev/null ||
		die "the assert build takes the server's source from a Debian archive, and there is no apt-get here"
	install_assert_packages "$major"
	say "building PostgreSQL $major with assertions in $prefix (log: $log)"
	rm -rf "$temp"
	mkdir -p "$temp"
	if ! (build_assert_server "$major" "$prefix" "$temp") >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		die "could not build the server with assertions"
	fi
	mv "$temp/install$prefix" "$prefix"
	rm -rf "$temp"
	say "server with assertions ready after $((SECONDS - started)) s"
}

# assert_server MAJOR: sets assert_pg_config.
assert_server() {
	local prefix=$cache/assert/pg$1

	make_once "$prefix" cache_assert_server "$1" "$prefix"
	# shellcheck disable=SC2034 # for the caller
	assert_pg_config=$prefix/bin/pg_config
}
