"""The command line: parse, call, print. It holds no logic, and loads the rest only when a command runs."""

from emergecast.cli._app import app, main

__all__ = ["app", "main"]
