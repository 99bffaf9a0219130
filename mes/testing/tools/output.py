"""What the readers of tools share: text and JSON within limits, and a result as they conclude it."""

import json
import re
from collections.abc import Iterable
from typing import Any

from mes.testing.models import TestRun
from mes.testing.services import Result

DEEPEST = 64
NAMED = 5

Body = dict[str, Any]
Outcome = TestRun.Outcome

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MPI_PREFIX = re.compile(r"^\[\d+,\d+\]<std(?:out|err)>:[ ]?", re.MULTILINE)


class UnreadableOutput(ValueError):  # noqa: N818 - named for what the caller was sent
    """This is no output of the tool, or one too damaged to be read at all."""


def decode_output(content: bytes) -> str:
    """Return what a tool printed as printable text, without colours; raises UnreadableOutput."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableOutput(f"byte {error.start} is no UTF-8 text") from error
    if not text.strip():
        raise UnreadableOutput("the output is empty")
    text = _ANSI.sub("", text)
    odd = {each for each in set(text) if not (each.isprintable() or each in "\t\n\r\f")}
    return text.translate(dict.fromkeys(map(ord, odd), "\N{REPLACEMENT CHARACTER}"))


def find_json(text: str) -> tuple[str, Body]:
    """Return the JSON object of an output and the lines a tool printed before it; raises UnreadableOutput.

    The object begins its line; nothing may follow it.
    """
    found = re.search(r"^[ \t]*\{", text, re.MULTILINE)
    if found is None:
        raise UnreadableOutput("it holds no JSON object")
    begin = found.end() - 1
    try:
        data = json.loads(text[begin:])
    except ValueError as error:
        raise UnreadableOutput(f"its JSON is cut or damaged: {error}") from error
    except RecursionError as error:
        raise UnreadableOutput("its JSON is nested too deep") from error
    require_shallow(data)
    return text[:begin], data


def require_shallow(data: Any) -> None:
    """Raise UnreadableOutput for what is nested deeper than any tool nests."""
    level = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise UnreadableOutput("it is nested too deep")


def without_mpi_prefix(text: str) -> str:
    """Return the lines that mpirun --tag-output prefixed, as the tool printed them."""
    return _MPI_PREFIX.sub("", text)


def conclude(
    tool: str,
    *,
    failures: Iterable[str] = (),
    faults: Iterable[str] = (),
    notes: Iterable[str] = (),
    **more: Any,
) -> Result:
    """Return a result: FAIL for a failure, else RETEST for a fault of the set-up, else PASS.

    ``faults`` are why the tool did not do all it was to do; ``notes`` change nothing. Each is a sentence.
    """
    failed, faulty = list(failures), list(faults)
    outcome = Outcome.FAIL if failed else Outcome.RETEST if faulty else Outcome.PASS
    status = TestRun.Status.ERROR if outcome == Outcome.RETEST else TestRun.Status.COMPLETE
    return Result(
        procedure=tool,
        outcome=outcome,
        status=status,
        format=TestRun.Format.TOOL,
        reasons=[*shortened(failed), *shortened(faulty), *shortened(notes)],
        **more,
    )


def shortened(sentences: Iterable[str]) -> list[str]:
    """Return the first few different sentences, each cut to a readable length, and how many more."""
    unique = list(dict.fromkeys(sentence.strip()[:300] for sentence in sentences))
    more = [f"And {len(unique) - NAMED} more."] if len(unique) > NAMED else []
    return unique[:NAMED] + more


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, nothing as an empty one, and anything else as a list of it."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def objects(value: Any) -> list[Body]:
    """Return the objects of a list; jsoncpp fills left-out places with null."""
    return [each for each in as_list(value) if isinstance(each, dict)]


def texts(value: Any) -> list[str]:
    """Return the texts of a list."""
    return [each for each in as_list(value) if isinstance(each, str) and each.strip()]
