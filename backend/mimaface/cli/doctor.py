"""``mimaface doctor``: prints a table of what is installed and what works."""

from __future__ import annotations

import argparse

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``doctor``."""
    doctor = commands.add_parser("doctor", help="check what is installed and what works")
    doctor.set_defaults(command=_doctor)


def _doctor(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mimaface.doctor import findings

    table = Table("what", "", "state")
    fine = True
    for what, good, words in findings():
        fine &= good is not False
        table.add_row(what, {True: "[green]ok[/]", False: "[red]no[/]", None: "–"}[good], escape(words))
    Console().print(table)
    return 0 if fine else 1
