"""What an installed `edgetill` consists of: six packages, their migrations and the sample chain."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.test_source import PACKAGES
from tests.processes import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the source, so that nothing is left beside it; no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    words += ["--wheel-dir", str(folder), str(source)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("edgetill-*.whl")
    return built


def test_the_wheel_holds_the_six_packages_and_all_that_they_read(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert not wanted - held
    assert any(name.startswith("schema/migrations/") and name.endswith(".sql") for name in held)
    assert {name.partition("/")[0] for name in held if ".dist-info/" not in name} == set(PACKAGES)


def test_an_installed_wheel_runs_with_nothing_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import schema; from schema import sample;"
        " from schema.database import read_migrations; assert sample.catalogue();"
        " assert {n.partition('/')[0] for n, _ in read_migrations('replica', 'node', 'hub')}"
        " == {'replica', 'node', 'hub'}; print(schema.__file__)"
    )
    words = [sys.executable, "-I", "-c", program, str(tmp_path / "site")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "site")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours_and_none_of_that_name_from_elsewhere(package: str) -> None:
    found = importlib.import_module(package)
    assert found.__file__ is not None
    assert Path(found.__file__).parent == ROOT / package
