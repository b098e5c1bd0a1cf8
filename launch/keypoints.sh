#!/usr/bin/env bash
# Key points of a person from video, as the set kinematics_fatigue and `aemg fatigue-video` read them.
#
#   bash launch/keypoints.sh VIDEO... --out DIR [--sheet] [--overlay] [--crop L,T,W,H] [--overwrite]
#
#   --out DIR         where NAME.npz goes for each video NAME.mp4, .mov, .avi, .mkv, .webm or .gif
#   --sheet           NAME.sheet.png too: frames of the whole video with the key points, to look at
#   --overlay         NAME.overlay.mp4 too: all frames with the key points
#   --crop L,T,W,H    uses a part of each frame (left, top, width, height in pixels), as when it shows
#                     several people or a small one
#   --overwrite       replaces an NPZ that is there; otherwise it is kept
#
# Makes .venv-keypoints, an environment of its own, and installs pinned packages: MediaPipe Pose with the
# model in its wheel (complexity 1). Says what it found and did; a video without a person, unreadable or
# too short is one line and exit code 2, and nothing is written for it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"

videos=() out='' options=()
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --out=* | --crop=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --sheet | --overlay | --overwrite) options+=("$1") ;;
    --out | --crop)
      [[ -n ${2:-} ]] || die "$1 needs a value"
      if [[ $1 == --out ]]; then out=$2; else options+=("$1" "$2"); fi
      shift
      ;;
    -*) die "unknown argument '$1', see bash launch/keypoints.sh --help" ;;
    *) videos+=("$1") ;;
  esac
  shift
done
((${#videos[@]})) || die "no video given, see bash launch/keypoints.sh --help"
[[ -n $out ]] || die "--out is missing, expected the folder for the key points"
for video in "${videos[@]}"; do
  [[ -e $video ]] || die "no such video: $video"
done

keypoint_environment
# -P: a folder data_builders where the caller happens to be is not ours.
PYTHONPATH=$ROOT exec "$ENV_PYTHON" -P -m data_builders.kinematics_fatigue.extract \
  ${options[@]+"${options[@]}"} --out "$out" -- "${videos[@]}"
