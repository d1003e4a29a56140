// Live updates. The socket only notifies; what is shown is always fetched from the server again.
// Nothing under the pointer or a finger moves: an update that would waits until they have left.
// A fetch that fails is tried again with the next message, or when the connection is back.

const connection = document.getElementById("connection");
const policy = globalThis.trustedTypes?.createPolicy("placet", { createHTML: (html) => html });

let signedOut = false;

async function fetchPart(path, selector) {
  const response = await fetch(path, { credentials: "same-origin", redirect: "manual", headers: { accept: "text/html" } });
  if (response.type === "opaqueredirect" || response.status === 401) sayGoodbye();
  if (!response.ok) return null;
  const html = await response.text();
  // Same-origin pages of ours, in which the server has escaped everything that came from outside.
  const page = new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
  return page.querySelector(selector);
}

// ---- the queue

const seenKey = "placet-seen";
const seen = new Set(JSON.parse(sessionStorage.getItem(seenKey) ?? "[]"));

function remember(...ids) {
  ids.forEach((id) => seen.add(id));
  sessionStorage.setItem(seenKey, JSON.stringify([...seen].slice(-500)));
}

function idsIn(list) {
  return [...list.querySelectorAll("li[data-call]")].map((row) => row.dataset.call);
}

// What would look different, the minutes that pass aside.
function gist(list) {
  return [...list.querySelectorAll("li[data-call]")].map((row) => row.dataset.call + row.querySelector(".meta").textContent).join();
}

function markNew(list, open) {
  for (const row of list.querySelectorAll("li[data-call]")) {
    if (!seen.has(row.dataset.call) && row.dataset.call !== open) row.dataset.new = "";
  }
}

let waiting = null;
let fingers = 0;
const hovers = matchMedia("(hover: hover)");

function touched(element) {
  // An open dialog will give the focus back to where it was.
  if (document.querySelector("dialog[open]")) return true;
  return fingers > 0 || (hovers.matches && element.matches(":hover")) || element.contains(document.activeElement);
}

function lifted(event) {
  if (event.pointerType === "mouse") return;
  fingers = Math.max(0, fingers - 1);
  applySoon();
}

addEventListener("pointerdown", (event) => { if (event.pointerType !== "mouse") fingers += 1; });
addEventListener("pointerup", lifted);
addEventListener("pointercancel", lifted);

function applySoon() {
  setTimeout(() => {
    if (waiting && !touched(document.getElementById("queue"))) showQueue(waiting);
  }, 300);
}

function showQueue(list) {
  const old = document.getElementById("queue");
  const scrolled = old.scrollTop;
  old.replaceWith(list);
  list.scrollTop = scrolled;
  waiting = null;
  watchQueue(list);
}

function watchQueue(list) {
  list.addEventListener("pointerleave", applySoon);
  list.addEventListener("focusout", applySoon);
}

async function refreshQueue() {
  const old = document.getElementById("queue");
  if (!old) return;
  const open = document.getElementById("call")?.dataset.call ?? "";
  const query = new URLSearchParams(location.pathname === "/" ? location.search : "");
  if (open) query.set("selected", open);
  const list = await fetchPart(`/partials/queue?${query}`, "#queue");
  const current = document.getElementById("queue");
  if (!list || !current) return;
  markNew(list, open);
  if (!touched(current)) return showQueue(list);
  waiting = list;
  const before = new Set(idsIn(current));
  const arrived = idsIn(list).filter((id) => !before.has(id)).length;
  const news = current.querySelector("#queue-news");
  if (gist(list) !== gist(current)) news.textContent = arrived ? `${arrived} new` : "Changed";
}

function count(pending) {
  const badge = document.querySelector("[data-pending]");
  if (!badge) return;
  badge.textContent = pending.toLocaleString("en");
  badge.classList.toggle("zero", pending === 0);
}

// ---- the open call

const gone = {
  approved: "Decided meanwhile: approved.",
  releasing: "Decided meanwhile: approved, and running.",
  executed: "Decided meanwhile: approved, and it ran.",
  tool_error: "Decided meanwhile: approved; the tool answered with an error.",
  outcome_unknown: "Decided meanwhile: approved, but nobody knows whether it ran.",
  rejected: "Decided by someone else: rejected. It does not run.",
  expired: "Expired while you were reading. It does not run.",
  cancelled: "The agent took this call back while you were reading.",
  lapsed: "Approved by someone else, and lapsed since.",
  revoked: "Withdrawn while you were reading.",
};

// The address bar may hold that of a form's answer, which only a POST may ask for.
function callPath() {
  return `/calls/${document.getElementById("call").dataset.call}`;
}

function say(text) {
  const note = document.getElementById("decision-note");
  if (!note) return;
  const link = document.createElement("a");
  link.href = callPath();
  link.textContent = "Show what happened";
  note.replaceChildren(document.createTextNode(`${text} `), link);
}

function close(state) {
  const form = document.getElementById("decide");
  if (!form || form.classList.contains("over")) return;
  form.classList.add("over");
  form.querySelector("fieldset").disabled = true;
  say(gone[state] ?? "This call is no longer waiting.");
}

async function refreshCall() {
  const shown = document.getElementById("call");
  const fresh = await fetchPart(callPath(), "#call");
  if (!fresh || (fresh.dataset.state === shown.dataset.state && "unfound" in fresh.dataset === "unfound" in shown.dataset)) return;
  const control = shown.querySelector("a:hover, button:hover, summary:hover, textarea:focus");
  if (control || !getSelection().isCollapsed) {
    say("This call has changed.");
    // Nothing moves under the pointer; a little later it may have gone elsewhere.
    setTimeout(() => refreshCall().catch(() => {}), 2000);
    return;
  }
  shown.replaceWith(fresh);
}

async function callChanged(id, state) {
  const shown = document.getElementById("call");
  if (!shown || shown.dataset.call !== id) return;
  // What was found out about an unknown outcome leaves the state as it is.
  if (shown.dataset.state === state && !("unfound" in shown.dataset)) return;
  const mayDecide = document.querySelector("#decide fieldset:enabled");
  if (shown.dataset.state === "pending" && mayDecide) {
    // A vote that leaves the call pending changes nothing the reader has to stop for.
    if (state !== "pending") close(state);
  } else {
    await refreshCall();
  }
}

// What happened while nobody listened: before the socket opened, or while the connection was lost.
async function catchUp() {
  await refreshQueue();
  const shown = document.getElementById("call");
  if (!shown) return;
  const fresh = await fetchPart(callPath(), "#call");
  if (fresh) await callChanged(shown.dataset.call, fresh.dataset.state);
}

// ---- the connection

function status(lost, words) {
  connection.hidden = false;
  connection.setAttribute("aria-live", lost ? "polite" : "off");
  connection.classList.toggle("lost", lost);
  connection.textContent = words;
  connection.title = lost ? "This page does not change by itself until the connection is back." : "This page changes by itself.";
}

function sayGoodbye() {
  if (signedOut) return;
  signedOut = true;
  status(true, "");
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Signed out. Sign in again";
  connection.replaceChildren(link);
}

let tries = 0;
let soon = 0;

function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.addEventListener("open", () => {
    tries = 0;
    status(false, "Live");
    catchUp().catch(() => {});
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "queue") count(message.pending);
    if (message.type === "call") {
      callChanged(message.id, message.state).catch(() => {});
      clearTimeout(soon);
      soon = setTimeout(() => refreshQueue().catch(() => {}), 100);
    }
  });
  socket.addEventListener("close", () => {
    tries += 1;
    if (signedOut) return;
    if (tries > 1) {
      status(true, "Connection lost, trying again");
      // An ended session refuses the socket too; the answer to a page tells which it is.
      refreshQueue().catch(() => {});
    }
    // Doubling up to a minute, with a spread so that many tabs do not come back at once.
    const wait = Math.min(60_000, 500 * 2 ** Math.min(tries, 7)) * (0.75 + Math.random() / 2);
    setTimeout(listen, wait);
  });
}

const list = document.getElementById("queue");
if (list) {
  const open = document.getElementById("call")?.dataset.call;
  // A first look at the queue has nothing new in it; afterwards new means: came since, and not opened yet.
  if (sessionStorage.getItem(seenKey) === null) remember(...idsIn(list));
  else markNew(list, open);
  if (open) remember(open);
  watchQueue(list);
}
listen();
