#!/bin/sh
# Install what building and testing Baraza needs, and nothing that is already there.
#
#   scripts/setup.sh build    compiler and Rust: enough for `make run`
#   scripts/setup.sh test     + real peers (Debian's jamid and dhtnode, PyPI's opendht)
#   scripts/setup.sh e2e      + a browser
#   scripts/setup.sh bench    + the C++ library that the DHT is compared with
#   scripts/setup.sh fuzz     + cargo-fuzz
#   scripts/setup.sh check    the same as build
#
# On Debian it installs with apt-get (as root, or through sudo) and says what. On any other
# system it names what is missing and stops. It never touches the network when all is there.
set -eu
cd "$(dirname "$0")/.."
level=${1:-test}
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)

say() { echo "setup: $*"; }
die() { say "$*" >&2; exit 1; }

# What is needed, one a line: kind | what to look for | Debian package | what for
needs_build='
command|cc|build-essential|C compiler (aws-lc, SQLite)
command|c++|build-essential|C++ compiler
command|make|make|this Makefile
command|git|git|version control; tests compare with it
command|python3|python3|scripts
node|18|nodejs|building the web app
command|npm|npm|building the web app
file|/etc/ssl/certs/ca-certificates.crt|ca-certificates|downloads over TLS'
needs_test='
file|/usr/libexec/jamid|jami-daemon|the real daemon to talk with
command|dhtnode|dhtnode|real DHT nodes
command|dbus-daemon|dbus-daemon|how tests speak to the daemon
command|ip|iproute2|test networks
command|tc|iproute2|test networks: rate limits
command|nft|nftables|test networks: packet loss
command|unshare|util-linux|network namespaces
command|nsenter|util-linux|network namespaces
python|jeepney|python3-jeepney|D-Bus from Python
python|venv ensurepip|python3-venv|the environment of the newest OpenDHT
command|openssl|openssl|checks of certificates
glob|/usr/lib/postgresql/*/bin/initdb|postgresql|the database of several name servers
command|gnutls-cli|gnutls-bin|TLS peers'
needs_e2e='
command|chromium|chromium|the browser of the tests of the web app
glob|/usr/share/fonts/truetype/noto/NotoSansArabic*|fonts-noto-core|Persian in it
glob|/usr/share/fonts/truetype/noto/NotoColorEmoji*|fonts-noto-color-emoji|emoji in it'
needs_bench='
file|/usr/include/opendht.h|libopendht-dev|the C++ DHT to compare with
command|pkg-config|pkg-config|compiling against it
command|wrk|wrk|many lookups of names
command|nginx|nginx-light|what a name server is compared with (Debian starts it on port 80)'

here() { # kind what
    case $1 in
        command) command -v "$2" >/dev/null 2>&1 || [ -x "/usr/sbin/$2" ] || [ -x "/sbin/$2" ] ;;
        file) [ -e "$2" ] ;;
        node) node -e "process.exit(process.versions.node.split('.')[0] < $2 ? 1 : 0)" 2>/dev/null ;;
        glob) ls $2 >/dev/null 2>&1 ;; # unquoted: the pattern is to be expanded
        python)
            for module in $2; do
                python3 - "$module" 2>/dev/null <<'P' || return 1
import importlib.util, sys
sys.path.append("/usr/lib/python3/dist-packages")
sys.exit(importlib.util.find_spec(sys.argv[1]) is None)
P
            done ;;
    esac
}

needs=$needs_build
case $level in
    build | check | fuzz) ;;
    test) needs="$needs$needs_test" ;;
    e2e) needs="$needs$needs_test$needs_e2e" ;;
    bench) needs="$needs$needs_test$needs_bench" ;;
    *) die "no level '$level': build, check, test, e2e, bench or fuzz" ;;
esac

# -- Rust: is the pinned toolchain, or one at least as new, there?

rust_ready() {
    command -v cargo >/dev/null 2>&1 || return 1
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$toolchain" "$found" | sort -V | head -n 1)" = "$toolchain" ] ||
        return 1
    [ "$level" != check ] || { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1
}
if ! rust_ready && ! command -v rustup >/dev/null 2>&1; then
    needs="$needs
command|curl|curl|the Rust installer"
fi

# -- Debian packages

missing='' wanted=''
while IFS='|' read -r kind what package purpose; do
    [ -n "$kind" ] || continue
    if ! here "$kind" "$what"; then
        wanted="$wanted
  $package ($what: $purpose)"
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    fi
done <<END
$needs
END

if [ -n "$missing" ]; then
    id=''
    [ ! -r /etc/os-release ] || id=$(. /etc/os-release && echo "$ID")
    if [ "$id" != debian ] || ! command -v apt-get >/dev/null 2>&1; then
        die "this is not Debian, so please install these first (Debian's names):$wanted"
    fi
    as_root=''
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            die "missing, and there is no sudo; as root: apt-get install$missing"
        as_root=sudo
    fi
    say "installing these Debian packages:$wanted"
    log=$(mktemp)
    # shellcheck disable=SC2086  # lists of words
    {
        $as_root apt-get update -q >"$log" 2>&1 &&
            $as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -q -y --no-install-recommends $missing >>"$log" 2>&1
    } || { tail -n 30 "$log" >&2; die "apt-get failed; the whole log: $log"; }
    rm -f "$log"
fi

# -- Rust itself

if ! rust_ready; then
    if ! command -v rustup >/dev/null 2>&1; then
        case $(uname -sm) in
            "Linux x86_64") target=x86_64-unknown-linux-gnu ;;
            "Linux aarch64") target=aarch64-unknown-linux-gnu ;;
            *) die "please install Rust $toolchain (https://rustup.rs)" ;;
        esac
        say "installing rustup from https://static.rust-lang.org (into ${CARGO_HOME:-$HOME/.cargo})"
        folder=$(mktemp -d)
        base=https://static.rust-lang.org/rustup/dist/$target/rustup-init
        for name in rustup-init rustup-init.sha256; do
            curl --proto '=https' --tlsv1.2 -sSfL -o "$folder/$name" "${base%rustup-init}$name" ||
                die "the download failed; please install Rust $toolchain (https://rustup.rs)"
        done
        want=$(cut -d' ' -f1 "$folder/rustup-init.sha256")
        got=$(sha256sum "$folder/rustup-init" | cut -d' ' -f1)
        [ "$want" = "$got" ] || die "the downloaded rustup-init has a wrong checksum"
        chmod +x "$folder/rustup-init"
        "$folder/rustup-init" -y -q --no-modify-path --default-toolchain none
        rm -rf "$folder"
    fi
    say "installing Rust $toolchain (rustup)"
    rustup toolchain install "$toolchain" --profile minimal --component clippy --component rustfmt
    rust_ready || die "Rust $toolchain is still not usable: $(rustc --version 2>&1 | head -n 1)"
fi

# -- What does not come as a Debian package

case $level in
    test | bench) testing/peers/install-opendht.sh ;;
    fuzz)
        if ! command -v cargo-fuzz >/dev/null 2>&1; then
            say "installing cargo-fuzz (cargo install, about a minute)"
            cargo install --locked --quiet cargo-fuzz --version '^0.13'
        fi ;;
esac
say "ready ($level: $(rustc --version | cut -d' ' -f1,2)$([ "$level" = test ] || [ "$level" = bench ] && echo ", real peers"))"
