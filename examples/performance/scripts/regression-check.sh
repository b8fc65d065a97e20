#!/usr/bin/env bash
# load-basic twice, beside the baseline of that name: exit code 99 where anything became worse. The first time it makes the
# baseline. Everything given goes to `camprobe suite run` (--time-scale=0.1). STORE: where baselines lie (.camprobe/baselines).
set -euo pipefail
camprobe=$(dirname "$0")/camprobe
store=${STORE:-.camprobe/baselines}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
status=0
"$camprobe" suite run load-basic --repeats=2 --quiet -o "$out/suite" "$@" >"$out/report.txt" || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 99 ] || { cat "$out/report.txt" >&2; exit "$status"; }
runs=("$out"/suite/runs/*/run.camrun)
if "$camprobe" baseline list --store "$store" 2>/dev/null | grep -q load-basic; then
  "$camprobe" baseline compare load-basic "${runs[@]}" --store "$store" --fail-on worse
  exit
fi
"$camprobe" baseline save load-basic "${runs[@]}" --store "$store"
