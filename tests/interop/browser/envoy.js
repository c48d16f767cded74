// Pages behind Envoy's oauth2 filter, whose cookies a real browser has to take.

import assert from 'node:assert/strict';

import { allow, check, close, open, signIn } from './chromium.js';

const { ISSUER, PAGES, SUBJECT } = process.env;

async function seesThePage(page) {
  await page.waitForURL(`${PAGES}/orders`);
  assert.equal(JSON.parse(await page.innerText('body')).headers['x-user'], SUBJECT);
}

async function isAskedToSignIn(page) {
  await page.waitForURL(`${ISSUER}/oauth2/authorize?**`);
  await page.getByLabel('Password').waitFor();
}

const page = await open();
await check('Chromium is sent to sign in', async () => {
  await page.goto(`${PAGES}/orders`);
  await isAskedToSignIn(page);
});
await check('Chromium signs in, agrees, and sees the page', async () => {
  await signIn(page);
  await allow(page);
  await seesThePage(page);
});
await check('Chromium still is signed in when the access token has run out', async () => {
  await page.waitForTimeout(11_000);
  await page.reload();
  await seesThePage(page);
});
await check('Chromium signs out of both', async () => {
  await page.goto(`${PAGES}/signout`);
  await isAskedToSignIn(page);
  await page.goto(`${PAGES}/orders`);
  await isAskedToSignIn(page);
});
await close();
console.log('done');
