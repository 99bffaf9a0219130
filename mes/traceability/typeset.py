"""Typeset one report: its JSON on standard input, the PDF/A-2b on standard output.

Run as a process of its own by ``pdf``: Typst keeps in memory what it has typeset, about 160 MB a report, and
a worker must not grow by that with each. Fonts are those that Typst carries; the machine's own are ignored,
so that a report looks the same wherever it is made.
"""

import sys
from pathlib import Path

import typst

TEMPLATE = Path(__file__).parent / "templates" / "traceability" / "report.typ"


def typeset(report: str, digest: str) -> bytes:
    """Return the PDF of a report. Its JSON reaches the template as data: none of it is taken for markup."""
    return typst.compile(
        TEMPLATE,
        sys_inputs={"report": report, "digest": digest},
        ignore_system_fonts=True,
        pdf_standards="a-2b",
    )


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(typeset(sys.stdin.buffer.read().decode(), sys.argv[1]))
    except typst.TypstError as error:
        sys.exit(f"{error.message}\n{error.diagnostic}")
