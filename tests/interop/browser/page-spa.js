// The single-page app of docs/integrate/spa.md, with the addresses of this run, and an API of another origin.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { check, close, open, signIn } from './chromium.js';

const { ISSUER, SPA_ID, PORT, EMAIL, PASSWORD, ADMIN, ADMIN_PASSWORD } = process.env;
const home = `http://localhost:${PORT}/`;
const here = new URL('.', import.meta.url);

// The API is the Express example; what stands before it notes the tokens, and refuses as many as it is told to.
const tokens = [];
let refusing = 0;
const upstream = process.env.API;
const api = createServer(async (request, response) => {
  if (request.method !== 'OPTIONS') tokens.push(request.headers.authorization?.replace('Bearer ', ''));
  const { host, connection, ...headers } = request.headers;
  const refused = request.method !== 'OPTIONS' && refusing-- > 0;
  const answer = await fetch(upstream + request.url, { method: request.method, headers: refused ? { origin: headers.origin } : headers });
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
});
await new Promise((ready) => api.listen(0, '127.0.0.1', ready));

const server = createServer((request, response) => {
  const path = new URL(request.url, home).pathname;
  const file = path.startsWith('/node_modules/') ? new URL(`.${path}`, here) : new URL(`../spa${path === '/' ? '/index.html' : path}`, here);
  try {
    const text = readFileSync(file, 'utf8')
      .replaceAll('http://127.0.0.1:8080', ISSUER)
      .replaceAll('http://127.0.0.1:3001', `http://127.0.0.1:${api.address().port}`)
      .replaceAll('http://localhost:5173/', home)
      .replaceAll("'shop-spa'", `'${SPA_ID}'`);
    response.setHeader('content-type', file.pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(text);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(Number(PORT), '127.0.0.1', ready));

const page = await open();
const says = (id, text) =>
  page.waitForFunction(([id, text]) => document.getElementById(id)?.textContent.includes(text), [id, text]);
const press = (name) => page.getByRole('button', { name, exact: true }).click();
const claims = (token, index = 1) => JSON.parse(Buffer.from(token.split('.')[index], 'base64url'));

async function orders() {
  await page.evaluate(() => (document.getElementById('answer').textContent = ''));
  await press('Orders');
  await says('answer', '200 {"service":"express"');
  return tokens.at(-1);
}

async function call(path, body, token) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(ISSUER + path, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}
const logIn = async (email, password) => (await call('/auth/login', { email, password })).access_token;

await check('asks somebody who calls the API to sign in, and comes back', async () => {
  await page.goto(home);
  await says('who', 'Nobody');
  await press('Orders');
  await signIn(page);
  await says('who', EMAIL);
  assert.equal(page.url(), home, 'the code has stayed in the address');
});
const first = await check('calls the API with a token for it', async () => {
  const token = await orders();
  assert.ok([claims(token).aud].flat().includes('orders'));
  return token;
});
await check('still signed in after a reload', async () => {
  await page.reload();
  await says('who', EMAIL);
  assert.equal(await orders(), first);
});
await check('a forced rotation is not noticed', async () => {
  await call('/admin/keys/rotate', { force: true, reason: 'interop' }, await logIn(ADMIN, ADMIN_PASSWORD));
  assert.equal(await orders(), first);
});
const second = await check('renews before the token ends, by the new key', async () => {
  await page.waitForTimeout(3000);
  const token = await orders();
  assert.notEqual(claims(token, 0).kid, claims(first, 0).kid);
  return token;
});
await check('renews once, when several calls need it at once', async () => {
  await page.waitForTimeout(3000);
  const before = tokens.length;
  const refreshes = [];
  const note = (request) => request.url().endsWith('/oauth2/token') && request.method() === 'POST' && refreshes.push(request);
  page.on('request', note);
  await page.evaluate(async () => {
    const { api } = await import('./auth.js');
    await Promise.all(Array.from({ length: 8 }, () => api('/orders')));
  });
  page.off('request', note);
  assert.equal(refreshes.length, 1);
  assert.equal(tokens.length - before, 8);
  assert.equal(new Set(tokens.slice(before)).size, 1);
  assert.notEqual(tokens.at(-1), second);
});
await check('renews at a 401, and asks once more', async () => {
  const before = tokens.at(-1);
  refusing = 1;
  assert.notEqual(await orders(), before);
});
await check('goes to sign in when the session has ended elsewhere', async () => {
  await call('/auth/logout', { all: true }, await logIn(EMAIL, PASSWORD));
  await page.waitForTimeout(3000);
  await press('Orders');
  await page.waitForURL(`${ISSUER}/oauth2/authorize?**`);
  await signIn(page);
  await says('who', EMAIL);
});
await check('signs out here and there', async () => {
  await press('Sign out');
  await says('who', 'Nobody');
  await press('Sign in');
  await page.waitForURL(`${ISSUER}/oauth2/authorize?**`);
  await page.getByLabel('Password').waitFor();
});
await check('an answer to a question that was not asked signs nobody in', async () => {
  await page.goto(`${home}?code=forged&state=forged`);
  await says('who', 'Nobody');
  assert.equal(page.url(), home);
});
await close();
server.close();
api.close();
console.log('done');
