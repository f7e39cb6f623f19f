#!/usr/bin/env bash
# Builds the Go and Java programs, with the network at the first time and without it later. A language that
# cannot be built here is left out, and not-built.txt says why.
set -euo pipefail
cd "$(dirname "$0")"
: >not-built.txt

fresh() { # marker sources...
  local marker=$1
  shift
  [ -e "$marker" ] && [ -z "$(find "$@" -newer "$marker" -print -quit)" ]
}

build() { # name tool marker sources -- command...
  local name=$1 tool=$2 marker=$3 sources=() log
  shift 3
  while [ "$1" != -- ]; do sources+=("$1"); shift; done
  shift
  fresh "$marker" "${sources[@]}" && return
  rm -rf "$(dirname "$marker")"
  if ! command -v "$tool" >/dev/null; then
    echo "$name: there is no $tool" >>not-built.txt
  elif ! log=$("$@" 2>&1); then
    # A library that cannot be fetched is this machine's fault; all else is ours.
    if grep -qiE 'dial tcp|no such host|i/o timeout|connection refused|could not transfer|unknown host|requires go|is not in std' <<<"$log"; then
      echo "$name: $(grep -m 1 . <<<"$log")" >>not-built.txt
    else
      printf '%s\n' "$log" >&2
      return 1
    fi
  fi
}

go_walk() { (cd go && go build -o target/walk . ); }
java_walk() { (cd java && { mvn -q -B -o compile || mvn -q -B compile; }); }

build Go go go/target/walk go/*.go go/go.mod go/go.sum -- go_walk
build Java mvn java/target/classes/Walk.class java/src java/pom.xml -- java_walk
[ ! -s not-built.txt ] || sed 's/^/NOT RUN: the helper library for /' not-built.txt >&2
