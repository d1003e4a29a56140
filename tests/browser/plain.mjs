// A reviewer's way through one call in a browser that runs no scripts: sign in, find it in the queue, decide, see
// what came by loading the page again.
//
//   plain.mjs URL ID [approve|reject [REASON]]      as PLACET_EMAIL with PLACET_PASSWORD
//
// ID is a call that waits. Prints, as its last line, {"event": "done", "id", "state"} or {"event": "failed", "problems"}.
import { context, run, screenshot, signIn, views, watchedPage } from './lib.mjs';

const [base, id, verdict = 'approve', reason] = process.argv.slice(2);
const { PLACET_EMAIL: email, PLACET_PASSWORD: password } = process.env;
if (!base || !id || !email || !password) {
  throw new Error('usage: PLACET_EMAIL= PLACET_PASSWORD= plain.mjs URL ID [VERDICT [REASON]]');
}
const open = ['pending', 'approved', 'releasing'];
const state = (page) => page.locator(`[data-call="${id}"][data-state]`).last().getAttribute('data-state');

await run(async (browser) => {
  const own = await context(browser, views[0], { javaScriptEnabled: false });
  const page = await watchedPage(own);
  await signIn(page, base, email, password);
  await screenshot(page, 'plain-1-queue');
  await Promise.all([page.waitForNavigation(), page.locator(`a[href$="/calls/${id}"]`).first().click()]);
  if ((await state(page)) !== 'pending') throw new Error(`the call is ${await state(page)}`);

  const form = page.locator(`form[action$="/calls/${id}/decision"]`);
  if (reason) await form.locator('[name=reason]').fill(reason);
  await screenshot(page, 'plain-2-call', true);
  const button = form.locator(`button[name=verdict][value=${verdict}]`);
  await Promise.all([page.waitForNavigation(), button.click()]);
  // Decided is not yet done: the reviewer looks again until it is.
  for (let looks = 0; open.includes(await state(page)) && looks < 200; looks++) await page.reload();
  await screenshot(page, 'plain-3-outcome', true);
  return { problems: page.troubles, id, state: await state(page) };
});
