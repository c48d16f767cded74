// A real browser, a new one for each user, and one line for each thing that was tried, which scripts/interop reads and counts.

import { chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

const opened = [];
let page;

export async function open() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: QUIET });
  opened.push(browser);
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  return page;
}

export async function close() {
  await Promise.all(opened.map((browser) => browser.close()));
}

export async function check(what, run) {
  try {
    const value = await run();
    console.log(`ok ${what}`);
    return value;
  } catch (error) {
    console.log(`FAIL ${what}: ${String(error).replaceAll('\n', ' ')}`);
    const text = await page?.innerText('body').catch(() => '');
    console.error(`at ${page?.url()}\n${text}`);
    await close();
    process.exit(1);
  }
}

// The hosted pages, as a person uses them.
export async function signIn(page) {
  await page.getByLabel('E-mail').fill(process.env.EMAIL);
  await page.getByLabel('Password').fill(process.env.PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

export async function allow(page) {
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
}
