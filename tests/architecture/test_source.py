"""What the source promises beyond its behaviour: who may import whom, what is written down, what must not be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from schema.command_line import build
from tests.processes import ROOT, environment

PACKAGES: Final = ("schema", "sync", "edge", "hub", "drivers", "pos_tui")
MACHINE_PATH: Final = re.compile(r"(?<![\w.])/(?:work|home|root|Users|opt|mnt|srv)/\w|\b[A-Z]:\\\\?Users\b")
INDEX: Final = re.compile(r"pypi\.|pythonhosted|(?:extra-)?index[-]url|find[-]links|/simple/|--hash=", re.IGNORECASE)
LOCK: Final = re.compile(r"(?:^|/)(?:[\w.-]*\.lock|package-lock\.json|pnpm-lock\.yaml|pip\.conf)$")


def kept_files() -> list[Path]:
    """Return the files of the repository: what git keeps, or all but what is built where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = (*PACKAGES, "tests")
    return [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file() and "__" not in path.stem
    ]


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return
    yield from enumerate(text.splitlines(), 1)


@pytest.mark.parametrize("forbidden", [MACHINE_PATH, INDEX], ids=["a machine's path", "a package index"])
def test_no_file_holds(forbidden: re.Pattern[str]) -> None:
    here = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in kept_files()
        if path != here
        for number, line in lines_of(path)
        if forbidden.search(line)
    ]
    assert not found, "\n".join(found)


def test_dependencies_are_pinned_in_a_file_without_addresses_and_in_no_lock_file() -> None:
    assert not [path for path in kept_files() if LOCK.search(path.relative_to(ROOT).as_posix())]
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line) for line in pins if line)


def test_imports_point_the_way_that_the_contracts_say() -> None:
    words = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as l; l()", "--no-cache"]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Walk a command with all that is below it."""
    yield name, command
    for word, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {word}")


def test_every_command_and_each_of_its_options_has_help() -> None:
    silent = []
    for name, command in commands(typer.main.get_command(build()), "edgetill"):
        if not (command.help or "").strip():
            silent.append(name)
        silent += [f"{name}: {one.name}" for one in command.params if not getattr(one, "help", "")]
    assert not silent


def public_names(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Return the public functions and classes of a module, and the public methods of its public classes."""
    for one in ast.parse(path.read_text("utf-8")).body:
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or one.name.startswith("_"):
            continue
        yield one.name, one
        bases = {ast.unparse(base).partition("[")[0] for base in one.bases} if isinstance(one, ast.ClassDef) else set()
        if isinstance(one, ast.ClassDef) and not bases - {"msgspec.Struct", "NamedTuple", "StrEnum"}:
            for method in one.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
                    yield f"{one.name}.{method.name}", method


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_every_module_says_what_it_owns() -> None:
    assert not [str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]


def test_every_public_function_says_what_it_does() -> None:
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        for name, found in public_names(path)
        if not ast.get_docstring(found)
    ]
    assert not silent, "\n".join(silent)
