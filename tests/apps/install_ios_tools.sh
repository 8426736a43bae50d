#!/usr/bin/env bash
# Installs what tests/apps/test_ios_*.py need beside the Python packages of the `dev` extra.
set -euo pipefail

# plparse reads project files as Xcode's own parser does.
if ! command -v plparse >/dev/null; then
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends gnustep-base-runtime >/dev/null
fi
