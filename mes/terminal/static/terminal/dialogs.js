// Opens and closes the page's dialogs; the browser keeps the focus in them and closes them with Esc.

const openers = new Map();

// `prepare` runs before the dialog of this id is shown.
export function onOpen(id, prepare) {
  openers.set(id, prepare);
}

export function open(id) {
  const dialog = document.getElementById(id);
  if (dialog.open) return;
  say(dialog, "");
  openers.get(id)?.(dialog);
  dialog.showModal();
}

// Shows a refusal in a dialog; an empty text takes it away.
export function say(dialog, text) {
  dialog.querySelector(".said").textContent = text;
}

export function refusalOf({ title, detail, next }) {
  return `✕ ${[`${title}.`, detail, next].filter(Boolean).join(" ")}`;
}

// Runs `act` on submit, once at a time, with the form's buttons resting meanwhile.
export function onSubmit(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.busy) return;
    form.dataset.busy = "yes";
    try {
      await act(form);
    } finally {
      delete form.dataset.busy;
    }
  });
}

export function listenToDialogs(onClosed) {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("button[data-open]");
    if (opener) open(opener.dataset.open);
    event.target.closest("button[data-close]")?.closest("dialog").close();
  });
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", onClosed);
}
