#!/bin/sh
# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

# Installs what the tests of the front doors want and cannot fetch by themselves: Varnish, Chromium, Firefox and
# PHP, from Debian's packages, where this may install them. Never fails: the tests of what is missing are skipped, and say so.
missing=
for pair in varnishd:varnish chromium:chromium firefox-esr:firefox-esr php:php-cli; do
	PATH=$PATH:/usr/local/sbin:/usr/sbin command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "tests of what is missing are skipped; as root: apt-get install$missing" >&2
	exit 0
fi
echo "installing$missing with apt-get …"
log=$(mktemp)
# shellcheck disable=SC2086 - several words
if apt-get update -qq >"$log" 2>&1 &&
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $missing >>"$log" 2>&1; then
	rm "$log"
else
	echo "apt-get cannot install$missing; tests of what is missing are skipped; the end of $log:" >&2
	tail -3 "$log" >&2
fi
