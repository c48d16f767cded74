// A page behind Apache with mod_auth_openidc, before and after the keys were rotated.

import assert from 'node:assert/strict';

import { allow, check, close, open, signIn } from './chromium.js';

const { ISSUER, APACHE, EMAIL, ADMIN, ADMIN_PASSWORD } = process.env;

async function json(path, body, token) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${ISSUER}${path}`, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

async function kids() {
  const { keys } = await json('/.well-known/jwks.json');
  return keys.map(({ kid }) => kid);
}

async function rotate() {
  const { access_token } = await json('/auth/login', { email: ADMIN, password: ADMIN_PASSWORD });
  await json('/admin/keys/rotate', { force: true, reason: 'interop' }, access_token);
}

async function seesThePage(page) {
  await page.waitForURL(`${APACHE}/secret/`);
  assert.match(await page.innerText('body'), new RegExp(`The secret page\\s+${EMAIL}`));
}

const first = await open();
await check('who is not signed in lands on the sign-in page', async () => {
  await first.goto(`${APACHE}/secret/`);
  assert.ok(first.url().startsWith(`${ISSUER}/oauth2/authorize?`), first.url());
});
await check('signs in, agrees, and sees the protected page', async () => {
  await signIn(first);
  await allow(first);
  await seesThePage(first);
});
const before = await kids();
await check('the keys are rotated twice', async () => {
  await rotate();
  await rotate();
  const after = await kids();
  assert.ok(after.some((kid) => !before.includes(kid)), `${before} and ${after}`);
});
await check('who was signed in still is', async () => {
  await first.reload();
  await seesThePage(first);
});
const second = await open();
await check('another browser signs in under a key that Apache has never seen', async () => {
  await second.goto(`${APACHE}/secret/`);
  await signIn(second);
  await seesThePage(second);
});
await check("Apache's logout signs out there and here, and comes back", async () => {
  await second.goto(`${APACHE}/secret/callback?logout=${encodeURIComponent(`${APACHE}/bye.html`)}`);
  await second.waitForURL(`${APACHE}/bye.html**`);
  assert.match(await second.innerText('body'), /Good bye/);
});
await check('and whoever was there has to sign in again', async () => {
  await second.goto(`${APACHE}/secret/`);
  assert.ok(second.url().startsWith(`${ISSUER}/oauth2/authorize?`), second.url());
  await second.getByLabel('Password').waitFor();
});
await close();
console.log('done');
