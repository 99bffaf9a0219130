// Talks to the server: each write has a key of its own, so that one whose answer was lost counts once.

const PAUSES_MS = [500, 1500];
const GIVE_UP_MS = 15000;
const API = document.body.dataset.api;

// Sends an act of a dialog or a field; returns the answer with `ok`, or one that says that none came.
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return deliver(path, { headers, body: JSON.stringify(body) });
}

export async function upload(file) {
  const body = new FormData();
  body.append("file", file, file.name || "photo.jpg");
  return deliver("attachments/", { headers: {}, body });
}

async function deliver(path, { headers, body }) {
  const all = { ...headers, "Idempotency-Key": newKey(), "X-CSRFToken": token() };
  for (let tries = 0; ; tries += 1) {
    const answer = await ask(path, { method: "POST", headers: all, body });
    if (answer) return answer;
    if (tries >= PAUSES_MS.length) return silent();
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[tries]));
  }
}

// Returns null when there was no answer, and the same key must be sent again.
async function ask(path, request) {
  try {
    const response = await fetch(API + path, { ...request, signal: AbortSignal.timeout(GIVE_UP_MS) });
    if (response.status >= 500 || [408, 409, 429].includes(response.status)) return null;
    const isJson = response.headers.get("Content-Type")?.includes("json");
    const answer = isJson ? await response.json() : { title: "Not read", detail: `The server answered ${response.status}.` };
    return { ...answer, detail: detailOf(answer), ok: response.ok };
  } catch {
    return null;
  }
}

// Bad input names the fields that are wrong.
function detailOf({ detail, fields }) {
  const named = Object.entries(fields ?? {}).map(([name, words]) => `${name}: ${[words].flat().join(" ")}`);
  return named.length ? `${detail} ${named.join(" ")}` : detail;
}

function silent() {
  const next = "Wait until the footer says Live, then do it again.";
  return { ok: false, title: "No answer", detail: "The server does not answer. Nothing may have been saved.", next };
}

export function token() {
  return document.cookie.split("; ").find((part) => part.startsWith("csrftoken="))?.slice("csrftoken=".length) ?? "";
}

// crypto.randomUUID exists only on HTTPS and localhost; a floor network may have neither.
export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The unit and the step at hand, as the page was drawn last.
export function atHand() {
  return document.querySelector("[data-cursor]").dataset;
}
