// Renews the parts of a page that ask for it; when it cannot, the page says so.
const EVERY_MS = 10_000;
const GIVE_UP_MS = 30_000;

let underWay = false;

export function keepRenewing() {
  setInterval(async () => {
    if (underWay) return;
    underWay = true;
    await renew();
    underWay = false;
  }, EVERY_MS);
}

export async function renew() {
  try {
    const fresh = await load();
    for (const part of document.querySelectorAll("[data-renew]")) {
      const next = fresh.getElementById(part.id);
      if (next && !isInUse(part)) replace(part, next);
    }
  } catch {
    document.querySelector("#live").textContent = "✕ Not live";
  }
}

async function load() {
  const answer = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(GIVE_UP_MS) });
  if (!answer.ok) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// What somebody types or chooses stays until it is sent.
function isInUse(part) {
  const typed = [...part.querySelectorAll("input:not([type=hidden])")].some((field) => field.value);
  return typed || (part.contains(document.activeElement) && document.activeElement.matches("input, select"));
}

// What is opened, scrolled to and focused stays so.
function replace(part, next) {
  const focused = document.activeElement.id;
  for (const old of part.querySelectorAll("[id]")) {
    const same = next.querySelector(`#${CSS.escape(old.id)}`);
    if (same && old.open) same.open = true;
  }
  const scrolled = [...part.querySelectorAll(".wide[id]")].map((wide) => [wide.id, wide.scrollLeft]);
  part.replaceWith(next);
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  if (focused && document.activeElement.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
