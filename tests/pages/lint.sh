#!/usr/bin/env bash
# Checks the pages, their scripts and style sheets as they are in the repository. It needs Java, and
# the packages of Node.js that `make node` installs. The browser tests check what scripts make of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
folders=(recodex_monitor/clients/static recodex_monitor/status/pages recodex_monitor/network/common)
tools=tests/node_modules
files() {
    find "${folders[@]}" -name "*.$1" | sort
}

echo vnu
java -jar $tools/vnu-jar/build/dist/vnu.jar --Werror --also-check-css $(files html) $(files css)
echo html-validate
$tools/.bin/html-validate --config tests/pages/htmlvalidate.json --max-warnings 0 $(files html)
echo stylelint
$tools/.bin/stylelint --config tests/pages/stylelint.json --config-basedir tests --max-warnings 0 \
    $(files css)
echo eslint
$tools/.bin/eslint --config tests/pages/eslint.config.mjs --max-warnings 0 $(files js)
