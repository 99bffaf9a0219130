// Keeps the page true: fetches its live parts after each answer and every 5 s, and shows whether it is live.

const POLL_MS = 5000;
const GIVE_UP_MS = 10000;

export class LivePage {
  #address;
  #countWaiting;
  #fetching = null;
  #stale = false;

  constructor({ address, countWaiting }) {
    this.#address = address;
    this.#countWaiting = countWaiting;
  }

  start() {
    setInterval(() => this.refresh(), POLL_MS);
  }

  // A call while one is under way fetches once more after it, for what came meanwhile.
  refresh() {
    this.#stale = true;
    this.#fetching ??= this.#fetchWhileStale();
    return this.#fetching;
  }

  // Fetches every part anew, also those that a dialog kept as they were.
  renew() {
    document.querySelector("[data-cursor]").dataset.cursor = "";
    return this.refresh();
  }

  #showLive(isLive) {
    const waiting = this.#countWaiting();
    const live = document.getElementById("live");
    live.dataset.live = isLive ? "yes" : "no";
    live.textContent = isLive ? "● Live" : `○ Offline${waiting ? `, ${waiting} waiting` : ""}`;
  }

  async #fetchWhileStale() {
    while (this.#stale) {
      this.#stale = false;
      await this.#fetchOnce();
    }
    this.#fetching = null;
  }

  async #fetchOnce() {
    const cursor = document.querySelector("[data-cursor]").dataset.cursor;
    try {
      const response = await fetch(`${this.#address}?cursor=${encodeURIComponent(cursor)}`, {
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      if (response.status === 403) return location.reload();
      if (response.status === 200) swap(await response.text());
      this.#showLive(response.ok);
    } catch {
      this.#showLive(false);
    }
  }
}

function swap(html) {
  const focused = document.activeElement?.id;
  const fragment = new DOMParser().parseFromString(html, "text/html");
  for (const part of fragment.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${part.dataset.part}"]`);
    if (old.closest("dialog[open]")) continue;
    keepUnsent(old, part);
    old.replaceWith(part);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// What a person is typing, or has opened or pressed, outlives the drawing of the part it is in.
function keepUnsent(old, part) {
  for (const field of old.querySelectorAll("input[id]")) {
    if (field.value !== field.defaultValue || field === document.activeElement) twinOf(field, part)?.replaceWith(field);
  }
  for (const details of old.querySelectorAll("details[id]")) {
    const twin = twinOf(details, part);
    if (twin) twin.open = details.open;
  }
  for (const button of old.querySelectorAll("button[data-scan-into][aria-pressed=true]")) {
    twinOf(button, part)?.setAttribute("aria-pressed", "true");
  }
}

function twinOf(element, part) {
  return part.querySelector(`[id="${CSS.escape(element.id)}"]`);
}
