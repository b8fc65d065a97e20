#!/usr/bin/env bash
# A load suite: --scenario=basic|heavy|peak|spike|all, or a scenario of load-basic's own (arbitration, mixed); `custom` is
# load-basic with what else is given. All else goes to `camprobe suite run`: --users=100 --duration=300 --time-scale=0.1
#   scripts/run-load-test.sh --scenario=arbitration --users=100 --duration=300
set -euo pipefail
suites=(load-basic) rest=()
for argument in "$@"; do
  case "$argument" in
    --scenario=basic | --scenario=custom) ;;
    --scenario=heavy | --scenario=peak | --scenario=spike) suites=("load-${argument#*=}") ;;
    --scenario=all) suites=(load-basic load-heavy load-peak load-spike) ;;
    *) rest+=("$argument") ;;
  esac
done
exec "$(dirname "$0")/camprobe" suite run "${suites[@]}" "${rest[@]}"
