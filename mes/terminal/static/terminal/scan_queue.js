// Sends scans one after the other, in order, none dropped: each waits here until the server has answered it.

import { newKey, token } from "./api.js";

const STORE = "rackmes.waiting";
const PAUSES_MS = [500, 1000, 2000, 5000];
const SLOW_MS = 1000;
const GIVE_UP_MS = 15000;

export class ScanQueue {
  #address;
  #onAnswer;
  #onWaiting;
  #waiting = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
  #running = false;
  #heldUp = false;

  // onAnswer(item, answer) is called once for each scan; onWaiting(count) when the server lets scans wait.
  constructor({ address, onAnswer, onWaiting }) {
    this.#address = address;
    this.#onAnswer = onAnswer;
    this.#onWaiting = onWaiting;
  }

  get length() {
    return this.#waiting.length;
  }

  add(raw) {
    const item = { key: newKey(), raw, at: new Date().toISOString() };
    this.#waiting.push(item);
    this.#keep();
    if (this.#heldUp) this.#onWaiting(this.length);
    void this.run();
    return item;
  }

  async run() {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length) {
      const item = this.#waiting[0];
      const answer = await this.#deliver(item);
      this.#waiting.shift();
      this.#keep();
      this.#onAnswer(item, answer);
    }
    this.#running = false;
  }

  async #deliver(item) {
    for (let tries = 0; ; tries += 1) {
      const slow = setTimeout(() => this.#holdUp(), SLOW_MS);
      const answer = await send(this.#address, item);
      clearTimeout(slow);
      if (answer) {
        this.#heldUp = false;
        return answer;
      }
      this.#holdUp();
      await pause(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
    }
  }

  #holdUp() {
    if (this.#heldUp) return;
    this.#heldUp = true;
    this.#onWaiting(this.length);
  }

  #keep() {
    sessionStorage.setItem(STORE, JSON.stringify(this.#waiting));
  }
}

// Returns the server's answer, or null when there was none and the same key must be sent again.
async function send(address, { key, raw, at }) {
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key, "X-CSRFToken": token() },
      body: JSON.stringify({ raw, at }),
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    if (response.status >= 500 || [408, 409, 429].includes(response.status)) return null;
    return response.headers.get("Content-Type")?.includes("json") ? await response.json() : unread(response);
  } catch {
    return null;
  }
}

function unread(response) {
  const next = "Type the code by hand, or call the line lead.";
  return { outcome: "refused", title: "Not read", detail: `The server answered ${response.status}.`, next };
}

// Resolves after a time, or as soon as the network is back.
function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    addEventListener("online", resolve, { once: true });
  });
}
