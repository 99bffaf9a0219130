// The wall renews itself; when it cannot, it says since when it is old.
const EVERY_MS = 10_000;

async function renew() {
  const answer = await fetch(location.href, { redirect: "error" });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["main", "footer"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
}

setInterval(() => renew().catch(() => { document.querySelector("#live").textContent = "✕ Not live"; }), EVERY_MS);
