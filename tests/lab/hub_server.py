"""A hub on this machine: the few answers that huggingface_hub asks for, of folders.

A child process is pointed at it by HF_ENDPOINT; nothing of huggingface_hub is replaced.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gz")


@dataclass(slots=True, kw_only=True)
class HubServer:
    """What the hub holds, and what was asked of it."""

    repositories: dict[str, dict[str, Path]]
    """Folders by repository and revision; names of data sets begin with "datasets/"."""
    gated: frozenset[str] = frozenset()
    """Repositories that nobody may read."""
    asked: list[str] = field(default_factory=list)
    """Paths of requests for files, in order."""
    address: str = ""

    def environment(self, home: Path) -> dict[str, str]:
        """What points a child process at this hub, with an empty or a used cache."""
        return {"HF_HOME": str(home), "HF_ENDPOINT": self.address, "HF_HUB_OFFLINE": "0"}

    def folder(self, repository: str, revision: str) -> Path | None:
        """The folder of a revision, or of its commit."""
        for name, folder in self.repositories.get(repository, {}).items():
            if revision in {name, commit_of(repository, name)}:
                return folder
        return None


def commit_of(repository: str, revision: str) -> str:
    """Forty hexadecimal digits."""
    return hashlib.sha1(f"{repository} {revision}".encode()).hexdigest()  # noqa: S324  as git


def described(folder: Path) -> list[dict[str, Any]]:
    """The files of a folder, large ones with their SHA-256."""
    found = []
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        content, name = file.read_bytes(), str(file.relative_to(folder))
        entry: dict[str, Any] = {"path": name, "rfilename": name, "size": len(content)}
        entry |= {"type": "file", "oid": hashlib.sha1(content).hexdigest()}  # noqa: S324  as git
        if name.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(content)}
            entry["lfs"]["pointerSize"] = 100
        found.append(entry)
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        """Answer."""
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]), parts[4:])
            return
        names = 3 if parts[0] == "datasets" else 2
        self._file("/".join(parts[:names]), parts[names + 1], "/".join(parts[names + 2 :]))

    do_HEAD = do_GET  # noqa: N815  the name it is called by

    def do_POST(self) -> None:
        """Describe the files that are asked for by name, and no others."""
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        folder = self.hub.folder("/".join(parts[1:4]), parts[5])
        if folder is None:
            self._send(404, {"error": "gone"}, error="RepoNotFound")
            return
        found = described(folder)
        self._send(200, [each for each in found if each["path"] in asked["paths"]])

    def _describe(self, repository: str, rest: list[str]) -> None:
        revisions = self.hub.repositories.get(repository)
        if repository in self.hub.gated:
            self._send(403, {"error": "gated"}, error="GatedRepo")
        elif revisions is None:
            self._send(404, {"error": "gone"}, error="RepoNotFound")
        elif rest[:1] == ["refs"]:
            names = [
                {"name": each, "ref": f"refs/heads/{each}", "targetCommit": "0" * 40}
                for each in revisions
            ]
            self._send(200, {"branches": names, "tags": [], "converts": []})
        else:
            self._describe_revision(repository, rest)

    def _describe_revision(self, repository: str, rest: list[str]) -> None:
        folder = self.hub.folder(repository, rest[1] if len(rest) > 1 else "main")
        if folder is None:
            self._send(404, {"error": "gone"}, error="RevisionNotFound")
        elif rest[:1] == ["tree"]:
            self._send(200, described(folder))
        else:
            revisions = self.hub.repositories[repository]
            name = next(each for each, place in revisions.items() if place == folder)
            about = {"id": repository, "sha": commit_of(repository, name)}
            self._send(200, about | {"siblings": described(folder)})

    def _file(self, repository: str, revision: str, name: str) -> None:
        folder = self.hub.folder(repository, revision)
        if folder is None or not (folder / name).is_file():
            self._send(404, {"error": "gone"}, error="EntryNotFound")
            return
        if self.command == "GET":
            self.hub.asked.append(f"{repository}/{name}")
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self._send(200, content, commit=revision, etag=f'"{digest}"')

    def _send(self, status: int, body: Any, **about: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        names = {"error": "X-Error-Code", "commit": "X-Repo-Commit", "etag": "ETag"}
        for key, value in about.items():
            self.send_header(names[key], value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    """The hub answers as long as this is open."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        http.shutdown()
        http.server_close()
