"""The command line: parse, call, print. No logic; the rest is loaded when a command runs."""

from emergecast.cli._app import app, main

__all__ = ["app", "main"]
