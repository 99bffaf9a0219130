"""A report as PDF: what is printed, and the process that typesets it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TYPESET = Path(__file__).with_name("typeset.py")
TIMEOUT_SECONDS = 100

# What the fonts at hand can show: Latin, Greek, Cyrillic, punctuation, currencies, arrows, mathematics and
# boxes. One other character and PDF/A would refuse the whole report. Marks that turn the direction of text or
# are invisible are left out on purpose: what is printed must read as it is recorded.
UNSHOWN = re.compile(
    "[^\t\n -~\u00a0-\u00ac\u00ae-\u036f\u0370-\u0377\u0384-\u038a\u038c\u038e-\u03a1\u03a3-\u04ff"
    "\u2010-\u2027\u2030-\u2040\u2070\u2071\u2074-\u208e\u20a0-\u20bf\u2190-\u23ff\u2500-\u25ff]"
)


class PdfFailed(RuntimeError):  # noqa: N818 - names what happened
    """The report could not be typeset; the text says why."""


def render_pdf(text: bytes, *, digest: str) -> bytes:
    """Return a report, given as its canonical JSON, as a PDF/A-2b; ``digest`` is the SHA-256 of that JSON.

    Raises PdfFailed, or ``subprocess.TimeoutExpired`` after 100 s.
    """
    shown = json.dumps(printable(json.loads(text))).encode()
    command = [sys.executable, "-P", str(TYPESET), digest]
    done = subprocess.run(command, input=shown, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise PdfFailed(done.stderr.decode(errors="replace") or f"ended with code {done.returncode}")
    return done.stdout


def printable(value: Any) -> Any:
    """Return JSON data as it is printed: decimals as text, and what the fonts lack by code, e.g. [U+4E2D]."""
    if isinstance(value, str):
        return UNSHOWN.sub(lambda match: f"[U+{ord(match[0]):04X}]", value)
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, dict):
        return {name: printable(item) for name, item in value.items()}
    return value
