#!/usr/bin/env bash
# Submits an aemg command to SLURM: one task a node, or one a GPU with --per_gpu.
#
#   bash launch/slurm.sh --nodes N --gpus G [options] ARGUMENTS OF aemg
#   bash launch/slurm.sh --nodes 4 --gpus 8 --partition h100 --time 24:00:00 \
#     train --config=configs/pretrain_all.py:vq,size=base --prepared=$SCRATCH/prepared --workdir=$SCRATCH/vq
#
#   --nodes N, --gpus G   nodes, and GPUs of each
#   --partition NAME, --account NAME, --time D-HH:MM:SS (default 24:00:00), --cpus N (a GPU, default 8)
#   --per_gpu             a process for each GPU instead of one for each node
#   --requeues N          times that a job which was stopped is queued again (default 20)
#   --dry_run             prints the job script
#
# JAX finds the processes by SLURM's variables. Two minutes before the time is over, and when the job is
# pre-empted, all processes get SIGTERM, save the same step and exit 0; the job then queues itself again and
# goes on. Activate the virtual environment (bash launch/run_tests.sh makes .venv) on a shared disk first.
set -euo pipefail

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

nodes='' gpus='' partition='' account='' time=24:00:00 cpus=8 per_gpu='' requeues=20 dry_run=''
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --dry_run) dry_run=1 && shift && continue ;;
    --per_gpu) per_gpu=1 && shift && continue ;;
    --nodes | --gpus | --partition | --account | --time | --cpus | --requeues)
      [[ -n ${2:-} ]] || die "$1 needs a value"
      ;;
    -*) die "unknown option '$1', see --help" ;;
    *) break ;;
  esac
  printf -v "${1#--}" '%s' "$2"
  shift 2
done
for field in nodes gpus cpus requeues; do
  [[ ${!field} =~ ^[1-9][0-9]*$ ]] || die "--$field is '${!field}', expected a number from 1"
done
(($#)) || die "no command, expected the arguments of aemg, such as train --config=..."

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${VIRTUAL_ENV:-$root/.venv}/bin/python
tasks=1
if [[ -n $per_gpu ]]; then tasks=$gpus; fi
printf -v command ' %q' "$@"

# The options of the job, then what its first node runs.
script="#!/usr/bin/env bash
#SBATCH --job-name=aemg
#SBATCH --nodes=$nodes
#SBATCH --ntasks-per-node=$tasks
#SBATCH --gpus-per-node=$gpus
#SBATCH --cpus-per-task=$((cpus * gpus / tasks))
#SBATCH --time=$time
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=aemg-%j.log
${partition:+#SBATCH --partition=$partition
}${account:+#SBATCH --account=$account
}set -euo pipefail
cd $(printf %q "$root")
# The step gets the signal and has 110 s to save; a job that was stopped queues itself again.
stopped='' step=''
trap 'stopped=1; kill -TERM \$step || true' TERM
srun --kill-on-bad-exit=1 $(printf %q "$python") -m aemg_jax.main$command &
step=\$!
status=0
wait \$step || status=\$?
if [[ -n \$stopped ]]; then
  wait \$step || true
  if ((\${SLURM_RESTART_COUNT:-0} < $requeues)); then
    scontrol requeue \"\$SLURM_JOB_ID\"
  fi
  exit 0
fi
exit \$status"

if [[ -n $dry_run ]]; then
  printf '%s\n' "$script"
  exit 0
fi
command -v sbatch >/dev/null || die "sbatch is not installed: run this on a login node"
[[ -x $python ]] || die "$python: not found, expected an environment with this package (bash launch/run_tests.sh)"
sbatch <<<"$script"
