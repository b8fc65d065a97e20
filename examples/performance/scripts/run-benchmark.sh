#!/usr/bin/env bash
# Benchmarks against baselines: --category=arbitration|collaboration|providers|cost (default: all); --quick is two short rounds,
# --full the suites' own. All else goes to `camprobe suite run`.
set -euo pipefail
suites=(benchmark-arbitration benchmark-collaboration benchmark-providers benchmark-cost) rest=()
for argument in "$@"; do
  case "$argument" in
    --category=*) suites=("benchmark-${argument#*=}") ;;
    --quick) rest+=(--time-scale=0.2 --repeats=2) ;;
    --full) ;;
    *) rest+=("$argument") ;;
  esac
done
exec "$(dirname "$0")/camprobe" suite run "${suites[@]}" "${rest[@]}"
