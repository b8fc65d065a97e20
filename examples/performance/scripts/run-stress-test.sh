#!/usr/bin/env bash
# Stress suites: --type=concurrency|memory|network|all (default: concurrency). All else goes to `camprobe suite run`.
set -euo pipefail
suites=(stress-concurrency) rest=()
for argument in "$@"; do
  case "$argument" in
    --type=all) suites=(stress-concurrency stress-memory stress-network) ;;
    --type=*) suites=("stress-${argument#*=}") ;;
    *) rest+=("$argument") ;;
  esac
done
exec "$(dirname "$0")/camprobe" suite run "${suites[@]}" "${rest[@]}"
