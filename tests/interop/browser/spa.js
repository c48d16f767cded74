// A page of one file with oidc-client-ts, from another origin than Chancery's: everything it fetches crosses origins.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

import { check, close, open, signIn } from './chromium.js';

const { ISSUER, SPA_ID, PORT, EMAIL } = process.env;
const home = `http://localhost:${PORT}`;

// The same server, and another origin to a browser.
const hop = `http://127.0.0.1:${PORT}/hop`;
const settings = {
  authority: ISSUER,
  client_id: SPA_ID,
  redirect_uri: `${home}/`,
  post_logout_redirect_uri: `${home}/bye`,
  scope: 'openid profile email offline_access',
  automaticSilentRenew: false,
  loadUserInfo: true,
};
const html = `<!doctype html><title>SPA</title><script src="/oidc.js"></script><body><script>
const manager = new oidc.UserManager(${JSON.stringify(settings)});
async function begin() {
  const back = new URLSearchParams(location.search);
  if (location.pathname === '/bye') return 'Good bye';
  if (!back.has('state')) return 'Nobody';
  const user = await manager.signinRedirectCallback();
  return 'Signed in as ' + user.profile.email;
}
begin().catch((error) => 'Failed: ' + error).then((text) => { document.body.textContent = text; });
</script>`;
const bundle = readFileSync(new URL('node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url));

let posted = '';
const server = createServer(async (request, response) => {
  if (request.url.startsWith('/hop')) {
    if (request.method === 'POST') posted = await text(request);
    response.writeHead(302, { location: `${home}/bye` }).end();
    return;
  }
  const isBundle = request.url === '/oidc.js';
  response.setHeader('content-type', isBundle ? 'text/javascript' : 'text/html; charset=utf-8');
  response.end(isBundle ? bundle : html);
});
await new Promise((ready) => server.listen(Number(PORT), '127.0.0.1', ready));

const page = await open();
const says = (text) => page.waitForFunction((text) => document.body?.textContent === text, text);

await check('goes to the sign-in page', async () => {
  await page.goto(`${home}/`);
  await says('Nobody');
  await page.evaluate(() => void manager.signinRedirect());
  await page.waitForURL(`${ISSUER}/oauth2/authorize?**`);
});
await check('signs in by redirect, and has the ID token and userinfo', async () => {
  await signIn(page);
  await page.waitForURL(`${home}/?**`);
  await says(`Signed in as ${EMAIL}`);
});
const first = await page.evaluate(() => manager.getUser());
await check('the answer has what the library keeps', () => {
  assert.equal(first.profile.iss, ISSUER);
  assert.ok(first.refresh_token && first.id_token && first.expires_at > Date.now() / 1000);
});
const second = await check('renews by refresh token, without leaving the page', () => page.evaluate(() => manager.signinSilent()));
await check('and has new tokens for the same user', () => {
  assert.notEqual(second.access_token, first.access_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal(second.profile.sub, first.profile.sub);
});
await check('userinfo by fetch', async () => {
  const info = await page.evaluate(async () => {
    const { access_token } = await manager.getUser();
    const { userinfo_endpoint } = await manager.metadataService.getMetadata();
    const answer = await fetch(userinfo_endpoint, { headers: { authorization: `Bearer ${access_token}` } });
    return answer.json();
  });
  assert.equal(info.email, EMAIL);
});
await check('a refusal can be read across origins, too', async () => {
  const told = await page.evaluate(async () => {
    const { userinfo_endpoint } = await manager.metadataService.getMetadata();
    const answer = await fetch(userinfo_endpoint, { headers: { authorization: 'Bearer nobody' } });
    return [answer.status, answer.headers.get('www-authenticate')];
  });
  assert.equal(told[0], 401);
  assert.match(told[1], /invalid_token/);
});
await check('revokes its tokens', () => page.evaluate(() => manager.revokeTokens(['refresh_token'])));
await check('whoever is signed in comes straight back', async () => {
  await page.evaluate(() => void manager.signinRedirect());
  await page.waitForURL(`${home}/?code=**`);
  await says(`Signed in as ${EMAIL}`);
});
await check('signs out by redirect and comes back', async () => {
  await page.evaluate(() => void manager.signoutRedirect());
  await page.waitForURL(`${home}/bye**`);
  await says('Good bye');
});
await check('and has to sign in again', async () => {
  await page.goto(`${home}/`);
  await says('Nobody');
  await page.evaluate(() => void manager.signinRedirect());
  await page.waitForURL(`${ISSUER}/oauth2/authorize?**`);
  await page.getByLabel('Password').waitFor();
});
await check('an application may send the user on to another of its origins', async () => {
  await page.goto(`${home}/`);
  await says('Nobody');
  await page.evaluate((redirect_uri) => void manager.signinRedirect({ redirect_uri }), hop);
  await signIn(page);
  await page.waitForURL(`${home}/bye`);
});
await check('an answer comes as a form, which sends itself', async () => {
  await page.goto(`${home}/`);
  await says('Nobody');
  const wanted = { redirect_uri: hop, extraQueryParams: { response_mode: 'form_post' } };
  await page.evaluate((wanted) => void manager.signinRedirect(wanted), wanted);
  await page.waitForURL(`${home}/bye`);
  assert.equal(new URLSearchParams(posted).get('iss'), ISSUER);
  assert.ok(new URLSearchParams(posted).get('code'));
});
await close();
server.close();
console.log('done');
