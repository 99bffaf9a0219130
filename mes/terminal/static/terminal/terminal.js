// Wires the operator's page together.

import { atHand, post } from "./api.js";
import { Band } from "./band.js";
import { isClaimed } from "./claims.js";
import { runClock } from "./clock.js";
import { listenToDialogs } from "./dialogs.js";
import { LivePage } from "./live.js";
import { listenToProblems, openProblem } from "./problem.js";
import { listenToOpened, listenToReleases, listenToSkips } from "./reasons.js";
import { Recent } from "./recent.js";
import { ScanBus } from "./scan_bus.js";
import { ScanQueue } from "./scan_queue.js";
import { askSignature, listenToSignatures } from "./sign.js";
import { play, unlockSound } from "./sound.js";
import { listenToValues } from "./values.js";

const SCANS = "scans/";
const PROBLEM = "CMD:PROBLEM";

const band = new Band();
const recent = new Recent();
const queue = new ScanQueue({ address: document.body.dataset.api + SCANS, onAnswer, onWaiting });
const live = new LivePage({ address: document.body.dataset.state, countWaiting: () => queue.length });

function onAnswer(item, answer) {
  recent.settle(item, answer);
  band.showAnswer(item.raw, answer);
  play(answer.sound ?? "refuse");
  void live.refresh();
  if (answer.code === "pin_required") askPin(item.raw, answer.detail);
}

// The same badge again, with its PIN: not by the queue, which keeps what it sends.
function askPin(raw, what) {
  const send = async ({ pin }) => {
    const { ok, ...answer } = await post(SCANS, { raw, pin, at: new Date().toISOString() });
    const item = { key: crypto.getRandomValues(new Uint32Array(2)).join("-"), raw };
    recent.add(item);
    onAnswer(item, answer);
    return { ...answer, ok };
  };
  askSignature({ title: "Type your PIN", what, wantsBadge: false, send });
}

// What a button, a field or a dialog did.
function onAct(code, { ok, ...answer }, detail) {
  const told = ok ? { outcome: "accepted", title: answer.title ?? "Recorded", detail } : { ...answer, outcome: "refused" };
  band.showAnswer(code, told);
  play(ok ? "accept" : "refuse");
  void live.refresh();
}

function reportProblem() {
  if (atHand().unit) return openProblem();
  const refused = { ok: false, title: "No unit", detail: "No unit is being worked on here.", next: "Scan the unit first." };
  onAct(PROBLEM, refused);
}

function onWaiting(count) {
  band.showWaiting(count);
  play("queued");
  void live.refresh();
}

function scan(raw) {
  if (raw === PROBLEM) return reportProblem();
  recent.add(queue.add(raw));
}

function hear(raw) {
  if (!isClaimed(raw)) scan(raw);
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

document.addEventListener("keydown", (event) => {
  if (event.key !== "F4" || event.repeat || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  reportProblem();
});

new ScanBus(hear).listen(document);
listenToDialogs(() => void live.renew());
listenToSignatures();
listenToValues(onAct);
listenToProblems(onAct);
listenToOpened(onAct);
listenToSkips(onAct);
listenToReleases(onAct);
runClock(document.getElementById("clock"));
live.start();
band.showReady();
void queue.run();
