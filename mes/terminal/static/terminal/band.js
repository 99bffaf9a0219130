// The feedback band: what happened, which code, what to do next.

const KINDS = {
  accepted: { icon: "✓", word: "Accepted", look: "accepted" },
  needs_more: { icon: "→", word: "Go on", look: "accepted" },
  not_yet: { icon: "○", word: "Not yet", look: "neutral" },
  duplicate: { icon: "=", word: "Twice", look: "neutral" },
  refused: { icon: "✕", word: "Refused", look: "refused" },
  waiting: { icon: "…", word: "Waiting", look: "neutral" },
  ready: { icon: "●", word: "Ready", look: "neutral" },
};

export class Band {
  #band = document.getElementById("band");
  #understood = document.getElementById("understood");

  constructor() {
    this.#understood.addEventListener("click", () => this.showReady());
  }

  showReady() {
    this.#show("ready", { what: "Scan at any time; no field needs to be chosen." });
  }

  showAnswer(raw, answer) {
    const outcome = outcomeOf(answer);
    // A refusal stays until the next good scan; a code that merely came twice is none.
    if (outcome === "duplicate" && this.#isRefused()) return;
    const next = ["refused", "not_yet"].includes(outcome) ? answer.next : "";
    this.#show(outcome, { what: `${answer.title}. ${answer.detail}`, next, code: raw });
  }

  showWaiting(count) {
    this.#show("waiting", { what: `Saved on this terminal, ${count} waiting.`, next: "Go on; it is sent by itself." });
  }

  #isRefused() {
    return this.#band.dataset.kind === "refused";
  }

  #show(kind, { what, next = "", code = "" }) {
    const { icon, word, look } = KINDS[kind];
    const refused = look === "refused";
    this.#band.dataset.kind = look;
    this.#understood.hidden = !refused;
    for (const [name, text] of Object.entries({ icon, word, what, next, code: readable(code) })) {
      this.#band.querySelector(`[data-band="${name}"]`).textContent = text;
    }
  }
}

// Understood, but a rule holds what the scan was for.
export function outcomeOf({ outcome = "refused", code }) {
  return outcome === "needs_more" && code ? "not_yet" : outcome;
}

export function wordOf(outcome) {
  return KINDS[outcome];
}

// Shows the separators of a 2D code as the pictures Unicode has for them.
export function readable(code) {
  return code.replace(/[\x00-\x1f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)));
}
