#!/bin/sh
# Installs the monitor with everything that it needs in a private environment, together with its
# units and samples. `make install` runs it; run as root, install/postinst then makes the
# monitor's user and folders. The DEB and the RPM are made with it, too.
#
# Reads from the environment, all with defaults:
#   DESTDIR     folder that stands for / (empty: the system itself)
#   PREFIX      /usr
#   SYSCONFDIR  /etc
#   UNITDIR     folder of systemd's units, SYSCONFDIR/systemd/system
#   PYTHON      interpreter that will run the monitor, python3
#   PURE        if not empty, leave compiled code to the distribution's packages
set -eu
cd "$(dirname "$0")/.."

destdir=${DESTDIR:-}
prefix=${PREFIX:-/usr}
sysconfdir=${SYSCONFDIR:-/etc}
units=$destdir${UNITDIR:-$sysconfdir/systemd/system}
python=${PYTHON:-python3}
pure=${PURE:-}
inside=$prefix/lib/recodex-monitor
library=$destdir$inside
share=$destdir$prefix/share/recodex-monitor

# Removes what the monitor does not use: parts of Twisted for other protocols, and what packages carry
# for their own development.
prune() {
    for part in conch mail names news pair positioning trial words; do
        rm -rf "$library/twisted/$part"
    done
    rm -rf "$library/autobahn/wamp/gen" "$library/autobahn/__main__.py" "$library/autobahn/xbr"
    find "$library" -depth '(' -name '.git*' -o -name newsfragments -o -name '_newsfragments' \
        -o -name '*.c' -o -name '*.pyx' -o -name '*.misc' ')' -exec rm -r {} +
}

private_environment() {
    requirements=private-environment
    [ -z "$pure" ] || requirements=bundled
    rm -rf "$library"
    "$python" -m pip install --quiet --no-deps --no-compile --target "$library" \
        --root-user-action ignore -r "install/requirements-$requirements.txt"
    rm -rf "$library/bin"
    find "$library" -depth -type d '(' -name test -o -name tests ')' -exec rm -r {} +
    prune
    [ -z "$pure" ] || find "$library" -name '*.so' -delete
    # Debian's zope is an ordinary package: without this file it would win over ours.
    touch "$library/zope/__init__.py"
    cp -rL recodex_monitor "$library" # where files are links into client/, copies them
    find "$library" -depth -name __pycache__ -exec rm -r {} +
    [ -n "$pure" ] || "$python" -m compileall -q -s "$destdir" -p / "$library"
}

command_and_units() {
    interpreter=$("$python" -c 'import sys; print(sys.executable)')
    install -d "$destdir$prefix/bin"
    sed "s|^#!/usr/bin/python3|#!$interpreter|" install/recodex-monitor \
        > "$destdir$prefix/bin/recodex-monitor"
    chmod 755 "$destdir$prefix/bin/recodex-monitor"
    install -D -m 644 -t "$units" install/recodex-monitor.socket
    sed "s|/usr/bin/|$prefix/bin/|; s|/etc/recodex|$sysconfdir/recodex|" \
        install/recodex-monitor.service > "$units/recodex-monitor.service"
    for kind in sysusers tmpfiles; do
        install -D -m 644 "install/$kind.conf" \
            "$destdir$prefix/lib/$kind.d/recodex-monitor.conf"
    done
}

samples_and_configuration() {
    install -D -m 644 -t "$share" \
        install/alerts.yml install/grafana-dashboard.json install/logrotate.conf \
        install/supervisor.conf
    install -D -m 644 -t "$share/proxy" install/proxy/*
    # An administrator's own configuration stays as it is.
    config=$destdir$sysconfdir/recodex/monitor/config.yml
    # install/postinst gives it to the monitor's user.
    [ -e "$config" ] || install -D -m 600 install/config.yml "$config"
}

manuals_and_completions() {
    tools=$(mktemp -d)
    "$python" -m pip install --quiet --no-compile --target "$tools" --root-user-action ignore \
        -r install/requirements-manuals.txt
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$tools:$library \
        "$python" install/manuals.py "$destdir$prefix/share" "$sysconfdir"
    rm -rf "$tools"
}

private_environment
manuals_and_completions
command_and_units
samples_and_configuration
