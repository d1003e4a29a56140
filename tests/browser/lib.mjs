// A real Chromium for the tests: signing in, both sizes and colour schemes, screenshots, and everything that
// must not happen on a page (console errors, policy violations, failed requests, sideways scrolling, axe findings).
//
// Environment: PLACET_TOOLS (packages), PLACET_SCREENSHOTS (a folder, default $PLACET_TOOLS/screenshots),
// PLACET_VIEWS (names of views, separated by commas; default all), CHROMIUM (default: as Debian installs it).
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const tools = process.env.PLACET_TOOLS;
const { default: load } = await import(pathToFileURL(`${tools}/node/load.mjs`));
const { chromium } = await load('playwright-core');
const axeSource = readFileSync(`${tools}/node/node_modules/axe-core/axe.min.js`, 'utf8');

/** Where screenshots go. */
export const screenshots = process.env.PLACET_SCREENSHOTS ?? join(tools, 'screenshots');
mkdirSync(screenshots, { recursive: true });

const desktop = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** What every page is looked at in. */
export const views = [
  { name: '1280-light', colorScheme: 'light', ...desktop },
  { name: '1280-dark', colorScheme: 'dark', ...desktop },
  { name: '390-light', colorScheme: 'light', ...phone },
  { name: '390-dark', colorScheme: 'dark', ...phone },
].filter(({ name }) => process.env.PLACET_VIEWS?.split(',').includes(name) ?? true);

/** Prints one JSON line. */
export const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

/** Starts Chromium with a profile that did not exist before and does not exist afterwards. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** A context in which one view is looked at; `more` is passed on to Playwright. */
export const context = (browser, { name: _, ...view }, more = {}) =>
  browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Rome', ...view, ...more });

/**
 * A page whose troubles are kept in `page.troubles`: console errors, uncaught exceptions, violations of the
 * content security policy, failed requests and answers of 400 and above. `page.expected` may hold statuses that
 * are meant.
 */
export async function watchedPage(context) {
  const page = await context.newPage();
  page.troubles = [];
  page.expected = new Set();
  const trouble = (kind, text) => page.troubles.push({ kind, text, at: page.url() });
  const meant = (text) => [...page.expected].some((status) => text.includes(`status of ${status}`));

  await page.exposeBinding('reportViolation', (_, violation) => trouble('csp', violation));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      const what = `${event.violatedDirective} refused ${event.blockedURI || event.sample}`;
      window.reportViolation(`${what} (${event.sourceFile || 'inline'}:${event.lineNumber})`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !meant(message.text())) trouble('console', message.text());
  });
  page.on('pageerror', (error) => trouble('exception', error.stack ?? error.message));
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // The page itself gave this one up, as it does when it is left.
    if (reason !== 'net::ERR_ABORTED') trouble('request', `${request.method()} ${request.url()}: ${reason}`);
  });
  page.on('response', (response) => {
    if (response.status() < 400 || page.expected.has(response.status())) return;
    trouble('status', `${response.request().method()} ${response.url()}: ${response.status()}`);
  });
  return page;
}

/** Signs in through the form at /login; an error with what the page says where that does not work. */
export async function signIn(page, base, email, password) {
  await page.goto(new URL('/login', base).href);
  const form = page.locator('form:has(input[type=password])');
  await form.locator('input[name=email]').fill(email);
  await form.locator('input[name=password]').fill(password);
  await Promise.all([page.waitForNavigation(), form.locator('button').first().click()]);
  if (new URL(page.url()).pathname === '/login') {
    throw new Error(`not signed in: ${await page.locator('body').innerText()}`);
  }
}

/** Saves what is seen as NAME.png; with `whole`, the whole page. */
export const screenshot = (page, name, whole = false) =>
  page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: whole, animations: 'disabled' });

/** The elements that reach beyond the page's width, where the page scrolls sideways. */
export const sideways = (page) =>
  page.evaluate(() => {
    const root = document.scrollingElement;
    const width = root.clientWidth;
    if (root.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('body *')].filter(
      (element) => element.getBoundingClientRect().right > width + 1,
    );
    const described = wide.slice(0, 5).map((element) => element.cloneNode(false).outerHTML.slice(0, 160));
    return [`${root.scrollWidth} px wide in ${width} px`, ...described];
  });

/**
 * What axe-core finds wrong with the page, one text each. It is brought in past the page's content security policy,
 * as a debugger would; what the page does from then on is no longer only its own.
 */
export async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.flatMap(({ id, impact, help, nodes }) =>
    nodes.map((node) => `${id} (${impact}): ${help}: ${node.target.join(' ')}: ${node.html.slice(0, 160)}`),
  );
}

/**
 * Runs `main(browser)`, closes the browser, and ends the process: with 0 and {"event": "done", …} where it
 * returned something, with 1 and {"event": "failed", "problems"} where it threw or named problems.
 */
export async function run(main) {
  const browser = await launch();
  let end;
  try {
    const { problems = [], ...found } = await main(browser);
    end = problems.length === 0 ? { event: 'done', ...found } : { event: 'failed', problems, ...found };
  } catch (error) {
    end = { event: 'failed', problems: [{ kind: 'exception', text: error.stack }] };
  }
  await browser.close();
  say(end);
  process.exitCode = end.event === 'done' ? 0 : 1;
}
