#!/usr/bin/env bash
# From raw EMG to a leave-one-subject-out accuracy beside baselines, in one command.
#
#   bash launch/quickstart.sh                                    embedded synthetic EMG
#   bash launch/quickstart.sh --dataset myo_armband --raw ZIP    real recordings, hours on two cores
#
#   --dataset NAME    synthetic_emg (default) or myo_armband
#   --raw PATH        the dataset's zip or folder; without it the public source is downloaded
#   --data_dir DIR    where built datasets go (default data)
#   --workdir DIR     where everything else goes (default runs/quickstart-NAME)
#   --checkpoint DIR  a pre-trained encoder (aemg_jax/pretrained/NAME, or of aemg train) instead of training one
#   --extras NAME     gpu or tpu: installs the jax of that accelerator
#
# Makes .venv if no virtual environment is active and installs the pinned dependencies. Run it again
# after an interruption: finished steps are recognised and skipped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"

absolute() { if [[ $1 == /* ]]; then say "$1"; else say "$PWD/$1"; fi; }

dataset=synthetic_emg raw='' data_dir=$ROOT/data workdir='' checkpoint='' extras=''
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --dataset | --raw | --data_dir | --workdir | --checkpoint | --extras) ;;
    *) die "unknown argument '$1', see bash launch/quickstart.sh --help" ;;
  esac
  [[ -n ${2:-} ]] || die "$1 needs a value"
  case $1 in
    --dataset) dataset=$2 ;;
    --raw) raw=$(absolute "$2") ;;
    --data_dir) data_dir=$(absolute "$2") ;;
    --workdir) workdir=$(absolute "$2") ;;
    --checkpoint) checkpoint=$(absolute "$2") ;;
    --extras) extras=$2 ;;
  esac
  shift 2
done
[[ $dataset =~ ^(synthetic_emg|myo_armband)$ ]] ||
  die "--dataset is '$dataset', expected synthetic_emg or myo_armband"
[[ $extras =~ ^(|gpu|tpu)$ ]] || die "--extras is '$extras', expected gpu or tpu"
[[ -z $checkpoint || -d $checkpoint ]] || die "--checkpoint: no such folder: $checkpoint"
[[ -z $raw || -e $raw ]] || die "--raw: no such file or folder: $raw"
workdir=${workdir:-$ROOT/runs/quickstart-$dataset}
build=$dataset
[[ $dataset != synthetic_emg ]] || build=synthetic_emg/ring8_200hz

steps=7 number=0 running=''
[[ -z $checkpoint ]] || steps=5
say_where_it_stopped() {
  local status=$?
  if [[ -n $running ]]; then
    say "step $number ($running) stopped with status $status; run the same command to go on" >&2
  fi
}
trap say_where_it_stopped EXIT

# step TITLE COMMAND...: runs it, with its number and time.
step() {
  local start=$SECONDS
  running=$1 number=$((number + 1))
  shift
  say "[$number/$steps] $running"
  "$@"
  say "[$number/$steps] done in $((SECONDS - start)) s"
  running=''
}

# print_results REPORT: its table of results, without Markdown and with aligned columns.
print_results() {
  awk -F ' *[|] *' '
    /^[|] *method .*repetition/ { inside = 1 }
    inside && !/^[|]/ { exit }
    inside && !/^[|] *:?--/ {
      gsub(/–/, "-")
      gsub(/[\\*]/, "")
      rows++
      columns = NF
      for (i = 2; i < NF; i++) {
        cell[rows, i] = $i
        if ($3 != "" && length($i) > width[i]) width[i] = length($i)
      }
    }
    END {
      for (row = 1; row <= rows; row++) {
        line = ""
        for (i = 2; i < columns; i++) line = line sprintf("%-" width[i] + 2 "s", cell[row, i])
        sub(/ +$/, "", line)
        print line
      }
    }' "$1"
}

aemg() { "$ENV_PYTHON" -m aemg_jax.main "$@"; }

step 'Python environment' main_environment "$extras"
cd "$ROOT"
step "build $dataset" "$ENV_PYTHON" -m data_builders.build "$build" ${raw:+--raw "$raw"} --data_dir "$data_dir"
step 'prepare: recordings to words' aemg prepare --config="configs/prepare.py:$dataset" --data_dir="$data_dir" --workdir="$workdir"
if [[ -z $checkpoint ]]; then
  step 'codebook (VQ)' aemg train --config="configs/vq.py:$dataset" --prepared="$workdir/prepared/session" --workdir="$workdir/vq"
  step 'pre-training (masked words)' aemg train --config="configs/masked.py:$dataset" --prepared="$workdir/prepared/session" --init="$workdir/vq" --workdir="$workdir/masked"
  start_from=(--checkpoint="$workdir/masked" --tokeniser="$workdir/vq")
else
  start_from=(--checkpoint="$checkpoint")
fi
step 'leave one subject out, with baselines' aemg evaluate --config="configs/gesture.py:$dataset" "${start_from[@]}" --workdir="$workdir"
step 'report' aemg report --workdir="$workdir"

report=$workdir/report
say
print_results "$report.md"
say
say "finished in $((SECONDS / 60)) min $((SECONDS % 60)) s; the whole report: $report.html"
