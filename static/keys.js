// The keyboard: j and k move, Enter opens (the browser does that), ? helps, a and r go to a button but never press it.

const help = document.getElementById("keys");

function rows() {
  return [...document.querySelectorAll("#queue li > a, .rows li > a")].filter((row) => row.checkVisibility());
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  let at = all.indexOf(document.activeElement);
  if (at < 0) {
    at = all.findIndex((row) => row.hasAttribute("aria-current"));
    if (at < 0) at = step > 0 ? -1 : all.length;
  }
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function choose(verdict) {
  document.querySelector(`#decide button[value="${verdict}"]:enabled`)?.focus();
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  a: () => choose("approve"),
  r: () => choose("reject"),
  "?": () => help?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help?.open) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
