#!/bin/sh
# Builds dist/recodex-monitor_VERSION_all.deb. Needs Debian's debhelper, dh-python and dpkg-dev.
set -eu
cd "$(dirname "$0")/.."

version=$(install/copy-sources.sh deb)
copy=build/deb/recodex-monitor-$version
mv "$copy/install/debian" "$copy/debian"
maintainer=$(sed -n 's/^Maintainer: //p' "$copy/debian/control")
printf '%s\n\n  * See NEWS.md.\n\n -- %s  %s\n' \
    "recodex-monitor ($version) unstable; urgency=medium" "$maintainer" "$(date -R)" \
    > "$copy/debian/changelog"
(cd "$copy" && dpkg-buildpackage --build=binary --no-sign)
mkdir -p dist
mv "build/deb/recodex-monitor_${version}_all.deb" dist
