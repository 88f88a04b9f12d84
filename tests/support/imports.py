"""Which packages of the monitor import which: ``python -m tests.support.imports`` prints it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import recodex_monitor

ROOT = Path(recodex_monitor.__file__).parent


def imported(file: Path, *, at_once: bool = False) -> Iterator[str]:
    """The full names of all that a file imports.

    Args:
        file: the module.
        at_once: leave out what it imports later, inside of functions and conditions.
    """
    tree = ast.parse(file.read_bytes())
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(file)}


def files() -> Iterator[tuple[str, Path]]:
    """Each file of the monitor, with its package; a module at the top is a package of its own."""
    for file in sorted(ROOT.rglob("*.py")):
        inner = file.relative_to(ROOT)
        yield inner.parts[0].removesuffix(".py"), file


def modules(file: Path) -> set[tuple[str, str]]:
    """The package and the module of all that a file imports from the monitor."""
    names = [name.split(".") for name in imported(file)]
    ours = [name for name in names if name[0] == "recodex_monitor" and name[1] != "__version__"]
    return {(name[1], name[2] if len(name) > 2 else "") for name in ours}


def arrows() -> dict[str, set[str]]:
    """Each package with the others that it imports."""
    found: dict[str, set[str]] = {}
    for package, file in files():
        found.setdefault(package, set()).update(one for one, _ in modules(file))
    return {package: others - {package} for package, others in found.items()}


def main() -> None:
    """Print a line for each package, those that import nothing first."""
    rest = arrows()
    count = sum(map(len, rest.values()))
    print(f"{len(rest)} packages, {count} arrows")
    done: set[str] = set()
    while rest:
        free = [package for package in rest if rest[package] <= done] or list(rest)
        for package in sorted(free):
            print(f"{package:12} -> {', '.join(sorted(rest.pop(package))) or '-'}")
        done.update(free)


if __name__ == "__main__":
    main()
