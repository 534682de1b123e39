"""Frozen files signed with a key of one's own, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.track_record import forging
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import FrozenError
from emergecast.track_record import FrozenForecast, read_frozen, signature_of

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen, which signs, is not installed"
)


def key(folder: Path, name: str) -> Path:
    """A new key without a passphrase."""
    made = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)]
    subprocess.run(command, check=True)
    return made


def allowed(folder: Path, *keys: Path) -> Path:
    """A list of who may sign."""
    file = folder / "signers"
    lines = [f"{each.name}@example.org {each.with_suffix('.pub').read_text()}" for each in keys]
    file.write_text("".join(lines), "utf-8")
    return file


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A frozen file with the signature of `mine`."""
    frozen = FrozenForecast(content=json.loads(forging.FILE.read_text("utf-8")))
    frozen.write(tmp_path / "f.json", sign=key(tmp_path, "mine"))
    return tmp_path / "f.json"


def test_a_signature_names_who_signed(signed: Path, tmp_path: Path):
    """For emergecast, and for OpenSSH alone; without a list nobody is named."""
    signers = allowed(tmp_path, key(tmp_path, "other"), tmp_path / "mine")
    assert read_frozen(signed, signers=signers).signed_by == "mine@example.org"
    assert read_frozen(signed).signed_by is None
    words = ("-n", "emergecast", "-I", "mine@example.org", "-f", signers)
    with signed.open("rb") as content:
        command = ["ssh-keygen", "-Y", "verify", *map(str, words), "-s", str(signature_of(signed))]
        subprocess.run(command, stdin=content, check=True, capture_output=True)


def test_what_is_not_signed_by_these_people_is_refused(signed: Path, tmp_path: Path):
    """Another's, another content's, or none."""
    mine = allowed(tmp_path, tmp_path / "mine")
    other = tmp_path / "others"
    shutil.copy(allowed(tmp_path, key(tmp_path, "other")), other)
    allowed(tmp_path, tmp_path / "mine")
    with pytest.raises(FrozenError, match="is not signed by anyone in"):
        read_frozen(signed, signers=other)
    with signed.open("a", encoding="utf-8") as file:
        file.write("\n")  # the same content, and another file
    read_frozen(signed)
    with pytest.raises(FrozenError, match="is not of what"):
        read_frozen(signed, signers=mine)
    signature_of(signed).write_text("hello", "utf-8")
    with pytest.raises(FrozenError, match="is not signed by anyone"):
        read_frozen(signed, signers=mine)
    signature_of(signed).unlink()
    with pytest.raises(FrozenError, match=r"is not signed: there is no .*\.sig"):
        read_frozen(signed, signers=mine)


def test_a_key_that_cannot_sign_writes_nothing(tmp_path: Path):
    """Neither the file nor a signature."""
    frozen = FrozenForecast(content=json.loads(forging.FILE.read_text("utf-8")))
    for name, text in (("absent", None), ("broken", "hello")):
        if text is not None:
            (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(FrozenError, match=name):
            frozen.write(tmp_path / "f.json", sign=tmp_path / name)
        assert not (tmp_path / "f.json").exists()


def test_score_says_who_signed(signed: Path, tmp_path: Path):
    """In words and as JSON; an unsigned one ends in bad input."""
    words = ["score", str(signed), "--truth", "2.2", "--signers"]
    signers = str(allowed(tmp_path, tmp_path / "mine"))
    assert "Signed by mine@example.org" in CliRunner().invoke(app, [*words, signers]).stdout
    found = json.loads(CliRunner().invoke(app, [*words, signers, "--json"]).stdout)
    assert found["scores"][0]["signed_by"] == "mine@example.org"
    signature_of(signed).unlink()
    assert CliRunner().invoke(app, [*words, signers]).exit_code == 2
