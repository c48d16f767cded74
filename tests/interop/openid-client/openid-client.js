// openid-client as its own documentation uses it, plus `allowInsecureRequests`, without which it takes no http.

import assert from 'node:assert/strict';
import * as client from 'openid-client';

import { PROOFS, check, payload, visit, watched } from './checks.js';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, SPA_ID, BOUND_ID, DEVICE_ID, REDIRECT_URI, BYE, EMAIL, ALGORITHM, NONCE } = process.env;
const open = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };

const metadata = { id_token_signed_response_alg: ALGORITHM };

async function signedIn(config, own = {}) {
  const code_verifier = client.randomPKCECodeVerifier();
  const nonce = client.randomNonce();
  const state = client.randomState();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(code_verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
    ...own,
  });
  const back = visit(address);
  const checks = { pkceCodeVerifier: code_verifier, expectedNonce: nonce, expectedState: state };
  return { back, checks, tokens: () => client.authorizationCodeGrant(config, back, checks) };
}

async function refused(promise, error) {
  await assert.rejects(promise, (rejection) => {
    assert.equal(rejection.error ?? rejection.cause?.error ?? rejection.code, error);
    return true;
  });
}

async function web(way, authentication) {
  const config = await check(`discovery, ${way}`, () =>
    client.discovery(new URL(ISSUER), CLIENT_ID, { ...metadata, client_secret: CLIENT_SECRET }, authentication, open));
  const { back, checks, tokens } = await signedIn(config);
  await check('the answer names its issuer', () => assert.equal(back.searchParams.get('iss'), ISSUER));
  await check('an answer of another issuer is refused', () => {
    const forged = new URL(back);
    forged.searchParams.set('iss', 'https://evil.test');
    return refused(client.authorizationCodeGrant(config, forged, checks), 'OAUTH_INVALID_RESPONSE');
  });
  const first = await check(`code, PKCE, state and nonce, ${way}`, tokens);
  await check('the ID token', () => {
    const claims = first.claims();
    assert.equal(claims.iss, ISSUER);
    assert.deepEqual([claims.aud].flat(), [CLIENT_ID]);
    assert.ok(claims.auth_time <= claims.iat);
  });
  const info = await check('userinfo', () => client.fetchUserInfo(config, first.access_token, first.claims().sub));
  await check('userinfo says who it is', () => assert.equal(info.email, EMAIL));
  const second = await check('refresh', () => client.refreshTokenGrant(config, first.refresh_token));
  await check('a refresh gives a new refresh token and an ID token', () => {
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal(second.claims().sub, first.claims().sub);
  });
  await check('introspection', async () => {
    const told = await client.tokenIntrospection(config, second.access_token);
    assert.equal(told.active, true);
    assert.equal(told.sub, first.claims().sub);
    assert.equal(told.client_id, CLIENT_ID);
  });
  await check('revocation', async () => {
    await client.tokenRevocation(config, second.refresh_token);
    await refused(client.refreshTokenGrant(config, second.refresh_token), 'invalid_grant');
    const told = await client.tokenIntrospection(config, second.refresh_token);
    assert.equal(told.active, false);
  });
  await check('a code works once', () => refused(tokens(), 'invalid_grant'));
  await check('client credentials', async () => {
    const own = await client.clientCredentialsGrant(config, { scope: 'orders:read' });
    assert.equal(own.scope, 'orders:read');
    assert.equal(own.id_token, undefined);
    const told = await client.tokenIntrospection(config, own.access_token);
    assert.equal(told.sub, CLIENT_ID);
  });
  await check('signing out comes back', () => {
    const address = client.buildEndSessionUrl(config, {
      id_token_hint: second.id_token,
      post_logout_redirect_uri: BYE,
      state: 'gone',
    });
    const gone = visit(address);
    assert.equal(gone.href, `${BYE}?state=gone`);
  });
  await check('and there is no session any more', async () => {
    const silent = await signedIn(config, { prompt: 'none' });
    await refused(silent.tokens(), 'login_required');
  });
}

async function spa() {
  const config = await check('discovery, as a public client', () =>
    client.discovery(new URL(ISSUER), SPA_ID, metadata, client.None(), open));
  const again = await signedIn(config);
  const tokens = await check('code and PKCE without a secret', again.tokens);
  await check('refresh without a secret', () => client.refreshTokenGrant(config, tokens.refresh_token));
  await check('max_age', async () => {
    const old = await signedIn(config, { max_age: '3600' });
    old.checks.maxAge = 3600;
    await old.tokens();
  });
  await check('a wrong verifier is refused', async () => {
    const wrong = await signedIn(config);
    wrong.checks.pkceCodeVerifier = client.randomPKCECodeVerifier();
    await refused(wrong.tokens(), 'invalid_grant');
  });
}

/// A public client whose tokens are of no use without its key (RFC 9449).
async function bound() {
  const config = await check('discovery, as a client of bound tokens', () =>
    client.discovery(new URL(ISSUER), BOUND_ID, metadata, client.None(), open));
  const seen = watched();
  config[client.customFetch] = seen.fetch;
  const handle = async () => client.getDPoPHandle(config, await client.randomDPoPKeyPair(PROOFS));
  const [DPoP, another] = [await handle(), await handle()];
  const jkt = await DPoP.calculateThumbprint();

  const { back, checks, tokens } = await signedIn(config, { dpop_jkt: jkt });
  await check('a code without a proof is of no use', () => refused(tokens(), 'invalid_dpop_proof'));
  const first = await check(`code with DPoP, ${PROOFS}`, () => client.authorizationCodeGrant(config, back, checks, {}, { DPoP }));
  await check('the token is bound to the key', () => {
    assert.equal(first.token_type, 'dpop');
    assert.equal(payload(first.access_token).cnf.jkt, jkt);
  });
  await check(NONCE ? 'the proof had the nonce that was asked for' : 'no nonce is asked for', () => {
    assert.equal(Boolean(seen.nonce), Boolean(NONCE));
    assert.equal(seen.proof().nonce, seen.nonce ?? undefined);
  });
  const { sub } = first.claims();
  await check('userinfo with DPoP', async () => {
    const info = await client.fetchUserInfo(config, first.access_token, sub, { DPoP });
    assert.equal(info.email, EMAIL);
  });
  await check('userinfo refuses the token as a bearer\'s, and under another key', async () => {
    await refused(client.fetchUserInfo(config, first.access_token, sub), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE');
    await refused(client.fetchUserInfo(config, first.access_token, sub, { DPoP: another }), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE');
  });
  await check('a refresh without the key is refused', async () => {
    await refused(client.refreshTokenGrant(config, first.refresh_token), 'invalid_dpop_proof');
    await refused(client.refreshTokenGrant(config, first.refresh_token, {}, { DPoP: another }), 'invalid_grant');
  });
  await check('refresh with DPoP', async () => {
    const second = await client.refreshTokenGrant(config, first.refresh_token, {}, { DPoP });
    assert.equal(payload(second.access_token).cnf.jkt, jkt);
  });
  await check('a request that is pushed with DPoP', async () => {
    const code_verifier = client.randomPKCECodeVerifier();
    const code_challenge = await client.calculatePKCECodeChallenge(code_verifier);
    const address = await client.buildAuthorizationUrlWithPAR(
      config, { redirect_uri: REDIRECT_URI, scope: 'openid', code_challenge, code_challenge_method: 'S256' }, { DPoP });
    const code = visit(address);
    const exchanged = (DPoP) => client.authorizationCodeGrant(config, code, { pkceCodeVerifier: code_verifier }, {}, { DPoP });
    assert.equal((await exchanged(DPoP)).token_type, 'dpop');
  });
}

/// A device without a browser, whose user has one (RFC 8628).
async function device() {
  const config = await check('discovery, as a device', () =>
    client.discovery(new URL(ISSUER), DEVICE_ID, metadata, client.None(), open));
  const begun = await check('device authorization', () =>
    client.initiateDeviceAuthorization(config, { scope: 'openid email offline_access' }));
  visit(begun.verification_uri_complete);
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(PROOFS));
  const tokens = await check('the device polls, with DPoP', () => client.pollDeviceAuthorizationGrant(config, begun, {}, { DPoP }));
  await check('the device knows who let it in', async () => {
    const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP });
    assert.equal(info.email, EMAIL);
  });
  await check('the device refreshes', () => client.refreshTokenGrant(config, tokens.refresh_token, {}, { DPoP }));
}

await web('client_secret_basic', client.ClientSecretBasic(CLIENT_SECRET));
await spa();
await bound();
await device();
console.log('done');
