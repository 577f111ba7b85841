"""Nodes' directories for faults: made once in a process and copied for each, the room that they reserve shared."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from edge.clock_source import machine_clock
from edge.config import DATABASE_FILE
from edge.disk_space import RESERVE_FILE
from edge.node import Node
from tests.edge.shops import Shops


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder that is gone afterwards; `TMPDIR` says where."""
    with tempfile.TemporaryDirectory(prefix="edgetill-faults-") as folder:
        yield Path(folder)


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="edgetill-faults-")


def kept_folder() -> Path:
    """Return a folder that is gone when this process ends, for what is made once in it."""
    return Path(_kept().name)


@cache
def _shops() -> Path:
    folder = kept_folder() / "shops"
    shops = Shops(folder)
    for name in ("A1", "A2"):
        shops.make_node(name, is_durable=True)
    shops.close()
    for name in ("A1", "A2"):
        with open_node(folder / name) as node:  # it is on the machine's clock from here on
            fold_log_in(node)
    return folder


def fresh_till(name: str = "A1") -> Path:
    """Return the directory of one of two tills of shop A that have not sold yet; copy it."""
    return _shops() / name


def open_node(directory: Path) -> Node:
    """Open a node as its programs do."""
    return Node(directory, clock=machine_clock)


def fold_log_in(node: Node) -> None:
    """Bring all that stands in the write-ahead log into the file."""
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def copy_node(source: Path, target: Path) -> Path:
    """Copy a node's directory as a fault left it; what it reserves is one file for both."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.name == RESERVE_FILE:
            _share(file, target / file.name)
        elif file.is_file():
            shutil.copyfile(file, target / file.name)
    return target


def _share(file: Path, other: Path) -> None:
    try:
        os.link(file, other)
    except OSError:  # on another disk
        shutil.copyfile(file, other)


@contextmanager
def copied(source: Path, target: Path) -> Iterator[Node]:
    """Open a copy of a directory; the directory itself stays as the fault left it."""
    copy_node(source, target)
    try:
        with open_node(target) as node:
            yield node
    finally:
        shutil.rmtree(target)


def database(directory: Path) -> Path:
    """Name a node's file."""
    return directory / DATABASE_FILE
