"""Writes the man pages and the shells' completions: ``manuals.py FOLDER [SYSCONFDIR]``.

The command's come from its parser, those of the settings from the schema and the tables of
docs/settings.md. ``install/install.sh`` runs it when a package is built, with what
requirements-manuals.txt names.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage
from docutils.core import publish_string

from recodex_monitor import __version__
from recodex_monitor.cli import make_parser
from recodex_monitor.settings.environment import keys, variable

COMPLETIONS = {
    "bash": "bash-completion/completions/recodex-monitor",
    "zsh": "zsh/site-functions/_recodex-monitor",
    "fish": "fish/vendor_completions.d/recodex-monitor.fish",
}
"""Where each shell looks for them, below share/."""

SETTINGS = Path(__file__).parents[1] / "docs/settings.md"
_ROW = re.compile(r"^\| `([^`]+)` \|([^|]*)\|([^|]*)\|([^|]*)\| (.*) \|$", re.M)
_NAME = "recodex-monitor"


def command_page() -> str:
    """recodex-monitor(1)."""
    parser = make_parser()
    data = {
        "project_name": "ReCodEx monitor",
        "version": __version__,
        "manual_section": "1",
        "manual_title": "ReCodEx",
        "description": "show the progress of ReCodEx jobs in browsers",
    }
    page = str(Manpage(parser, _data=data, format="single-commands-section"))
    return f"{page}\n.SH SEE ALSO\n.BR {_NAME}.yml (5)\n"


def settings_page(sysconfdir: str) -> str:
    """recodex-monitor.yml(5)."""
    title = f"{_NAME}.yml"
    head = f"{'=' * len(title)}\n{title}\n{'=' * len(title)}\n"
    about = "settings of the ReCodEx monitor"
    fields = f":Manual section: 5\n:Manual group: ReCodEx\n:Version: {__version__}\n"
    line = "-" * len(about)
    source = "\n".join([head, line, about, line, "", fields, *_body(sysconfdir)])
    made = publish_string(source, writer="manpage", settings_overrides={"report_level": 2})
    return str(made.decode() if isinstance(made, bytes) else made)


def _body(sysconfdir: str) -> Iterator[str]:
    yield "\nDESCRIPTION\n===========\n"
    yield f"The file {sysconfdir}/recodex/monitor/config.yml is YAML. Every key may be left out."
    yield "A mistake keeps the monitor from starting; ``recodex-monitor check`` finds it.\n"
    yield "Each key can also be given by a variable of the environment, which wins over the file."
    yield "Times are in seconds, sizes in bytes.\n"
    yield "KEYS\n====\n"
    rows = {key: rest for key, *rest in _ROW.findall(SETTINGS.read_text())}
    for key in sorted(keys(), key=lambda key: ("." in key, key)):
        default, values, reload, text = rows[key.removeprefix("limits.")]
        yield f"``{key}``"
        yield f"    {_rest(text)}\n"
        if default.strip():
            yield f"    Default: {_rest(default.strip())}.\n"
        yield f"    Values: {_rest(values.strip())}. Applied by a reload: {reload.strip()}.\n"
        yield f"    Variable: ``{variable(key)}``\n"
    yield "SEE ALSO\n========\n"
    yield f"**{_NAME}**\\ (1), the page on settings in the documentation.\n"


def _rest(markdown: str) -> str:
    """Markdown of a table's cell as reStructuredText."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    parts = text.split("`")
    plain = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts[::2]]
    code = [f"\\ ``{part}``\\ " for part in parts[1::2]]
    return "".join(one for pair in zip(plain, [*code, ""], strict=True) for one in pair)


def write(folder: Path, sysconfdir: str) -> None:
    """Write all of them below a folder, such as /usr/share."""
    pages = {
        f"man/man1/{_NAME}.1": command_page(),
        f"man/man5/{_NAME}.yml.5": settings_page(sysconfdir),
    }
    shells = {name: shtab.complete(make_parser(), shell) for shell, name in COMPLETIONS.items()}
    for name, text in (pages | shells).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    # argparse fits the texts to the terminal.
    os.environ["COLUMNS"] = "80"
    write(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "/etc")
