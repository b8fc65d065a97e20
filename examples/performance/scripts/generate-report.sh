#!/usr/bin/env bash
# The report of a suite that was run: generate-report.sh DIR [--format text|json|md|html|junit] [-o FILE]
set -euo pipefail
exec "$(dirname "$0")/camprobe" suite report "$@"
