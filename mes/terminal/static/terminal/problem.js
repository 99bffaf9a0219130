// Reports what is wrong with the unit at hand, which holds it at once.

import { atHand, post, upload } from "./api.js";
import { onOpen, onSubmit, open, refusalOf, say } from "./dialogs.js";

const ID = "problem-dialog";
const dialog = document.getElementById(ID);
const photo = document.getElementById("problem-photo");
const shown = document.getElementById("problem-photos");

export function openProblem() {
  open(ID);
}

export function listenToProblems(onAnswer) {
  const form = document.getElementById("problem-form");
  onOpen(ID, () => {
    form.reset();
    showOther(form);
    shown.textContent = "";
  });
  form.addEventListener("change", () => showOther(form));
  photo.addEventListener("change", () => {
    shown.textContent = photo.files.length ? `✓ ${photo.files.length} taken` : "";
  });
  onSubmit(form, async () => {
    const symptom = symptomOf(form);
    if (!symptom) return say(dialog, "✕ Choose what is wrong, or say it in a word or two.");
    say(dialog, "");
    const answer = await report(form, symptom);
    if (!answer.ok) return say(dialog, refusalOf(answer));
    onAnswer(answer.number, { ...answer, title: answer.number }, wordsOf(answer));
    dialog.close();
    scrollTo({ top: 0 }); // to the banner that says so
  });
}

async function report(form, symptom) {
  const { unit } = atHand();
  const pictures = [];
  for (const file of photo.files) {
    const kept = await upload(file);
    if (!kept.ok) return kept;
    pictures.push(kept.uid);
  }
  const { description, location } = form.elements;
  const said = { description: description.value.trim(), location: location.value };
  return post("nonconformances/", { unit, symptom, ...said, source: "terminal", pictures });
}

function symptomOf(form) {
  const chosen = form.elements.symptom.value;
  return chosen === "other" ? form.elements.other.value.trim() : chosen;
}

function showOther(form) {
  document.getElementById("problem-other-row").hidden = form.elements.symptom.value !== "other";
}

function wordsOf({ serial, number }) {
  return `${serial} is on hold by ${number}. Put it on the hold shelf; the review board decides about it.`;
}
