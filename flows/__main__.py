"""`python -m flows` is the `everfit` command."""

from flows.cli import main

main()
