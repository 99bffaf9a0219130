// The page of a burn-in: it renews itself, and its acts are sent with their reason.
import { post } from "./api.js";
import { refusalOf } from "./dialogs.js";
import { keepRenewing, renew } from "./renew.js";

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-run]");
  if (!form) return;
  event.preventDefault();
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  await act(form, event.submitter.dataset);
  delete form.dataset.busy;
});

async function act(form, { act: name, keepStress }) {
  const given = { reason: form.elements.reason?.value };
  if (keepStress) given.keep_stress = keepStress === "yes";
  const answer = await post(`burn-in-runs/${form.dataset.run}/${name}/`, given);
  form.querySelector(".said").textContent = answer.ok ? "" : refusalOf(answer);
  if (!answer.ok) return;
  form.reset();
  document.activeElement.blur();
  await renew();
}

if (document.querySelector("#live")) keepRenewing();
