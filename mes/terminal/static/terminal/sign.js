// Asks for a PIN, with a badge and a reason where they are wanted. The PIN leaves this page only in the act it
// is for: it is in no list, no storage, and no field once it was sent.

import { claim } from "./claims.js";
import { onSubmit, open, refusalOf, say } from "./dialogs.js";

const dialog = document.getElementById("sign-dialog");
const [badge, pin, reason] = ["sign-badge", "sign-pin", "sign-reason"].map((id) => document.getElementById(id));
let asked = null;
let unclaim = () => {};

// `send({badge, pin, reason})` is called on Confirm; the dialog closes when its answer is ok.
export function askSignature({ title, what, wantsBadge = true, wantsReason = false, send }) {
  if (dialog.open) dialog.close();
  forget();
  asked = { wantsBadge, wantsReason, send };
  document.getElementById("sign-title").textContent = title;
  document.getElementById("sign-what").textContent = what;
  document.getElementById("sign-badge-row").hidden = !wantsBadge;
  document.getElementById("sign-reason-row").hidden = !wantsReason;
  unclaim();
  unclaim = claim(take);
  open(dialog.id);
  (wantsReason ? reason : wantsBadge ? badge : pin).focus();
}

// A badge asked for takes the scan. Without one, another scan is another matter: it ends the question.
function take(raw) {
  if (!asked.wantsBadge) {
    dialog.close();
    return false;
  }
  badge.value = raw;
  pin.focus();
  return true;
}

function forget() {
  for (const field of [badge, pin, reason]) field.value = "";
}

function missing() {
  if (asked.wantsReason && !reason.value.trim()) return [reason, "Say why."];
  if (asked.wantsBadge && !badge.value.trim()) return [badge, "Scan your badge."];
  return pin.value ? null : [pin, "Type your PIN."];
}

async function confirm() {
  const [field, text] = missing() ?? [];
  if (field) {
    say(dialog, `✕ ${text}`);
    return field.focus();
  }
  const given = { badge: badge.value.trim(), pin: pin.value, reason: reason.value.trim() };
  pin.value = "";
  say(dialog, "");
  const question = asked;
  const answer = await question.send(given);
  if (asked !== question) return;
  if (answer.ok) return dialog.close();
  say(dialog, refusalOf(answer));
  pin.focus();
}

function press(key) {
  pin.value = key === "back" ? pin.value.slice(0, -1) : (pin.value + key).slice(0, pin.maxLength);
}

export function listenToSignatures() {
  onSubmit(document.getElementById("sign-form"), confirm);
  dialog.addEventListener("click", (event) => {
    const key = event.target.closest("button[data-digit]");
    if (key) press(key.dataset.digit);
  });
  pin.addEventListener("input", () => {
    pin.value = pin.value.replace(/\D/g, "");
  });
  dialog.addEventListener("close", () => {
    if (dialog.open) return;
    unclaim();
    forget();
    asked = null;
  });
}
