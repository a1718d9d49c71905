# shellcheck shell=bash disable=SC2154 # root and cache come from common.sh
# Other majors of PostgreSQL: each in a chroot of the Debian release that has
# it, made once and kept in the cache.

# shellcheck source=script/lib/apt.sh
. "$root/script/lib/apt.sh"

# What may not happen during an installation, and what makes it quick.
chroot_conf() {
	local dir=$1

	# No service may start inside.
	printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
	chmod 755 "$dir/usr/sbin/policy-rc.d"
	mkdir -p "$dir/etc/postgresql-common"
	echo 'create_main_cluster = false' >"$dir/etc/postgresql-common/createcluster.conf"
	# The index of a release in the making expires after a week, and a mirror
	# may be a frozen copy.
	cat >"$dir/etc/apt/apt.conf.d/99plinth" <<-'END'
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		APT::Install-Recommends "false";
	END
	mkdir -p "$dir/etc/dpkg/dpkg.cfg.d"
	printf 'force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n' \
		>"$dir/etc/dpkg/dpkg.cfg.d/plinth"
}

# in_chroot DIR COMMAND... (as root, with this shell's environment)
in_chroot() {
	(own_mounts "$root/script/lib/in-chroot" "$@")
}

chroot_release() {
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo forky ;;
		*) die "PostgreSQL $1 is not installed here, and no Debian release is known to have it" ;;
	esac
}

# run_debootstrap RELEASE DIR: a release younger than this machine's
# debootstrap has neither a script nor, perhaps, a key here.
run_debootstrap() {
	local release=$1 dir=$2 mirror keyring script=/usr/share/debootstrap/scripts/$1
	local -a keyrings=()

	mirror=$(debian_mirror)
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	for keyring in /usr/share/keyrings/debian-archive-keyring.gpg \
		"$cache"/chroot/*/usr/share/keyrings/debian-archive-keyring.gpg; do
		[ ! -f "$keyring" ] || keyrings+=("--keyring=$keyring")
	done
	for keyring in "${keyrings[@]}" --no-check-gpg; do
		rm -rf --one-file-system "$dir"
		if [ "$keyring" = --no-check-gpg ]; then
			say "WARNING: no key on this machine verifies the release $release;" \
				"making the chroot WITHOUT checking its signature"
		fi
		# shellcheck disable=SC2086 # no mirror: debootstrap's own
		if (own_mounts debootstrap --variant=minbase "$keyring" "$release" "$dir" ${mirror:-''} "$script"); then
			return 0
		fi
		# Anything but a signature is not mended by another key.
		grep -qiE 'signature|unknown key|NO_PUBKEY|keyring' "$dir/debootstrap/debootstrap.log" 2>/dev/null || return 1
	done
	return 1
}

# make_chroot MAJOR DIR
make_chroot() {
	local major=$1 dir=$2

	run_debootstrap "$(chroot_release "$major")" "$dir" || return 1
	chroot_conf "$dir"
	chroot_install "$major" "$dir"
}

# chroot_install MAJOR DIR: the packages, and in a file which they are.
chroot_install() {
	local major=$1 dir=$2 packages
	packages=$(server_packages "$major")

	in_chroot "$dir" apt-get -q update || return 1
	# shellcheck disable=SC2086 # a list of names
	in_chroot "$dir" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y $packages || return 1
	rm -rf "$dir"/var/cache/apt/archives/*.deb "$dir"/var/lib/apt/lists/*_*
	echo "$packages" >"$dir/etc/plinth-packages"
}

# A chroot that was made when tests needed less gets what is missing.
complete_chroot() {
	local major=$1 dir=$2 log=$2.log

	[ "$(server_packages "$major")" != "$(cat "$dir/etc/plinth-packages" 2>/dev/null)" ] || return 0
	export_apt_proxy
	say "installing into $dir what is missing (log: $log)"
	if ! chroot_install "$major" "$dir" >>"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		die "could not complete the chroot for PostgreSQL $major"
	fi
}

# cache_chroot MAJOR DIR
cache_chroot() {
	local major=$1 dir=$2 log=$2.log started=$SECONDS

	"$root/script/bootstrap" --quiet --chroots
	export_apt_proxy
	say "making a chroot of Debian $(chroot_release "$major") with PostgreSQL $major in $dir (log: $log)"
	if ! make_chroot "$major" "$dir.tmp" >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		tail -n 20 "$dir.tmp/debootstrap/debootstrap.log" >&2 2>/dev/null || true
		die "could not make the chroot for PostgreSQL $major"
	fi
	grep WARNING: "$log" || true
	mv "$dir.tmp" "$dir"
	say "chroot ready after $((SECONDS - started)) s"
}

need_root_for_chroot() {
	if is_root; then
		return
	fi
	command -v sudo >/dev/null ||
		die "PostgreSQL $major is not installed here; running it makes a chroot, which needs root (and there is no sudo)"
	say "PostgreSQL $major is not installed here; running it in a chroot, which needs root: calling sudo"
	exec sudo -- env PLINTH_CACHE="$cache" "$root/script/$(basename "$0")" "$@"
}

# chroot_open MAJOR ARGUMENTS_OF_THE_SCRIPT...: sets chroot_dir.
chroot_open() {
	local major=$1 release
	shift

	release=$(chroot_release "$major")
	need_root_for_chroot "$@"
	(own_mounts true) 2>/dev/null ||
		die "this machine does not allow mounts (a container without CAP_SYS_ADMIN?), so no chroot for PostgreSQL $major"
	PATH=$PATH:/usr/sbin:/sbin
	chroot_dir=$cache/chroot/pg$major-$release
	make_once "$chroot_dir" cache_chroot "$major" "$chroot_dir"
	(
		flock 9
		complete_chroot "$major" "$chroot_dir"
	) 9>"$chroot_dir.lock"
}
