"""A file that cannot be read or written is a sentence, and a full disk never leaves half of one."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from schema import command_line, files
from schema.errors import RefusalError


def test_a_private_file_is_its_owners_alone_and_replaces_the_old_one(tmp_path: Path) -> None:
    files.write_private(tmp_path / "key", b"old")
    files.write_private(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_private(tmp_path / "bundle", b"old")

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", lambda *_: Full())
    with pytest.raises(RefusalError, match="No space left") as refused:
        files.write_private(tmp_path / "bundle", b"new")
    assert refused.value.code == "file_unwritable"
    assert (tmp_path / "bundle").read_bytes() == b"old"


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    for attempt in (
        lambda: files.read_given(tmp_path / "none"),
        lambda: files.write_private(tmp_path / "none" / "key", b""),
    ):
        with pytest.raises(RefusalError, match="none"):
            attempt()


def test_what_the_system_refuses_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere")

    monkeypatch.setattr(command_line, "build", lambda: fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "edgetill: /somewhere: Permission denied [system]\n"
