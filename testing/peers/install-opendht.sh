#!/bin/sh
# The newest OpenDHT as a Python module, in an environment of its own beside this file:
# .venv/bin/python with the PyPI package opendht. Does nothing when it is there.
set -eu
cd "$(dirname "$0")"
version=4.4.2
if .venv/bin/python -c "import sys, importlib.metadata as m, opendht
sys.exit(m.version('opendht') != '$version')" 2>/dev/null; then
    exit 0
fi
echo "setup: installing PyPI's opendht $version into testing/peers/.venv"
python3 -m venv --clear .venv
.venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "opendht==$version"
.venv/bin/python -c "import opendht"
