// A device without a browser (RFC 8628), and somebody who lets it in with Chromium, by the keyboard and without a script of ours.

import assert from 'node:assert/strict';

import { allow, check, close, open, signIn } from './chromium.js';

const { ISSUER, DEVICE_ID, EMAIL } = process.env;

async function post(path, form) {
  const answer = await fetch(ISSUER + path, { method: 'POST', body: new URLSearchParams({ client_id: DEVICE_ID, ...form }) });
  return { status: answer.status, ...(await answer.json()) };
}
const begin = () => post('/oauth2/device_authorization', { scope: 'openid email' });
const poll = ({ device_code }) => post('/oauth2/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code });

const page = await open();
const first = await begin();

await check('the code is typed as people type it', async () => {
  await page.goto(first.verification_uri);
  await page.keyboard.type('wrong code');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('No device waits with this code').waitFor();
  await page.getByLabel('Code').fill(first.user_code.toLowerCase().replace('-', ' '));
  await page.keyboard.press('Enter');
});
await check('the person signs in and is shown the code and who asks', async () => {
  await signIn(page);
  await page.getByText(first.user_code).waitFor();
  await page.getByText('See your e-mail address').waitFor();
  assert.equal((await poll(first)).error, 'authorization_pending');
});
await check('who allows it can go back to the device', async () => {
  await allow(page);
  await page.getByRole('heading', { name: 'You can go back to your device' }).waitFor();
});
await check('the device has its tokens', async () => {
  const tokens = await poll(first);
  assert.equal(tokens.status, 200);
  const info = await fetch(`${ISSUER}/oauth2/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  assert.equal((await info.json()).email, EMAIL);
});
await check('an address with a code in it lets nobody in by itself, and denying is heard', async () => {
  const second = await begin();
  await page.goto(second.verification_uri_complete);
  assert.equal(await page.getByLabel('Code').inputValue(), second.user_code);
  await page.keyboard.press('Enter');
  await page.getByText(second.user_code).waitFor();
  await page.getByRole('button', { name: 'Deny', exact: true }).click();
  await page.getByRole('heading', { name: 'The device was turned away' }).waitFor();
  assert.equal((await poll(second)).error, 'access_denied');
});
await close();
console.log('done');
