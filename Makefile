# `make run` and `make test` need Python 3.11 or newer and the package registries, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test lint build bench bench-quick faults soak install deb rpm copy packages-test \
	clean

run: $(VENV)/ready
	@$(BIN)/recodex-monitor demo

test: $(VENV)/ready
	$(BIN)/python -m twisted.trial tests

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

build: $(VENV)/ready-dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .

# The benchmark's load generator is C: it needs cc and libzmq's headers, and says so.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/ready
	$(BIN)/python -m benchmarks --quick

faults: $(VENV)/ready
	$(BIN)/python -m tests.faults

soak: $(VENV)/ready
	$(BIN)/python -m tests.faults --soak

# Installs the monitor with all that it needs in a private environment, and its units; as root,
# install/postinst then makes its user and folders. Packages are made by it too: with PURE=1 it
# leaves compiled code to the distribution.
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(SYSCONFDIR)/systemd/system
PURE ?=
LIB = $(PREFIX)/lib/recodex-monitor
CONFIG = $(SYSCONFDIR)/recodex/monitor/config.yml
INTERPRETER = $(shell $(PYTHON) -c 'import sys; print(sys.executable)')

install:
	rm -rf $(DESTDIR)$(LIB)
	$(PYTHON) -m pip install --quiet --no-deps --no-compile --target $(DESTDIR)$(LIB) \
		--root-user-action ignore -r install/requirements-$(if $(PURE),bundled,private-environment).txt
	rm -rf $(DESTDIR)$(LIB)/bin
	find $(DESTDIR)$(LIB) -depth -type d '(' -name test -o -name tests ')' -exec rm -r {} +
	$(if $(PURE),find $(DESTDIR)$(LIB) -name '*.so' -delete)
	# Debian's zope is an ordinary package: only another one can come before it.
	touch $(DESTDIR)$(LIB)/zope/__init__.py
	cp -r recodex_monitor $(DESTDIR)$(LIB)
	find $(DESTDIR)$(LIB) -depth -name __pycache__ -exec rm -r {} +
	$(if $(PURE),,$(PYTHON) -m compileall -q -s '$(DESTDIR)' -p / $(DESTDIR)$(LIB))
	install -d $(DESTDIR)$(PREFIX)/bin
	sed 's|^#!/usr/bin/python3|#!$(INTERPRETER)|' \
		install/recodex-monitor > $(DESTDIR)$(PREFIX)/bin/recodex-monitor
	chmod 755 $(DESTDIR)$(PREFIX)/bin/recodex-monitor
	install -D -m 644 -t $(DESTDIR)$(UNITDIR) install/recodex-monitor.socket
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/etc/recodex|$(SYSCONFDIR)/recodex|' \
		install/recodex-monitor.service > $(DESTDIR)$(UNITDIR)/recodex-monitor.service
	install -D -m 644 install/sysusers.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/recodex-monitor.conf
	install -D -m 644 install/tmpfiles.conf \
		$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/recodex-monitor.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/recodex-monitor \
		install/alerts.yml install/grafana-dashboard.json install/supervisor.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/recodex-monitor/proxy install/proxy/*
	test -e $(DESTDIR)$(CONFIG) || install -D -m 644 install/config.yml $(DESTDIR)$(CONFIG)

# Packages are built in a copy of the tree, and go to dist/. They need the tools of Debian's
# debhelper, dh-python and rpm.
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' recodex_monitor/__init__.py)
SOURCES = LICENSE Makefile NEWS.md README.md docs install recodex_monitor
COPY = build/recodex-monitor-$(VERSION)

deb: copy
	mv $(COPY)/install/debian $(COPY)/debian
	printf '%s\n\n  * See NEWS.md.\n\n -- %s  %s\n' \
		'recodex-monitor ($(VERSION)) unstable; urgency=medium' \
		"$$(sed -n 's/^Maintainer: //p' $(COPY)/debian/control)" "$$(date -R)" \
		> $(COPY)/debian/changelog
	cd $(COPY) && dpkg-buildpackage --build=binary --no-sign
	mkdir -p dist
	mv build/recodex-monitor_$(VERSION)_all.deb dist

rpm: copy
	tar -C build -czf build/recodex-monitor-$(VERSION).tar.gz recodex-monitor-$(VERSION)
	rpmbuild -bb --define 'monitor_version $(VERSION)' --define '_sourcedir $(CURDIR)/build' \
		--define '_topdir $(CURDIR)/build/rpm' install/recodex-monitor.spec
	mkdir -p dist
	mv build/rpm/RPMS/noarch/recodex-monitor-$(VERSION)-1.noarch.rpm dist

# Installs what `make deb rpm` has made into a Debian that it boots: needs root.
packages-test: $(VENV)/ready
	$(BIN)/python -m tests.packages

copy:
	rm -rf $(COPY)
	mkdir -p $(COPY)
	cp -r $(SOURCES) $(COPY)
	find $(COPY) -depth -name __pycache__ -exec rm -r {} +

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache

$(VENV)/ready: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
