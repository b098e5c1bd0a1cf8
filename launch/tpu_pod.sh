#!/usr/bin/env bash
# Runs an aemg command on every worker of a Cloud TPU, from this machine.
#
#   bash launch/tpu_pod.sh --name T --zone Z --project P [--repo URL] [--dry_run] ARGUMENTS OF aemg
#   bash launch/tpu_pod.sh --name pod --zone us-east5-a --project lab --repo https://host/aemg.git \
#     train --config=configs/pretrain_all.py:vq,size=base --prepared=/mnt/emg/prepared --workdir=/mnt/emg/vq
#
#   --name NAME     of the TPU VM or pod slice; make it first: gcloud compute tpus tpu-vm create
#   --zone, --project  where it is
#   --repo URL      of this repository: cloned on each worker the first time, and installed
#   --branch NAME   to check out (default main)
#   --detach        start and return; the log of each worker is ~/aemg.log
#   --dry_run       prints what would be run
#
# JAX finds the workers by the TPU's metadata, so each runs the same command. --workdir and --prepared
# must be a file system that all workers mount (Filestore, a bucket by gcsfuse). A pre-empted slice goes
# on from its last checkpoint when the same command runs again.
set -euo pipefail

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

name='' zone='' project='' repo='' branch=main detach='' dry_run=''
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --dry_run) dry_run=1 && shift && continue ;;
    --detach) detach=1 && shift && continue ;;
    --name | --zone | --project | --repo | --branch) [[ -n ${2:-} ]] || die "$1 needs a value" ;;
    -*) die "unknown option '$1', see --help" ;;
    *) break ;;
  esac
  printf -v "${1#--}" '%s' "$2"
  shift 2
done
[[ -n $name && -n $zone && -n $project ]] || die "--name, --zone and --project are needed, see --help"
(($#)) || die "no command, expected the arguments of aemg, such as train --config=..."

printf -v command ' %q' "$@"
# On the worker. An exclusive lock: two runs on one TPU would fail late and darkly.
worker='set -e; '
if [[ -n $repo ]]; then
  printf -v clone '[ -d ~/aemg ] || git clone -q -b %q %q ~/aemg; ' "$branch" "$repo"
  worker+=$clone
fi
worker+="cd ~/aemg; git fetch -q; git checkout -q $(printf %q "$branch"); git pull -q --ff-only; "
worker+='source launch/_environment.sh; main_environment tpu >/dev/null; '
run="flock -n /tmp/aemg.lock \"\$ENV_PYTHON\" -m aemg_jax.main$command"
if [[ -n $detach ]]; then
  worker+="nohup $run >~/aemg.log 2>&1 </dev/null &"
else
  worker+="$run 2>&1 | tee ~/aemg.log; exit \${PIPESTATUS[0]}"
fi

call=(gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --project="$project" --worker=all
  --command="bash -c $(printf %q "$worker")")
if [[ -n $dry_run ]]; then
  printf '%q ' "${call[@]}"
  printf '\n'
  exit 0
fi
command -v gcloud >/dev/null || die "gcloud is not installed (https://cloud.google.com/sdk)"
exec "${call[@]}"
