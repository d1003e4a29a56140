// A reviewer's way through one call: sign in, wait in the queue until it arrives, open it, decide, see what came.
//
//   journey.mjs URL [approve|reject [REASON]]      as PLACET_EMAIL with PLACET_PASSWORD
//
// Prints one JSON line for each step: {"event": "signed_in"}, {"event": "waiting"} (send the call now),
// {"event": "arrived", "id", "live"} (live: without loading the page again), {"event": "opened", "id", "state"},
// {"event": "decided", "verdict"}, and last {"event": "done", "id", "state", "live", "outcome_live"} (outcome_live: the
// page that the click led to came to show the outcome without being loaded again) or {"event": "failed", "problems"}.
import { context, run, say, screenshot, signIn, views, watchedPage } from './lib.mjs';

const [base, verdict = 'approve', reason] = process.argv.slice(2);
const { PLACET_EMAIL: email, PLACET_PASSWORD: password } = process.env;
if (!base || !email || !password) throw new Error('usage: PLACET_EMAIL= PLACET_PASSWORD= journey.mjs URL [VERDICT]');

const ended = ['rejected', 'expired', 'cancelled', 'executed', 'tool_error', 'outcome_unknown', 'lapsed', 'revoked'];
const patience = { timeout: 60_000 };
const callLinks = (page) =>
  page.locator('a[href*="/calls/"]').evaluateAll((links) => links.map((link) => new URL(link.href).pathname));

function require(condition, message) {
  if (!condition) throw new Error(message);
}

/** Opens the queue and returns once its live connection is there. */
async function openQueue(page) {
  const socket = page.waitForEvent('websocket', { predicate: (ws) => new URL(ws.url()).pathname === '/live' });
  await page.goto(new URL('/', base).href);
  await socket;
  // Only a page that is not loaded again keeps this.
  await page.evaluate(() => (window.sameDocument = true));
}

/** Waits for a link to a call that was not in the queue before. */
async function arrival(page, before) {
  const found = await page.waitForFunction((known) => {
    const links = [...document.querySelectorAll('a[href*="/calls/"]')].map((link) => new URL(link.href).pathname);
    return links.find((path) => /^\/calls\/[^/]+$/.test(path) && !known.includes(path));
  }, before, patience);
  const path = await found.jsonValue();
  const live = await page.evaluate(() => window.sameDocument === true);
  return { path, id: path.split('/').pop(), live };
}

/** The decision form of the call that is open, checked for what it must have. */
async function decisionForm(page, id) {
  const form = page.locator(`form[action$="/calls/${id}/decision"]:has(button[name=verdict])`);
  await form.first().waitFor(patience);
  require((await form.getAttribute('method'))?.toLowerCase() === 'post', 'the decision form does not POST');
  for (const name of ['digest', 'csrf']) {
    const value = await form.locator(`input[name=${name}]`).getAttribute('value');
    require(value, `the decision form has no ${name}`);
  }
  const offered = await form.locator('button[name=verdict]').evaluateAll((all) => all.map((one) => one.value));
  require(['approve', 'reject'].every((one) => offered.includes(one)), `offered are only: ${offered}`);
  return form;
}

/** Fills what the form asks for, a critical call's extra step included, and clicks the verdict. */
async function decide(form) {
  for (const box of await form.locator('input[type=checkbox]').all()) await box.check();
  for (const field of await form.locator('input[type=password]').all()) await field.fill(password);
  if (reason) await form.locator('[name=reason]').fill(reason);
  await form.locator(`button[name=verdict][value=${verdict}]`).click();
}

const state = (page, id) => page.locator(`[data-call="${id}"][data-state]`).last().getAttribute('data-state');

await run(async (browser) => {
  const own = await context(browser, views[0]);
  const page = await watchedPage(own);
  await signIn(page, base, email, password);
  say({ event: 'signed_in' });

  await openQueue(page);
  const before = await callLinks(page);
  await screenshot(page, 'journey-1-queue-before');
  say({ event: 'waiting' });

  const { path, id, live } = await arrival(page, before);
  await screenshot(page, 'journey-2-queue-arrived');
  say({ event: 'arrived', id, live });

  await page.locator(`a[href$="${path}"]`).first().click();
  const form = await decisionForm(page, id);
  require((await state(page, id)) === 'pending', `the call is ${await state(page, id)}`);
  await screenshot(page, 'journey-3-call', true);
  say({ event: 'opened', id, state: 'pending' });

  let loads = 0;
  page.on('framenavigated', () => (loads += 1));
  await decide(form);
  say({ event: 'decided', verdict });
  await page.waitForFunction(
    ([call, last]) =>
      [...document.querySelectorAll(`[data-call="${call}"]`)].some(({ dataset }) => last.includes(dataset.state)),
    [id, ended],
    patience,
  );
  await screenshot(page, 'journey-4-outcome', true);
  return { problems: page.troubles, id, state: await state(page, id), live, outcome_live: loads === 1 };
});
