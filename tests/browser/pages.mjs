// Looks at pages in both sizes and both colour schemes, and fails on anything that is wrong with one.
//
//   pages.mjs URL PAGE…     a PAGE is [STATUS:][NAME=]PATH, as in  queue=/  or  404:missing=/nothing
//
// Signs in first where PLACET_EMAIL and PLACET_PASSWORD are set. Saves NAME-VIEW.png of each, prints
// {"event": "page", "name", "view"} after each and, as its last line, {"event": "done", "pages"} or
// {"event": "failed", "problems": [{"kind", "text", "at", "view"}]}.
import { axe, context, run, say, screenshot, sideways, signIn, views, watchedPage } from './lib.mjs';

const [base, ...given] = process.argv.slice(2);
const pages = given.map((page) => {
  const parts = /^(?:(\d{3}):)?(?:([\w-]+)=)?(\/.*)$/.exec(page);
  if (!parts) throw new Error(`not a page: ${page}`);
  const [, status = '200', name = parts[3].replaceAll(/\W+/g, '-').replace(/^-/, '') || 'root', path] = parts;
  return { status: Number(status), name, path };
});
if (!base || pages.length === 0) throw new Error('usage: pages.mjs URL PAGE…');

await run(async (browser) => {
  const { PLACET_EMAIL: email, PLACET_PASSWORD: password } = process.env;
  const problems = [];
  let signedIn;
  if (email) {
    const first = await context(browser, views[0]);
    const page = await watchedPage(first);
    await signIn(page, base, email, password);
    problems.push(...page.troubles);
    signedIn = await first.storageState();
    await first.close();
  }

  for (const view of views) {
    const own = await context(browser, view, { storageState: signedIn });
    const page = await watchedPage(own);
    for (const { status, name, path } of pages) {
      page.troubles = [];
      page.expected = new Set(status >= 400 ? [status] : []);
      const url = new URL(path, base).href;
      const response = await page.goto(url);
      await screenshot(page, `${name}-${view.name}`, true);
      const wide = await sideways(page);
      const found = [...page.troubles];
      const note = (kind, text) => found.push({ kind, text, at: url });
      if (response.status() !== status) note('status', `${response.status()} instead of ${status}`);
      for (const text of wide) note('sideways', text);
      for (const text of await axe(page)) note('axe', text);
      problems.push(...found.map((trouble) => ({ ...trouble, view: view.name })));
      say({ event: 'page', name, view: view.name });
    }
    await own.close();
  }
  return { problems, pages: pages.map(({ name }) => name) };
});
