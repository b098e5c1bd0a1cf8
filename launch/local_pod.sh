#!/usr/bin/env bash
# Runs a command as N processes with M fake CPU devices each: a pod on one machine, to try out what
# will run on many. The processes find each other as jax.distributed asks for it.
#
#   bash launch/local_pod.sh [--dry_run] N M COMMAND...
#   bash launch/local_pod.sh 2 2 aemg train --config=configs/vq.py --prepared=P --workdir=W
#
#   --dry_run  prints what would be started
#
# When a process fails the others are stopped, and its exit code is this script's. SIGTERM and SIGINT
# go to all processes. Run the same command again to go on from the last checkpoint.
# LOCAL_POD_PORT chooses the port of process 0 (a free one if unset).
set -euo pipefail

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

dry_run=
case ${1:-} in
  --dry_run)
    dry_run=1
    shift
    ;;
  -h | --help)
    sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
if (($# < 3)) || ! [[ $1 =~ ^[1-9][0-9]*$ && $2 =~ ^[1-9][0-9]*$ ]]; then
  die "got '$*', expected local_pod.sh N M COMMAND with numbers of processes and of devices each"
fi
processes=$1 devices=$2
shift 2

port=${LOCAL_POD_PORT:-}
if [[ -z $port ]]; then
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("localhost", 0)); print(s.getsockname()[1])')
fi
export JAX_PLATFORMS=cpu JAX_COORDINATOR_ADDRESS=localhost:$port JAX_NUM_PROCESSES=$processes
export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$devices"

pids=()
for ((id = 0; id < processes; id++)); do
  if [[ -n $dry_run ]]; then
    printf 'JAX_PLATFORMS=cpu JAX_COORDINATOR_ADDRESS=%s JAX_NUM_PROCESSES=%d JAX_PROCESS_ID=%d XLA_FLAGS=%q' \
      "$JAX_COORDINATOR_ADDRESS" "$processes" "$id" "$XLA_FLAGS"
    printf ' %q' "$@"
    printf '\n'
    continue
  fi
  JAX_PROCESS_ID=$id "$@" &
  pids+=($!)
done
[[ -z $dry_run ]] || exit 0

trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT

# The status of each process as it ends; wait returns above 128 when a signal came instead.
status=0
left=$processes
while ((left)); do
  code=0
  ended=
  wait -n -p ended "${pids[@]}" || code=$?
  [[ -n $ended ]] || continue
  left=$((left - 1))
  for i in "${!pids[@]}"; do
    if [[ ${pids[i]} == "$ended" ]]; then unset 'pids[i]'; fi
  done
  if ((code && !status)); then
    status=$code
    if ((left)); then
      sleep 1
      kill -KILL "${pids[@]}" 2>/dev/null || true
    fi
  fi
done
exit "$status"
