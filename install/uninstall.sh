#!/bin/sh
# Removes what `make install` has installed, with the same variables as install/install.sh. The
# configuration, the log, the history and the user stay; the last lines say how to remove them.
set -eu

destdir=${DESTDIR:-}
prefix=${PREFIX:-/usr}
sysconfdir=${SYSCONFDIR:-/etc}
units=$destdir${UNITDIR:-$sysconfdir/systemd/system}
share=$destdir$prefix/share

if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now recodex-monitor.socket recodex-monitor.service || :
fi
rm -rf "$destdir$prefix/lib/recodex-monitor" "$share/recodex-monitor"
rm -f "$destdir$prefix/bin/recodex-monitor" \
    "$units/recodex-monitor.socket" "$units/recodex-monitor.service" \
    "$destdir$prefix/lib/sysusers.d/recodex-monitor.conf" \
    "$destdir$prefix/lib/tmpfiles.d/recodex-monitor.conf" \
    "$share/man/man1/recodex-monitor.1" "$share/man/man5/recodex-monitor.yml.5" \
    "$share/bash-completion/completions/recodex-monitor" \
    "$share/zsh/site-functions/_recodex-monitor" \
    "$share/fish/vendor_completions.d/recodex-monitor.fish"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
echo "Left: $sysconfdir/recodex/monitor, /var/log/recodex, /var/lib/recodex-monitor, user recodex."
