"""`python -m emergecast` does what the command `emergecast` does."""

from emergecast.cli import main

main()
