// Records the values of the running step: typed, chosen, photographed or signed.

import { atHand, post, upload } from "./api.js";
import { claim } from "./claims.js";
import { askSignature } from "./sign.js";

let unclaim = null;

export function listenToValues(onAnswer) {
  const record = async (field, given) => {
    const { unit, sequence } = atHand();
    const answer = await post(`units/${unit}/operations/${sequence}/values/`, { field, ...given });
    onAnswer(field, answer, `${promptOf(field)} is recorded.`);
    return answer;
  };

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-value]");
    if (!form) return;
    event.preventDefault();
    void recordTyped(form, record);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { field, choice, sign, scanInto } = button.dataset;
    if (choice !== undefined) void record(field, { value: choice });
    if (sign !== undefined) askToSign(field, sign, record);
    if (scanInto) toggleScanInto(button);
  });
  document.addEventListener("change", async (event) => {
    const photo = event.target.closest("input[type=file][data-field]");
    if (!photo?.files.length) return;
    const kept = await upload(photo.files[0]);
    photo.value = "";
    if (!kept.ok) return onAnswer(photo.dataset.field, kept, "");
    await record(photo.dataset.field, { attachment: kept.uid });
  });
}

// The field is emptied once its value is on record; after a refusal it keeps what was typed.
async function recordTyped(form, record) {
  const field = form.elements.value;
  const value = field.value.trim();
  if (!value || form.dataset.busy) return field.focus();
  form.dataset.busy = "yes";
  const answer = await record(form.dataset.value, { value });
  delete form.dataset.busy;
  if (answer.ok) field.value = "";
}

function askToSign(field, prompt, record) {
  const send = ({ badge, pin }) => record(field, { signature: { badge, pin } });
  askSignature({ title: `Sign: ${prompt}`, what: "Scan your badge and type your PIN.", send });
}

// Scans go to the server; only while this is pressed does the next one go into the field.
function toggleScanInto(button) {
  const isPressed = button.getAttribute("aria-pressed") === "true";
  release();
  if (isPressed) return;
  const { id } = button;
  const { scanInto } = button.dataset;
  button.setAttribute("aria-pressed", "true");
  unclaim = claim((raw) => {
    release();
    const field = document.getElementById(scanInto);
    if (!field || !document.getElementById(id)) return false;
    field.value = raw;
    field.focus();
    return true;
  });
}

function release() {
  unclaim?.();
  unclaim = null;
  for (const button of document.querySelectorAll("button[data-scan-into]")) button.setAttribute("aria-pressed", "false");
}

function promptOf(field) {
  const row = document.querySelector(`[data-value="${CSS.escape(field)}"], [data-field="${CSS.escape(field)}"]`);
  return row?.closest("li")?.querySelector("strong")?.textContent ?? field;
}
