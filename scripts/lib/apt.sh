# shellcheck shell=bash
# Functions for the install-* scripts: say what is needed, then install at once
# what is missing.

missing=()

# need_command COMMAND PACKAGE
need_command() {
    command -v "$1" >/dev/null || missing+=("$2")
}

# need_file PACKAGE PATTERN...: one existing file of any pattern is enough.
need_file() {
    local package=$1 pattern
    shift
    for pattern in "$@"; do
        if compgen -G "$pattern" >/dev/null; then
            return
        fi
    done
    missing+=("$package")
}

install_missing() {
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    if ! command -v apt-get >/dev/null; then
        echo "Missing here: ${missing[*]} (names of Debian packages). Please install them and try again." >&2
        exit 1
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Please run as root: apt-get install ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "Installing with apt-get: ${missing[*]}"
    # An index that is old or not to be had may still be enough.
    "${as_root[@]}" timeout 300 apt-get update -qq </dev/null || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        timeout 900 apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}
