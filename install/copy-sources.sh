#!/bin/sh
# Copies what a DEB or RPM is made from to build/FORMAT/recodex-monitor-VERSION, so that building
# changes nothing in the working tree. Prints the version.
# Usage: install/copy-sources.sh FORMAT
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' recodex_monitor/__init__.py)
copy=build/$1/recodex-monitor-$version
rm -rf "build/$1"
mkdir -p "$copy"
# The files of clients/static that are links into client/ become files.
cp -rL LICENSE Makefile NEWS.md README.md docs install recodex_monitor "$copy"
find "$copy" -depth '(' -name __pycache__ -o -name '.*' ')' -exec rm -r {} +
echo "$version"
