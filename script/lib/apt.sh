# shellcheck shell=bash
# Where this machine gets its Debian packages from.  No host is written down
# in the repository: a mirror that works here is one that is configured here.

# apt_targets: "<origin>|<label>|<uri>|<suite>|<component>" for each configured
# package index; apt itself reads both formats of its sources.
apt_targets() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets \
		--format '$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
		'Created-By: Packages' 2>/dev/null | sort -u
}

# The plain Debian archive: not the security one, nobody else's.
# Empty (debootstrap then knows a mirror itself) on other distributions.
debian_mirror() {
	apt_targets | awk -F'|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

# Programs other than apt do not read apt's proxy.
export_apt_proxy() {
	local proxy=''

	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	if [ -n "$proxy" ] && [ "$proxy" != DIRECT ] && [ -z "${http_proxy:-}" ]; then
		export http_proxy=$proxy
	fi
}
