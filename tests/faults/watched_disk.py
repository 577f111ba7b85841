"""The disk under SQLite, watched: each write, cut, sync and deletion of a file is seen, and may be made to fail.

SQLite reaches the disk through a table of functions, its VFS. Here the driver's own library is asked for that table,
and the few functions that change anything are replaced by ones that ask an observer first: so the product runs as it
is, on the SQLite build that it ships with. The wal-index (`-shm`) is memory that no crash keeps; it is left alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import sqlcipher3

OK: Final = 0
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, FULL = 10 | 3 << 8, 10 | 4 << 8, 10 | 6 << 8, 13


class Observer(Protocol):
    """Is asked before anything happens to a file; what it answers other than OK is what SQLite is told instead."""

    def opened(self, file: str) -> None:
        """A file was opened, or made."""

    def write(self, file: str, offset: int, content: bytes) -> int: ...
    def truncate(self, file: str, size: int) -> int: ...
    def sync(self, file: str) -> int: ...
    def delete(self, file: str) -> int: ...


_P = ctypes.c_void_p
_OF_FILE: Final = (
    "xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xCheckReservedLock",
    "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap",
    "xFetch", "xUnfetch",
)  # fmt: skip


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", ctypes.c_int), *((name, _P) for name in _OF_FILE)]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int), ("szOsFile", ctypes.c_int), ("mxPathname", ctypes.c_int), ("next", _P),
        ("name", ctypes.c_char_p), ("data", _P), ("xOpen", _P), ("xDelete", _P),
    ]  # fmt: skip


# A name is handed on as the pointer that it is: SQLite keeps it for as long as the file is open.
_Open: Any = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.POINTER(_File), ctypes.c_int, ctypes.POINTER(ctypes.c_int))
_Delete: Any = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_int)
_Write: Any = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_int, ctypes.c_int64)
_Truncate: Any = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int64)
_Sync: Any = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int)


class _Watch:
    """The replaced functions; they live as long as a file that was opened through them may."""

    def __init__(self) -> None:
        module = next(Path(sqlcipher3.__file__).parent.glob("_sqlite3*.so"))
        library = ctypes.CDLL(str(module))
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self.vfs = library.sqlite3_vfs_find(None).contents
        self.observer: Observer | None = None
        self.folder = ""
        self.names: dict[int, str] = {}
        self.tables: dict[int, _Methods] = {}
        self.really: dict[int, tuple[Any, Any, Any]] = {}
        self.really_open = _Open(self.vfs.xOpen)
        self.really_delete = _Delete(self.vfs.xDelete)
        self.kept = (
            _Open(self.open), _Delete(self.delete), _Write(self.write), _Truncate(self.truncate), _Sync(self.sync)
        )  # fmt: skip

    def install(self) -> None:
        self.vfs.xOpen = ctypes.cast(self.kept[0], _P)
        self.vfs.xDelete = ctypes.cast(self.kept[1], _P)

    def uninstall(self) -> None:
        self.vfs.xOpen = ctypes.cast(self.really_open, _P)
        self.vfs.xDelete = ctypes.cast(self.really_delete, _P)

    def _name(self, path: int | None) -> str | None:
        name = ctypes.string_at(path).decode() if path else ""
        return Path(name).name if name.startswith(self.folder) else None

    def open(self, vfs: Any, path: int | None, file: Any, flags: int, out: Any) -> int:
        code = int(self.really_open(vfs, path, file, flags, out))
        name = self._name(path)
        if code == OK and file.contents.methods and name is not None and self.observer is not None:
            place = ctypes.addressof(file.contents)
            original = ctypes.addressof(file.contents.methods.contents)
            if original not in self.tables:
                methods = file.contents.methods.contents
                copy = _Methods.from_buffer_copy(methods)
                self.really[original] = (_Write(methods.xWrite), _Truncate(methods.xTruncate), _Sync(methods.xSync))
                copy.xWrite, copy.xTruncate, copy.xSync = (ctypes.cast(one, _P) for one in self.kept[2:])
                self.tables[original] = copy
                self.really[ctypes.addressof(copy)] = self.really[original]
            self.names[place] = name
            file.contents.methods = ctypes.pointer(self.tables[original])
            self.observer.opened(name)
        return code

    def _of(self, file: int) -> tuple[Any, Any, Any]:
        methods = ctypes.cast(file, ctypes.POINTER(_File)).contents.methods
        return self.really[ctypes.addressof(methods.contents)]

    def delete(self, vfs: Any, path: int | None, with_folder: int) -> int:
        name = self._name(path)
        if self.observer is not None and name is not None and (code := self.observer.delete(name)):
            return code
        return int(self.really_delete(vfs, path, with_folder))

    def write(self, file: int, content: int, size: int, offset: int) -> int:
        if self.observer is not None and (
            code := self.observer.write(self.names[file], offset, ctypes.string_at(content, size))
        ):
            return code
        return int(self._of(file)[0](file, content, size, offset))

    def truncate(self, file: int, size: int) -> int:
        if self.observer is not None and (code := self.observer.truncate(self.names[file], size)):
            return code
        return int(self._of(file)[1](file, size))

    def sync(self, file: int, flags: int) -> int:
        if self.observer is not None and (code := self.observer.sync(self.names[file])):
            return code
        return int(self._of(file)[2](file, flags))


_watches: list[_Watch] = []


@contextmanager
def watched(folder: Path, observer: Observer) -> Iterator[None]:
    """Let an observer see what SQLite does to files of a folder that are opened in the block; one at a time."""
    if not _watches:
        _watches.append(_Watch())
    watch = _watches[0]
    assert watch.observer is None
    watch.observer, watch.folder = observer, str(folder)
    watch.install()
    try:
        yield
    finally:
        watch.uninstall()
        watch.observer = None
