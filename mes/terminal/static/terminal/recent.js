// The last five scans of this terminal, kept over a reload.

import { outcomeOf, readable, wordOf } from "./band.js";

const STORE = "rackmes.recent";
const SHOWN = 5;

export class Recent {
  #list = document.getElementById("scans");
  #scans = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");

  constructor() {
    this.#draw();
  }

  add({ key, raw }) {
    this.#scans = [{ key, raw, outcome: "waiting", detail: "" }, ...this.#scans].slice(0, SHOWN);
    this.#draw();
  }

  settle({ key }, answer) {
    const scan = this.#scans.find((candidate) => candidate.key === key);
    if (scan) Object.assign(scan, { outcome: outcomeOf(answer), detail: answer.detail });
    this.#draw();
  }

  #draw() {
    sessionStorage.setItem(STORE, JSON.stringify(this.#scans));
    if (this.#scans.length) this.#list.replaceChildren(...this.#scans.map(row));
  }
}

function row({ raw, outcome, detail }) {
  const { icon, word } = wordOf(outcome);
  const item = document.createElement("li");
  item.dataset.kind = outcome;
  for (const [tag, text] of [["b", `${icon} ${word}`], ["code", readable(raw)], ["span", detail]]) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    item.append(cell);
  }
  return item;
}
