// Hears a scanner that types like a keyboard, wherever the focus is, and leaves what a person types alone.

// A scanner types a key every few ms, a person hardly below 80. The average decides, for on a busy machine
// single keys of one scan come late; a pause of BREAK_MS or more between the times of two keys begins anew.
const FAST_MS = 35;
const BREAK_MS = 250;
// A scan without an end is whole when no key came for this long. It is far above BREAK_MS, because keys with
// the right times may still be on their way to the page.
const SILENCE_MS = 1500;
// For so long after a scan an Enter or Tab still belongs to it: one that came late, or the second of CR LF.
const AFTER_MS = 500;
const FEWEST_GAPS = 2;
// GS, RS and EOT as keyboard wedges type them, with Ctrl held.
const CONTROLS = new Map([["]", "\x1d"], ["^", "\x1e"], ["d", "\x04"], ["D", "\x04"]]);
const ENDS = new Set(["Enter", "Tab"]);
const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock"]);
const NO_TEXT = new Set(["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"]);

export class ScanBus {
  #onScan;
  #text = "";
  #times = [];
  #field = null;
  #endedAt = -Infinity;
  #timer = 0;

  constructor(onScan) {
    this.#onScan = onScan;
  }

  listen(target) {
    target.addEventListener("keydown", (event) => this.#hear(event), { capture: true });
  }

  #hear(event) {
    if (MODIFIERS.has(event.key)) return;
    if (this.#times.length && event.timeStamp - this.#times.at(-1) >= BREAK_MS) this.#flush();
    if (ENDS.has(event.key) && !event.repeat) return this.#end(event);
    const character = event.repeat || event.isComposing ? null : characterOf(event);
    if (character !== null) return this.#take(character, event);
    if (this.#flush()) event.preventDefault();
  }

  #take(character, event) {
    if (!this.#times.length) this.#field = snapshot(document.activeElement);
    this.#text += character;
    this.#times.push(event.timeStamp);
    // A person's keys keep their effect; a scanner's press no button, scroll nothing, open no bookmark.
    if (this.#isFast(1) && (event.ctrlKey || !this.#field)) event.preventDefault();
    clearTimeout(this.#timer);
    // What is no scan yet stays: the times of the next key say whether it goes on.
    this.#timer = setTimeout(() => this.#isFast() && this.#flush(), SILENCE_MS);
  }

  #end(event) {
    if (this.#times.length) this.#times.push(event.timeStamp);
    if (!this.#flush() && event.timeStamp - this.#endedAt >= AFTER_MS) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Returns whether the keys so far were a scan, and hands it on.
  #flush() {
    const text = this.#text;
    const scanned = this.#isFast();
    if (scanned) {
      this.#field?.restore();
      this.#endedAt = this.#times.at(-1);
    }
    this.#forget();
    if (scanned) this.#onScan(text);
    return scanned;
  }

  #isFast(fewestGaps = FEWEST_GAPS) {
    const gaps = this.#times.length - 1;
    return gaps >= fewestGaps && (this.#times.at(-1) - this.#times[0]) / gaps <= FAST_MS;
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#text = "";
    this.#times = [];
    this.#field = null;
  }
}

function characterOf(event) {
  if (event.ctrlKey && !event.altKey && !event.metaKey) return CONTROLS.get(event.key) ?? null;
  const typed = event.key?.length === 1 && !event.metaKey;
  return typed && (!event.altKey || event.getModifierState("AltGraph")) ? event.key : null;
}

// What a field held before the first character, to take a scan back out of it.
function snapshot(element) {
  if (element instanceof HTMLSelectElement) return snapshotOfChoice(element);
  const isField = element instanceof HTMLTextAreaElement
    || (element instanceof HTMLInputElement && !NO_TEXT.has(element.type));
  if (!isField) return null;
  const { value, selectionStart, selectionEnd } = element;
  return {
    restore() {
      element.value = value;
      element.setSelectionRange(selectionStart, selectionEnd);
    },
  };
}

// A list jumps to the entry that begins with what is typed.
function snapshotOfChoice(element) {
  const { selectedIndex } = element;
  return {
    restore() {
      element.selectedIndex = selectedIndex;
    },
  };
}
