#!/usr/bin/env bash
# Runs the tests. Alone: the fast set, without TensorFlow, network or real recordings.
#
#   bash launch/run_tests.sh [SETS] [PYTEST ARGUMENTS]
#
#   --fast   the fast set (what runs when no set is named)
#   --heavy  tests that compile or train whole models
#   --real   the path on real recordings: zips in the folder AEMG_RAW_DIR, skipped without it
#   --tf     TFDS's own conformance tests, in an environment of their own (.venv-tf)
#   --beam   builds on Apache Beam, in an environment of their own (.venv-beam)
#   --keypoints  key points from video, in an environment of their own (.venv-keypoints)
#   --slow   long kill tests, full fuzzing, models of full size
#   --all    all but slow, in the order of this list; the first set that fails ends the run
#
# Makes .venv if no virtual environment is active and installs the pinned dependencies. What follows
# the sets goes to pytest: bash launch/run_tests.sh tests/models -k quantiser
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"

sets=()
while (($#)); do
  case $1 in
    --fast | --heavy | --real | --tf | --beam | --keypoints | --slow) sets+=("${1#--}") ;;
    --all) sets+=(fast heavy real tf beam keypoints) ;;
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) break ;;
  esac
  shift
done
((${#sets[@]})) || sets=(fast)

# run_set NAME PYTEST-ARGUMENTS: pytest's status 5 (nothing collected) is a failure of the fast set
# only, as paths given by hand may hold no test of the other sets.
run_set() {
  local name=$1 status=0
  shift
  case $name in
    tf) tensorflow_environment ;;
    beam) beam_environment ;;
    keypoints)
      # the tests themselves run in the main one, and start this one's Python
      keypoint_environment
      export AEMG_KEYPOINT_PYTHON=$ENV_PYTHON
      main_environment dev
      ;;
    *) main_environment dev ;;
  esac
  say "== $name tests: $(python_version "$ENV_PYTHON") in $(dirname "$(dirname "$ENV_PYTHON")")"
  # a process for each core; the tests of a file share one, and with it what they compiled
  if [[ $name == fast ]]; then
    "$ENV_PYTHON" -m pytest -n auto --dist loadfile "$@"
    return
  fi
  "$ENV_PYTHON" -m pytest -n auto --dist "$([[ $name == tf ]] && echo load || echo loadfile)" \
    -m "$name" "$@" || status=$?
  ((status == 5)) || return "$status"
}

cd "$ROOT"
for name in "${sets[@]}"; do run_set "$name" "$@"; done
