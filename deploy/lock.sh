#!/bin/sh
# Writes the lock files of the two images anew: hash-pinned, without an index address.
# (What autods itself needs is in requirements.lock, which scripts/lock writes.)
set -eu
cd "$(dirname "$0")"
compile() { uv pip compile "$@" --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --quiet; }
echo "hatchling>=1.27" | compile - -o build.lock
compile mlflow/requirements.in -o mlflow/requirements.lock
