"""Keys as a scanner or a person presses them: through the browser's own input, with times of our choice."""

import time

from playwright.sync_api import Page

SCANNER_GAP, PERSON_GAP = 0.002, 0.120  # seconds between two keys
CONTROL, SHIFT = 2, 8
# What a wedge types for GS, RS and EOT, and for its ends: key, code, Windows key code, modifiers.
SPECIAL = {
    "\x1d": ("]", "BracketRight", 221, CONTROL),
    "\x1e": ("^", "Digit6", 54, CONTROL | SHIFT),
    "\x04": ("d", "KeyD", 68, CONTROL),
    "\n": ("Enter", "Enter", 13, 0),
    "\t": ("Tab", "Tab", 9, 0),
    " ": (" ", "Space", 32, 0),
}
TYPED = {"\n": "\r", "\t": "", " ": " "}


class Keyboard:
    """A keyboard or a wedge scanner plugged into the browser of a page."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.last = 0.0

    def scan(
        self,
        text: str,
        *,
        end: str = "\n",
        late: dict[int, float] | None = None,
        stalled: dict[int, float] | None = None,
    ) -> None:
        """Press the keys of a scan; ``late`` are further seconds before the keys at some places.

        ``stalled`` are seconds that keys take longer on their way to the page than their times say.
        """
        self._press(text + end, SCANNER_GAP, late or {}, stalled or {})

    def rest(self, seconds: float) -> None:
        """Let the clock of the keys go on before the next one."""
        self.last += seconds

    def type(self, text: str) -> None:
        """Press keys as a person does."""
        self._press(text, PERSON_GAP, {}, {})

    def _press(self, text: str, gap: float, late: dict[int, float], stalled: dict[int, float]) -> None:
        at = max(time.time(), self.last + 0.3)
        for place, character in enumerate(text):
            at += gap + late.get(place, 0)
            time.sleep(stalled.get(place, 0))
            self._key(character, at)
        self.last = at

    def _key(self, character: str, at: float) -> None:
        key, code, number, modifiers = SPECIAL.get(character, (character, "", 0, 0))
        text = TYPED.get(character, character if character not in SPECIAL else "")
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        kind = "keyDown" if text else "rawKeyDown"
        self.session.send("Input.dispatchKeyEvent", {**event, "type": kind, "text": text, "timestamp": at})
        self.session.send("Input.dispatchKeyEvent", {**event, "type": "keyUp", "timestamp": at + 0.001})
