"""`python -m emergecast` does what the command `emergecast` does."""

from emergecast.cli._app import main

main()
