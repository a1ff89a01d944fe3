# Shell functions that quickstart, test and the other scripts share. Sourced after `set -euo pipefail`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# One place for everything slow to make, the compiler's cache included. The checkout's own path stays out of the
# compiler's cache keys, so that another clone finds what this one built.
export MOTE_CACHE=${MOTE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mote}
export CCACHE_DIR=${CCACHE_DIR:-$MOTE_CACHE/ccache} CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
logs=$top/build/logs

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# The seconds since $1 (of EPOCHREALTIME), with one decimal.
seconds_since() {
  local now=${EPOCHREALTIME/[.,]/} then=${1/[.,]/}
  printf '%d.%d' $(((now - then) / 1000000)) $(((now - then) / 100000 % 10))
}

# Shows the last line of the log $2 and the time since $3 behind the step's name $1, until it is killed.
show_progress() {
  local width line
  while sleep 0.5; do
    width=$(($(tput cols 2>/dev/null || echo 80) - ${#1} - 16))
    line=$(tail -n 1 "$2" | tr '\r' '\n' | tail -n 1 | tr -dc '[:print:]')
    printf '\r\033[K  %s  %s s  \033[2m%s\033[0m' "$1" "$(seconds_since "$3")" "${line:0:$((width > 0 ? width : 0))}" >&2
  done
}

# step NAME COMMAND...: runs COMMAND with its stderr in a log, and says on our stderr how it goes. Its stdout is ours: so
# `path=$(step NAME COMMAND)` works. When it fails, the end of the log is shown and its status returned.
step() {
  local name=$1 began=$EPOCHREALTIME log status=0 progress=
  shift
  mkdir -p "$logs"
  log=$logs/$(tr -cs 'a-zA-Z0-9\n' - <<<"$name").log
  : > "$log"
  if [ -t 2 ]; then
    show_progress "$name" "$log" "$began" & progress=$!
  else
    say "  $name ..."
  fi
  "$@" 2>"$log" </dev/null || status=$?
  if [ -n "$progress" ]; then
    kill "$progress"
    wait "$progress" 2>/dev/null || true
    printf '\r\033[K' >&2
  fi
  local took; took=$(seconds_since "$began")
  printf '%8s s  %s\n' "$took" "$name" >> "$logs/timings"
  if [ "$status" -eq 0 ]; then
    printf '  %-58s %8s s\n' "$name" "$took" >&2
  else
    say "  $name: failed with status $status. The end of $log:"
    tail -n 40 "$log" | sed 's/^/    /' >&2
  fi
  return "$status"
}

# In a step: the command's stdout goes to the log as well.
to_log() { "$@" >&2; }

# Installs what is missing. A password that sudo may want is asked for before the step hides the terminal.
prepare_host() {
  local missing; missing=$("$top/scripts/setup" --missing)
  if [ -n "$missing" ]; then
    [ "$(id -u)" -eq 0 ] || sudo -v || die "installing packages needs root. As root: apt-get install $missing"
    step "install packages" "$top/scripts/setup"
  fi
}

# Sets MOTE_KVM to what the host's KVM is: usable, unusable or absent. Asked once; set it to choose by hand.
probe_kvm() {
  MOTE_KVM=${MOTE_KVM:-$("$top/scripts/probe-kvm")}
  export MOTE_KVM
}

# run_where_kvm_works [-e NAME]... [-o DIR] COMMAND...: natively where KVM can run Linux, else in the lab with these
# options. DIR lasts either way, and COMMAND finds its name in $LAB_OUT.
run_where_kvm_works() {
  local options=() output=
  while [ "${1#-}" != "$1" ]; do
    [ "$1" != -o ] || output=$2
    options+=("$1" "$2")
    shift 2
  done
  probe_kvm
  if [ "$MOTE_KVM" = usable ]; then
    LAB_OUT=$output "$@"
  else
    "$top/lab/lab" -e MOTE_CACHE -e MOTE_SHARED -e MOTE_KVM=usable "${options[@]}" -- "$@"
  fi
}
