"""Lets `python -m autods` be the command line."""

from autods.cli import main

main()
