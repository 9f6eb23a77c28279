#!/bin/sh
# Installs packages of Debian, as root or through sudo; elsewhere it says what to install and fails.
#
#   sh tests/install.sh PACKAGE ...
set -eu
if ! command -v apt-get >/dev/null; then
    echo "Install these (names of Debian's packages) and run this again: $*" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "As root: apt-get install $*" >&2
        exit 1
    }
    as_root=sudo
fi
echo "Installing $*."
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null
