// Wires the operator's page together.

import { Band } from "./band.js";
import { runClock } from "./clock.js";
import { LivePage } from "./live.js";
import { Recent } from "./recent.js";
import { ScanBus } from "./scan_bus.js";
import { ScanQueue } from "./scan_queue.js";
import { play, unlockSound } from "./sound.js";

const band = new Band();
const recent = new Recent();
const queue = new ScanQueue({ address: document.body.dataset.scans, onAnswer, onWaiting });
const live = new LivePage({ address: document.body.dataset.state, countWaiting: () => queue.length });

function onAnswer(item, answer) {
  recent.settle(item, answer);
  band.showAnswer(item.raw, answer);
  play(answer.sound ?? "refuse");
  void live.refresh();
}

function onWaiting(count) {
  band.showWaiting(count);
  play("queued");
  void live.refresh();
}

function scan(raw) {
  recent.add(queue.add(raw));
}

document.addEventListener("keydown", unlockSound, { capture: true });
document.addEventListener("pointerdown", unlockSound, { capture: true });
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-code]");
  if (button) scan(button.dataset.code);
});
document.getElementById("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = event.target.elements.code;
  const code = field.value.trim();
  field.value = "";
  if (code) scan(code);
});

new ScanBus(scan).listen(document);
runClock(document.getElementById("clock"));
live.start();
band.showReady();
void queue.run();
