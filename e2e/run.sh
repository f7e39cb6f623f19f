#!/usr/bin/env bash
# Runs the end-to-end tests: installs what they need, builds the walks of the helper libraries, makes media, then one journey after the other.
# `--set-up` stops before the journeys.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" != --inside ]; then
  if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
    npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
    cp package-lock.json node_modules/.installed-lock.json
  fi
  if ! cmp -s requirements.txt .venv/installed.txt; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
  fi
  ./clients/build.sh
  ./make-media.sh
  [ "${1:-}" != --set-up ] || exit 0
  rm -rf artifacts
  mkdir -p artifacts
  # A namespace of our own: nothing leaves, and there is an address besides loopback for Firefox.
  if unshare --net true 2>/dev/null; then
    exec unshare --net -- ./run.sh --inside "$@"
  fi
  echo "no network namespace (needs root): the Firefox journeys will be skipped" >&2
else
  shift
  ip link set lo up
  if ip link add e2e0 type veth peer name e2e1 2>/dev/null; then
    ip addr add 10.77.0.1/24 dev e2e0
    ip link set e2e0 up
    ip link set e2e1 up
    # Firefox takes the address of its default route; nobody answers at this one.
    ip route add default via 10.77.0.2 dev e2e0
    export ROTUNDA_E2E_ADDRESS=10.77.0.1
  fi
fi

journeys=()
for name in "$@"; do journeys+=("$name.test.mjs"); done
[ ${#journeys[@]} -gt 0 ] || journeys=(*.test.mjs)
exec node --test --test-concurrency=1 --test-reporter=spec --test-timeout=240000 "${journeys[@]}"
