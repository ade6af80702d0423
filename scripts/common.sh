# shellcheck shell=bash disable=SC2034
# What the scripts share; sourced, never run. Installs Debian packages and builds one directory.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What a build needs, and what the tests need besides.
BUILD_PACKAGES=(gcc g++ meson ninja-build pkg-config libmicrohttpd-dev libjansson-dev libuv1-dev
    libopenblas-pthread-dev libsqlite3-dev libzip-dev nettle-dev)
TEST_PACKAGES=(check clang libclang-rt-14-dev curl e2fsprogs gcc-aarch64-linux-gnu git
    libc6-dev-arm64-cross python3 python3-numpy python3-yaml qemu-user universal-ctags)
BENCH_PACKAGES=(curl libopenblas0-openmp python3 python3-fastapi python3-httptools python3-numpy
    python3-scipy python3-torch python3-uvicorn python3-uvloop wrk)

say() { printf '== %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Prints those of its arguments that dpkg does not know as installed.
missing_packages() {
    local name
    for name in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
            printf '%s\n' "$name"
    done
}

# The words that make a command run as root, or failure where nothing does.
root_prefix() {
    if [[ $(id -u) == 0 ]]; then
        printf 'env'
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
        printf 'sudo env'
    else
        return 1
    fi
}

# Installs what is missing of its arguments; says exactly what to do where it cannot.
install_packages() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this is not a Debian system (no apt-get). Install the equivalents of these Debian 12
packages with your package manager, then run: meson setup build && ninja -C build
  $*"
    local missing as_root
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} > 0)) || return 0
    as_root=$(root_prefix) ||
        die "these packages are missing and there is neither root nor sudo. Let somebody run:
  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    apt_install() {
        $as_root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            "${missing[@]}" >/dev/null
    }
    # A fresh machine has no package lists, an old one has stale ones: both fail, then update helps.
    apt_install 2>/dev/null || { $as_root apt-get update -qq && apt_install; } ||
        die "apt-get could not install: ${missing[*]}"
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
}

# configure DIRECTORY [meson options]: sets a build directory up, or changes its options. Its log
# begins anew. Fails after showing why.
configure() {
    local directory=$1 mode=()
    shift
    [[ ! -e $directory/meson-private/coredata.dat ]] || mode=(--reconfigure)
    mkdir -p "$directory"
    meson setup "${mode[@]}" "$directory" "$@" >"$directory/build.log" 2>&1 ||
        show_failure "$directory"
}

# build_directory DIRECTORY [meson options]: configures it and builds everything.
build_directory() {
    local directory=$1
    say "building $directory/"
    configure "$@" || return
    ninja --quiet -C "$directory" >>"$directory/build.log" 2>&1 || show_failure "$directory"
}

show_failure() {
    tail -n 40 "$1/build.log" >&2
    say "the build of $1/ failed; its whole log is $1/build.log"
    return 1
}
