// A typed reason survives an ended session, a reload and a lost connection. It stays in this tab alone.

const form = document.querySelector("form[data-draft]");
const call = document.getElementById("call")?.dataset.call;

if (form) {
  const field = form.querySelector("textarea");
  const key = `placet-reason-${form.dataset.draft}`;
  if (field) {
    const kept = sessionStorage.getItem(key);
    if (kept && !field.value) field.value = kept;
    field.addEventListener("input", () => sessionStorage.setItem(key, field.value));
  }
} else if (call) {
  sessionStorage.removeItem(`placet-reason-${call}`);
}
