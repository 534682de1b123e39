"""Signatures of frozen files with the user's own OpenSSH key, by `ssh-keygen -Y`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from emergecast.errors import FrozenError
from emergecast.files import read_whole

NAMESPACE: Final = "emergecast"
"""What a signature is for, as ssh-keygen's option -n has it."""


def signature_of(path: str | os.PathLike[str]) -> Path:
    """Where the signature of a file lies: beside it."""
    return Path(f"{os.fspath(path)}.sig")


def signature(content: bytes, key: str | os.PathLike[str]) -> bytes:
    """The signature of some bytes with a private key, or with a public one whose agent is running.

    Raises:
        FrozenError: there is no such key, or ssh-keygen cannot sign with it, or is not installed.
    """
    if not Path(key).is_file():
        raise FrozenError(
            f'there is no key "{os.fspath(key)}" to sign with. Name a file like ~/.ssh/id_ed25519.'
        )
    done = _keygen("sign", "-f", os.fspath(key), given=content)
    if done.returncode or not done.stdout:
        raise FrozenError(f'"{os.fspath(key)}" does not sign: {_said(done)}')
    return done.stdout


def signer(path: str | os.PathLike[str], content: bytes, signers: str | os.PathLike[str]) -> str:
    """Who signed a file, by its signature beside it.

    Args:
        path: the file, for messages and to find the signature.
        content: what was read from it.
        signers: who may sign, in the form of OpenSSH's allowed signers.

    Raises:
        FrozenError: it has no signature, none of these people signed it, or the signature is of
            another content.
        OSError: the list of signers cannot be read.
    """
    listed = read_whole(signers)
    beside = signature_of(path)
    try:
        signed = read_whole(beside)
    except FileNotFoundError:
        raise FrozenError(
            f'"{os.fspath(path)}" is not signed: there is no "{beside}". Leave --signers out to '
            "score it all the same."
        ) from None
    with tempfile.TemporaryDirectory() as folder:  # what was read is what is checked
        allowed, mark = Path(folder, "signers"), Path(folder, "signature")
        allowed.write_bytes(listed)
        mark.write_bytes(signed)
        files = ("-s", str(mark), "-f", str(allowed))
        found = _keygen("find-principals", *files)
        names = found.stdout.decode("utf-8", "replace").splitlines()
        if found.returncode or not names:
            raise FrozenError(
                f'"{os.fspath(path)}" is not signed by anyone in "{os.fspath(signers)}" '
                f"({_said(found)}). Take the file as it was signed, or add the signer's public key."
            )
        checked = _keygen("verify", *files, "-I", names[0], given=content)
    if checked.returncode:
        raise FrozenError(
            f'the signature "{beside}" is not of what "{os.fspath(path)}" holds '
            f"({_said(checked)}). Take both files as they were written."
        )
    return names[0]


def _keygen(task: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """What `ssh-keygen -Y` does with these words."""
    command = ["ssh-keygen", "-Y", task, *words]
    if task != "find-principals":
        command += ["-n", NAMESPACE]
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise FrozenError(
            "signatures need ssh-keygen, which is not installed. Install OpenSSH 8.2 or later."
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Its last words."""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen ended with status {done.returncode}"
