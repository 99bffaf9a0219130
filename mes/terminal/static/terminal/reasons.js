// Acts on the unit at hand that need a reason: the cooling loop or power path was opened, a step is skipped,
// a rule is released.

import { atHand, post } from "./api.js";
import { onOpen, onSubmit, refusalOf, say } from "./dialogs.js";
import { askSignature } from "./sign.js";

export function listenToOpened(onAnswer) {
  const [dialog, form] = dialogOf("opened");
  const list = document.getElementById("opened-answer");
  onOpen(dialog.id, () => {
    form.reset();
    list.replaceChildren();
  });
  onSubmit(form, async () => {
    const { kind, slot, reason } = form.elements;
    if (!kind.value) return say(dialog, "✕ Choose what was opened.");
    if (!reason.value.trim()) return sayMissing(dialog, reason);
    say(dialog, "");
    const given = { kind: kind.value, reason: reason.value.trim(), ...(slot.value && { slot: slot.value }) };
    const answer = await post(`units/${atHand().unit}/breaks/`, given);
    if (!answer.ok) return say(dialog, refusalOf(answer));
    form.reset();
    list.replaceChildren(...repeatsOf(answer));
    onAnswer(given.kind, { ...answer, title: "Opened" }, inWords(answer));
  });
}

export function listenToSkips(onAnswer) {
  const [dialog, form] = dialogOf("skip");
  onOpen(dialog.id, () => form.reset());
  onSubmit(form, async () => {
    const { reason } = form.elements;
    if (!reason.value.trim()) return sayMissing(dialog, reason);
    const { unit, sequence } = atHand();
    const answer = await post(`units/${unit}/operations/${sequence}/skip/`, { reason: reason.value.trim() });
    if (!answer.ok) return say(dialog, refusalOf(answer));
    onAnswer("", { ...answer, title: "Skipped" }, `${answer.name} is left out.`);
    dialog.close();
  });
}

export function listenToReleases(onAnswer) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-release]");
    if (!button) return;
    const { release, detail } = button.dataset;
    const { unit, sequence } = atHand();
    const send = async ({ badge, pin, reason }) => {
      const given = { operation: Number(sequence), reason, signature: { badge, pin } };
      const answer = await post(`units/${unit}/gates/${release}/release/`, given);
      if (answer.ok) onAnswer("", { ...answer, title: "Released" }, `By ${answer.released_by}: ${answer.reason}`);
      return answer;
    };
    askSignature({ title: "Release a rule", what: detail, wantsReason: true, send });
  });
}

function dialogOf(name) {
  return [document.getElementById(`${name}-dialog`), document.getElementById(`${name}-form`)];
}

function sayMissing(dialog, field) {
  say(dialog, "✕ Say why.");
  field.focus();
}

function inWords({ repeat }) {
  const names = repeat.map(({ sequence, name }) => `${sequence} ${name}`);
  return names.length ? `To be repeated: ${names.join(", ")}.` : "Nothing has to be repeated.";
}

function repeatsOf(answer) {
  const said = document.createElement("p");
  said.textContent = answer.repeat.length ? "✓ Recorded. To be repeated:" : "✓ Recorded. Nothing has to be repeated.";
  const list = document.createElement("ul");
  for (const { sequence, name, because } of answer.repeat) {
    const item = document.createElement("li");
    item.textContent = `${sequence} ${name}, because of ${because.join(", ")}`;
    list.append(item);
  }
  return answer.repeat.length ? [said, list] : [said];
}
