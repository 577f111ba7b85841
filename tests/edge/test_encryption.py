"""An encrypted node leaves nothing in clear on its disk, opens for its passphrases alone, and survives as others do."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge import encryption
from edge.backup_proof import prove
from edge.backup_target import choose_target
from edge.clock_source import machine_clock
from edge.config import DATABASE_FILE, KEY_FILE, read_key
from edge.doctor import examine
from edge.encrypted_copy import CARRIER_FILE, EncryptedCopier, unpack_carrier
from edge.encryption import (
    PASSPHRASE_FD,
    VAULT_FILE,
    change_passphrase,
    data_key,
    found_vault,
    open_vault,
    read_guarded,
    read_vault,
    write_guarded,
)
from edge.joining import recover_key
from edge.node import Node
from edge.selling import LineRequest, sell
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import OperatorDefined
from tests import processes
from tests.edge.households import Household, opened, until, watched
from tests.edge.shops import WATER, figures, sell_pieces
from tests.edge.test_backup import kept, proven

PASSPHRASE = "correct horse battery staple"
CANARIES = ("KANARIENVOGEL", "金丝雀一号", "6900000000777")


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "DELAY_S", 0.01)


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


@pytest.fixture
def directory(household: Household) -> Path:
    """An encrypted till whose hub is down since."""
    with household.serving() as hub:
        with hub.store.transaction(ORG) as replica:
            hub.own_log.append(replica, ORG, OperatorDefined("o1", CANARIES[0], "cashier", ("A",), b""))
        return household.enrol(hub, "A1", passphrase=PASSPHRASE)


@contextmanager
def descriptor(text: str) -> Iterator[int]:
    """Lend a descriptor that gives a text once."""
    reading, writing = os.pipe()
    try:
        os.write(writing, text.encode())
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def run_with(passphrase: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that is given a passphrase by a descriptor, as a service manager would."""
    with descriptor(passphrase) as number:
        return subprocess.run(
            processes.command(*words), cwd=processes.ROOT, env=processes.environment({PASSPHRASE_FD: str(number)}),
            pass_fds=(number,), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def clear_text_in(folder: Path, words: Sequence[str]) -> list[str]:
    """Return the files of a folder in which one of these words stands, in any encoding that a program might use."""
    needles = [word.encode(code) for word in words for code in ("utf-8", "utf-16-le", "gb18030")]
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            found += [f"{file.relative_to(folder)}: {needle!r}" for needle in needles if needle in content]
    return found


def test_nothing_stands_in_clear_in_any_file_log_or_copy(directory: Path, tmp_path: Path) -> None:
    disk, temporary = tmp_path / "disk", tmp_path / "temporary"
    temporary.mkdir()
    with opened(directory) as node:
        choose_target(node, str(disk))
        seed = read_key(directory).private.private_bytes_raw()
        for _ in range(10):
            sell(
                node, [LineRequest(CANARIES[2], 1000, price_minor=500), LineRequest(WATER, 1000)], operator=CANARIES[1]
            )
        assert clear_text_in(directory, CANARIES) == [], "while it is open, with its log"
        assert examine(node).is_healthy
        assert clear_text_in(directory, CANARIES) == []
        node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert node.connection.execute("SELECT count(*) FROM receipt").fetchone()[0] == 10
    with EncryptedCopier(directory, machine_clock) as copier:
        assert copier.copy() > 0
    write_guarded(directory, "draft", CANARIES[1].encode())
    secrets = (*CANARIES, WATER, "CREATE TABLE", "sqlite_master", "till A1", seed.hex(), PASSPHRASE)
    kept_in_clear = {"node.toml", "node.crt", "copy.db", "copy.db-wal", "copy.db-shm"}
    found = [line for line in clear_text_in(directory, secrets) if line.partition(":")[0] not in kept_in_clear]
    assert found == []
    assert clear_text_in(directory, (*CANARIES, WATER, seed.hex(), PASSPHRASE)) == []
    assert read_guarded(directory, "draft") == CANARIES[1].encode()
    environment = {"TMPDIR": str(temporary), "SQLITE_TMPDIR": str(temporary)}
    log = tmp_path / "program.log"
    for words in (("doctor",), ("query", "select * from receipt order by number desc"), ("stock",)):
        with descriptor(PASSPHRASE) as number, log.open("ab") as output:
            done = subprocess.run(
                ["strace", "-f", "-e", "trace=openat,open,creat", "-o", str(tmp_path / "trace"),
                 *processes.command(*words, "--node", str(directory))],
                cwd=processes.ROOT, env=processes.environment({**environment, PASSPHRASE_FD: str(number)}),
                pass_fds=(number,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output, check=False,
            )  # fmt: skip
        assert done.returncode == 0, log.read_text()
        written = [
            line for line in (tmp_path / "trace").read_text("utf-8", "replace").splitlines()
            if ("O_WRONLY" in line or "O_RDWR" in line) and "ENOENT" not in line
            and str(directory) not in line and "/dev/" not in line and ".pyc" not in line
        ]  # fmt: skip
        assert written == [], "a program that reads an encrypted node writes no file elsewhere"
    assert clear_text_in(temporary, CANARIES) == []
    assert not [word for word in CANARIES if word in log.read_text()]


def test_joining_writes_nothing_in_clear_and_the_recovery_passphrase_opens_it_too(
    directory: Path, household: Household
) -> None:
    assert clear_text_in(directory, (*CANARIES, WATER, "CREATE TABLE")) == []
    assert (directory / KEY_FILE).read_text("ascii").startswith("sealed:")
    vault = read_vault(directory)
    recovery = household.joined["A1"].recovery_passphrase
    assert open_vault(vault, PASSPHRASE) == open_vault(vault, recovery) == data_key(directory)


def test_it_opens_with_its_passphrase_by_descriptor_credential_and_terminal_and_with_no_other(
    directory: Path, tmp_path: Path
) -> None:
    words = ("status", "--node", str(directory))
    right = run_with(PASSPHRASE, *words)
    assert right.returncode == 0, right.stderr
    wrong = run_with("correct horse battery stable", *words)
    assert (wrong.returncode, wrong.stderr) == (
        1, "edgetill: this passphrase does not open the node [passphrase_wrong]\n"
    )  # fmt: skip
    nobody = processes.run(*words)
    assert "[passphrase_needed]" in nobody.stderr
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "edgetill-passphrase").write_text(PASSPHRASE + "\n", "utf-8")
    assert processes.run(*words, CREDENTIALS_DIRECTORY=str(credentials)).returncode == 0

    typed = [b"not this one\n", PASSPHRASE.encode() + b"\n"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(processes.ROOT)
        os.execve(sys.executable, processes.command(*words), processes.environment())
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
        if typed and shown.count(b"passphrase of A1: ") > 2 - len(typed):
            os.write(terminal, typed.pop(0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    assert b"does not open" in shown
    assert PASSPHRASE.encode() not in shown, "what is typed is not shown"


def test_a_wrong_passphrase_costs_time_and_shows_no_traceback(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(encryption, "DELAY_S", 2.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    vault = read_vault(directory)
    for tried in range(3):
        with pytest.raises(RefusalError) as refused:
            open_vault(vault, "wrong", tried=tried)
        assert refused.value.code == "passphrase_wrong"
    assert pauses == [2.0, 4.0, 8.0]


def test_another_passphrase_replaces_the_old_one_and_the_file_stays(directory: Path) -> None:
    with opened(directory) as node:
        number = sell_pieces(node).receipt_number
    change_passphrase(directory, "a quite different sentence")
    encryption.forget_keys()
    assert run_with(PASSPHRASE, "status", "--node", str(directory)).returncode == 1
    assert run_with("a quite different sentence", "status", "--node", str(directory)).returncode == 0
    shown = run_with("a quite different sentence", "query", "select number from receipt", "--node", str(directory))
    assert number in shown.stdout
    with pytest.raises(RefusalError) as refused:
        found_vault(directory, "short", "x")
    assert refused.value.code == "passphrase_weak"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", b'{"version":1}'])
def test_a_damaged_vault_is_a_sentence(directory: Path, damage: bytes) -> None:
    (directory / VAULT_FILE).write_bytes(damage)
    done = run_with(PASSPHRASE, "status", "--node", str(directory))
    assert (done.returncode, "[vault_invalid]" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_a_lost_key_comes_back_sealed(directory: Path, household: Household) -> None:
    (directory / KEY_FILE).unlink()
    recover_key(directory, household.joined["A1"].recovery_passphrase)
    assert (directory / KEY_FILE).read_text("ascii").startswith("sealed:")
    with opened(directory) as node:
        sell_pieces(node)


def test_a_copy_made_while_sales_go_on_is_one_state_and_says_nothing(directory: Path, tmp_path: Path) -> None:
    with opened(directory) as node:
        for _ in range(30):
            sell_pieces(node)
    busy = subprocess.Popen(
        [sys.executable, "-c", SELLER, str(directory)], cwd=processes.ROOT,
        env=processes.environment({encryption.KEY_FD: "0"}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert busy.stdin is not None
    assert busy.stdout is not None
    key = data_key(directory)
    assert key is not None
    busy.stdin.write(key.hex())
    busy.stdin.close()
    try:
        assert busy.stdout.readline() == "selling\n"
        for number in range(12):
            words = ("backup", "copy", "--node", str(directory))
            assert run_with(PASSPHRASE, *words).returncode == 0
            folder = tmp_path / f"copy-{number}"
            folder.mkdir()
            unpack_carrier(directory / CARRIER_FILE, folder / DATABASE_FILE)
            for name in ("node.toml", "node.key", "node.token"):
                (folder / name).write_bytes((directory / name).read_bytes())
            encryption.adopt_key(folder, key)
            with Node(folder, clock=machine_clock) as copy:
                found = examine(copy)
                assert found.is_healthy, found.findings
                assert copy.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                # A page that a checkpoint was writing while it was copied stands whole in the log, and only there;
                # the check of seals reads the file alone.
                assert copy.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(0, 0, 0)]
                assert copy.connection.execute("PRAGMA cipher_integrity_check").fetchall() == []
    finally:
        busy.kill()
        busy.wait(10)


SELLER = """
import sys
from pathlib import Path
from edge.clock_source import machine_clock
from edge.node import Node
from edge.selling import LineRequest, sell
node = Node(Path(sys.argv[1]), clock=machine_clock)
print("selling", flush=True)
while True:
    sell(node, [LineRequest("P0001", 1000), LineRequest("P1003", 2000)])
"""


@pytest.mark.long
def test_an_encrypted_nodes_backup_is_kept_and_proven_and_holds_nothing_in_clear(
    directory: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with opened(directory) as node:
        choose_target(node, str(disk))
    with opened(directory) as node, kept(directory):
        for _ in range(3):
            sell_pieces(node)
        until(lambda: prove(node, machine_clock).is_proven, "the copy is there", 60)
        assert proven(node).entries >= 0
    assert clear_text_in(disk, (*CANARIES, WATER, "receipt")) == []


@pytest.mark.long
def test_encrypted_tills_are_neighbours_like_any_others(household: Household) -> None:
    with household.serving() as hub:
        one = household.enrol(hub, "A1", passphrase=PASSPHRASE)
        other = household.enrol(hub, "A2")
    from edge.lan_copies import lan_copies
    from tests.edge.households import introduce

    introduce([one, other])
    with watched(other), descriptor(PASSPHRASE) as number:
        words = processes.command("sync", "--watch", "--node", str(one))
        environment = processes.environment({PASSPHRASE_FD: str(number)})
        running = subprocess.Popen(
            words, cwd=processes.ROOT, env=environment, pass_fds=(number,), stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with opened(one) as here, opened(other) as there:
                sell_pieces(here)
                until(lambda: lan_copies(here).copied == 1, "the sale is on the other till")
                assert figures(there) == figures(here)
        finally:
            running.terminate()
            assert running.wait(20) == 0
