// Keeps relative times true: by the minute, in the last minute by the second. Nothing here decides anything.

const units = [[86400, "days"], [3600, "h"], [60, "min"], [1, "s"]];

function span(seconds) {
  if (seconds >= 172800) return `${Math.floor(seconds / 86400)} days`;
  const [size, name] = units.slice(1).find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${name}`;
}

function words(element, ahead) {
  if (ahead >= 1) return `in ${span(ahead)}`;
  if ("countdown" in element.dataset) return "any moment";
  return ahead > -5 ? "just now" : `${span(-ahead)} ago`;
}

const exactLocal = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});

// The reader's own clock may be wrong: time passed since the page was made is added to the page's own time.
const [made] = performance.getEntriesByType("navigation");
const served = Date.parse(document.body.dataset.now ?? "");
const since = made ? made.responseStart : 0;
function now() {
  return Number.isNaN(served) ? Date.now() : served + performance.now() - since;
}

export function tick() {
  let lastMinute = false;
  for (const element of document.querySelectorAll("time[data-tick], time[data-countdown]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) continue;
    const ahead = (at - now()) / 1000;
    const text = words(element, ahead);
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.zoned) {
      element.dataset.zoned = "yes";
      element.title = `${exactLocal.format(at)} (${element.title})`;
    }
    if ("countdown" in element.dataset && ahead > -1 && ahead < 61) lastMinute = true;
  }
  setTimeout(tick, lastMinute ? 1000 : 10_000);
}

tick();
