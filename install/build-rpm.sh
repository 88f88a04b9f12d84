#!/bin/sh
# Builds dist/recodex-monitor-VERSION-1.noarch.rpm. Needs rpmbuild.
set -eu
cd "$(dirname "$0")/.."

version=$(install/copy-sources.sh rpm)
top=$PWD/build/rpm
tar -C "$top" -czf "$top/recodex-monitor-$version.tar.gz" "recodex-monitor-$version"
rpmbuild -bb --define "monitor_version $version" --define "_sourcedir $top" \
    --define "_topdir $top" install/recodex-monitor.spec
mkdir -p dist
mv "$top/RPMS/noarch/recodex-monitor-$version-1.noarch.rpm" dist
