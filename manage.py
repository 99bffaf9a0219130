#!/usr/bin/env python
"""Command line of the project."""

import os
import sys


def main() -> None:
    """Run a management command; `demo` needs no configuration at all."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["demo"]:
        os.environ.setdefault("MES_DEMO", "1")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
