"""The embedded broker: kombu's filesystem transport, with messages that appear and vanish whole.

kombu writes a message under its final name, so that a worker can read it half-written and die of it, and
moves it to the system's temporary folder, which on another file system is a copy that two workers can make.
"""

import json
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """Reads and writes messages by renaming within one folder."""

    @property
    def folder(self) -> Path:
        """Return where messages wait."""
        return Path(self.data_folder_in)

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020}_{uuid.uuid4().hex}.{queue}"
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(payload))
        part.rename(self.folder / f"{name}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        suffix = f".{queue}.msg"
        for path in sorted(path for path in self.folder.iterdir() if path.name.endswith(suffix)):
            taken = path.with_suffix(".taken")
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue
            text = taken.read_text()
            taken.unlink()
            return json.loads(text)
        raise Empty


class Transport(filesystem.Transport):
    """The transport behind `embedded://`."""

    Channel = Channel
