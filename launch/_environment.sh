# The only place that makes Python environments. Sourced by scripts that `set -euo pipefail`.
#
#   main_environment EXTRAS    the active virtual environment, or else .venv in the repository
#   tensorflow_environment     .venv-tf: TensorFlow stays out of the main environment
#   beam_environment           .venv-beam: Apache Beam wants older versions of what others share
#   keypoint_environment       .venv-keypoints: MediaPipe wants an older protobuf than all others
#
# All install the package with pinned dependencies (the last one its pins alone), which takes no time
# when nothing has changed, and set ENV_PYTHON to the interpreter. PYTHON=/path/to/python3.12 chooses
# what makes a new one.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# The versions for which constraints/ has a file.
supported() {
  local version
  version=$(python_version "$1") && [[ -f $ROOT/constraints/py${version/./}.txt ]]
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3 python}; do
    if supported "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  die "needs Python 3.11 or 3.12, found neither as ${PYTHON:-python3.11, python3.12 or python3}" \
      "(on Debian: apt-get install python3 python3-venv; or set PYTHON=/path/to/python3.11)"
}

# Debian ships ensurepip, without which venv makes no pip, as a package of its own.
need_venv_module() {
  local python=$1 package
  package=python$(python_version "$python")-venv
  "$python" -c 'from ensurepip import version; import venv' 2>/dev/null && return
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    say "installing $package, which $python needs to make virtual environments"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; } \
      >/dev/null || true
    "$python" -c 'from ensurepip import version; import venv' 2>/dev/null && return
  fi
  die "$python cannot make virtual environments: run 'sudo apt-get install $package' first"
}

# Makes FOLDER unless it holds a working environment. One whose install was killed is made anew:
# pip takes a half-unpacked package for an installed one.
make_environment() {
  local folder=$1 python
  if [[ ! -e $folder/aemg_jax.installing ]] && "$folder/bin/python" -c 'import pip' 2>/dev/null; then
    return
  fi
  python=$(find_python)
  need_venv_module "$python"
  say "making $folder with Python $(python_version "$python")"
  "$python" -m venv --clear "$folder"
}

# Writes over one line where somebody watches; prints a line now and then where nobody does.
show_progress() {
  local line packages=0
  while IFS= read -r line; do
    if [[ -t 1 ]]; then
      printf '\r\033[K  %.90s' "${line//$'\r'/}"
    elif [[ $line == Collecting* ]]; then
      packages=$((packages + 1))
      ((packages % 20)) || printf '  %d packages found\n' "$packages"
    elif [[ $line == 'Installing collected packages'* ]]; then
      printf '  %.90s\n' "$line"
    fi
  done
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}

# run_pip FOLDER ARGUMENTS: shows the end of pip's output if it fails.
run_pip() {
  local folder=$1 log=$1/aemg_jax-install.log
  shift
  if ! "$folder/bin/python" -m pip install "$@" 2>&1 | tee "$log" | show_progress; then
    grep -q '^Installing collected packages' "$log" || rm -f "$folder/aemg_jax.installing"
    tail -n 15 "$log" >&2
    die "pip failed; the whole log is $log"
  fi
}

# install_package FOLDER EXTRAS [CONSTRAINTS]: the package and its pinned dependencies; pins in the
# file CONSTRAINTS stand in for those of the same packages in the Python version's file. The first
# line of the stamp says what they were installed from, the others which extras are in. It is taken
# away before pip starts and put back last, so that an interrupted install is repeated.
install_package() {
  local folder=$1 extras=$2 more=${3:-} version key pins start=$SECONDS
  local stamp=$folder/aemg_jax.stamp unfinished=$folder/aemg_jax.installing
  ENV_PYTHON=$folder/bin/python
  version=$(python_version "$ENV_PYTHON") ||
    die "$ENV_PYTHON does not run: delete or deactivate $folder"
  supported "$ENV_PYTHON" ||
    die "$folder has Python $version, needs 3.11 or 3.12: delete or deactivate it"
  cd "$ROOT"
  key="$ROOT $version $(cat setup.cfg pyproject.toml constraints/*.txt | cksum)"
  if [[ -f $stamp && $(head -n 1 "$stamp") == "$key" ]]; then
    if grep -qxF "extras: $extras" "$stamp"; then return; fi
    mv "$stamp" "$unfinished"
  else
    rm -f "$stamp"
    printf '%s\n' "$key" >"$unfinished"
  fi
  "$ENV_PYTHON" -c 'import pip' 2>/dev/null || "$ENV_PYTHON" -m ensurepip >/dev/null 2>&1 ||
    die "$folder has no pip: run '$ENV_PYTHON -m ensurepip' or deactivate it"
  pins=(--constraint "constraints/py${version/./}.txt")
  if [[ -n $more ]]; then
    awk -F== 'NR == FNR { own[$1]; print; next } !($1 in own)' \
      "constraints/$more" "constraints/py${version/./}.txt" >"$folder/aemg_jax.constraints"
    pins=(--constraint "$folder/aemg_jax.constraints")
  fi
  say "installing pinned packages into $folder (the first time 1 to 3 GB, a few minutes)"
  # promise has no wheel: the tools that build it, and this package, are pinned too.
  run_pip "$folder" "${pins[@]}" setuptools wheel
  run_pip "$folder" "${pins[@]}" --no-build-isolation --editable ".${extras:+[$extras]}"
  printf 'extras: %s\n' "$extras" >>"$unfinished"
  mv "$unfinished" "$stamp"
  say "environment ready in $((SECONDS - start)) s"
}

main_environment() {
  local folder=${VIRTUAL_ENV:-$ROOT/.venv}
  if [[ -z ${VIRTUAL_ENV:-} ]]; then make_environment "$folder"; fi
  install_package "$folder" "$1"
}

tensorflow_environment() {
  make_environment "$ROOT/.venv-tf"
  install_package "$ROOT/.venv-tf" dev,tfds-test tensorflow.txt
}

beam_environment() {
  make_environment "$ROOT/.venv-beam"
  install_package "$ROOT/.venv-beam" dev,beam beam.txt
}

# The package itself is not installed: its dependencies want another protobuf.
keypoint_environment() {
  local folder=$ROOT/.venv-keypoints pins=$ROOT/constraints/keypoints.txt key start=$SECONDS
  make_environment "$folder"
  ENV_PYTHON=$folder/bin/python
  key="$(python_version "$ENV_PYTHON") $(cksum <"$pins")"
  if [[ -f $folder/aemg_jax.stamp && $(<"$folder/aemg_jax.stamp") == "$key" ]]; then return; fi
  rm -f "$folder/aemg_jax.stamp"
  printf '%s\n' "$key" >"$folder/aemg_jax.installing"
  say "installing pinned packages into $folder (the first time 0.4 GB, a minute)"
  run_pip "$folder" --no-deps --requirement "$pins"
  mv "$folder/aemg_jax.installing" "$folder/aemg_jax.stamp"
  say "environment ready in $((SECONDS - start)) s"
}
