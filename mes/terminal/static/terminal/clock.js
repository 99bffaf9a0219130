// The server's clock, in the server's time zone; the terminal's own clock only counts on from it.

export function runClock(element) {
  const ahead = Date.parse(element.dataset.now) - performance.timeOrigin - performance.now();
  const format = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: element.dataset.timeZone });
  const tick = () => {
    element.textContent = format.format(performance.timeOrigin + performance.now() + ahead);
  };
  tick();
  setInterval(tick, 1000);
}
