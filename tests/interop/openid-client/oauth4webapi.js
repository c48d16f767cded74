// The same by hand, with oauth4webapi: every answer is checked by the library and none is passed over.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';

import { PROOFS, check, visit, watched } from './checks.js';

const { ISSUER, POST_ID, POST_SECRET, DEVICE_ID, REDIRECT_URI, BYE, EMAIL, ALGORITHM, NONCE } = process.env;
const open = { [oauth.allowInsecureRequests]: true };

const client = { client_id: POST_ID, id_token_signed_response_alg: ALGORITHM };
const authentication = oauth.ClientSecretPost(POST_SECRET);
const issuer = new URL(ISSUER);

async function discovered(algorithm) {
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...open }));
}

const as = await check('discovery by openid-configuration', () => discovered('oidc'));
await check('discovery by oauth-authorization-server', async () => assert.deepEqual(await discovered('oauth2'), as));

const verifier = oauth.generateRandomCodeVerifier();
const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()];
const address = new URL(as.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: POST_ID,
  redirect_uri: REDIRECT_URI,
  response_type: 'code',
  scope: 'openid profile email offline_access',
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  nonce,
  state,
  max_age: '300',
});
const back = visit(address);
const parameters = await check('state and iss of the answer', () => oauth.validateAuthResponse(as, client, back, state));
const exchange = () =>
  oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, REDIRECT_URI, verifier, open);
const processed = async (response) =>
  oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, maxAge: 300, requireIdToken: true });

const answer = await exchange();
const first = await check('code, PKCE and nonce, client_secret_post', () => processed(answer));
await check('the signature of the ID token', () => oauth.validateApplicationLevelSignature(as, answer, open));
const { sub } = oauth.getValidatedIdTokenClaims(first);

await check('userinfo', async () => {
  const response = await oauth.userInfoRequest(as, client, first.access_token, open);
  const info = await oauth.processUserInfoResponse(as, client, sub, response);
  assert.equal(info.email, EMAIL);
});
const second = await check('refresh', async () => {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, first.refresh_token, open);
  return oauth.processRefreshTokenResponse(as, client, response);
});
await check('the access token is a JWT of RFC 9068', async () => {
  const request = new Request('http://127.0.0.1/', { headers: { authorization: `Bearer ${second.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(as, request, 'chancery', { signingAlgorithms: [ALGORITHM], ...open });
  assert.equal(claims.sub, sub);
  assert.equal(claims.client_id, POST_ID);
});
const introspected = async (token) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, authentication, token, open));
await check('introspection', async () => assert.equal((await introspected(second.access_token)).active, true));
await check('revocation', async () => {
  const response = await oauth.revocationRequest(as, client, authentication, second.refresh_token, open);
  await oauth.processRevocationResponse(response);
  assert.equal((await introspected(second.refresh_token)).active, false);
});
await check('client credentials', async () => {
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: 'orders:read' }, open);
  const own = await oauth.processClientCredentialsResponse(as, client, response);
  assert.equal(own.scope, 'orders:read');
});
await check('a wrong secret is refused with a challenge the library reads', async () => {
  const wrong = oauth.ClientSecretBasic('wrong');
  const response = await oauth.clientCredentialsGrantRequest(as, client, wrong, {}, open);
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, response), (error) => {
    const [challenge] = error.cause;
    assert.equal(challenge.scheme, 'basic');
    return true;
  });
});
await check('userinfo refuses a token of nobody with a challenge the library reads', async () => {
  const response = await oauth.userInfoRequest(as, client, 'nobody', open);
  await assert.rejects(oauth.processUserInfoResponse(as, client, sub, response), (error) => {
    assert.equal(error.cause[0].parameters.error, 'invalid_token');
    return true;
  });
});
await check('signing out comes back', () => {
  const out = new URL(as.end_session_endpoint);
  out.search = new URLSearchParams({ id_token_hint: second.id_token, post_logout_redirect_uri: BYE, state });
  assert.equal(visit(out).searchParams.get('state'), state);
});

// A device without a browser (RFC 8628).
const tv = { client_id: DEVICE_ID, id_token_signed_response_alg: ALGORITHM };
const waiting = await check('device authorization', async () => {
  const response = await oauth.deviceAuthorizationRequest(as, tv, oauth.None(), { scope: 'openid email' }, open);
  return oauth.processDeviceAuthorizationResponse(as, tv, response);
});
const polled = async () => {
  const response = await oauth.deviceCodeGrantRequest(as, tv, oauth.None(), waiting.device_code, open);
  return oauth.processDeviceCodeResponse(as, tv, response);
};
const told = (error) => assert.rejects(polled(), { error });
await check('a device that nobody has let in waits', () => told('authorization_pending'));
await check('and is slowed down when it does not', () => told('slow_down'));
visit(waiting.verification_uri_complete);
const letIn = await check('a device that somebody has let in gets its tokens', polled);
await check('the device knows who that was', async () => {
  const response = await oauth.userInfoRequest(as, tv, letIn.access_token, open);
  const { sub } = oauth.getValidatedIdTokenClaims(letIn);
  assert.equal((await oauth.processUserInfoResponse(as, tv, sub, response)).email, EMAIL);
});
await check('a device code works once', () => told('invalid_grant'));

// The same client with a key (RFC 9449).
const seen = watched();
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(PROOFS));
const proving = { ...open, DPoP, [oauth.customFetch]: seen.fetch };
/// Once more where the first answer is a nonce: this library leaves that to its caller.
async function proved(attempt) {
  try {
    return await attempt();
  } catch (error) {
    assert.ok(NONCE && oauth.isDPoPNonceError(error), error);
    return attempt();
  }
}
const own = await check(`client credentials with DPoP, ${PROOFS}`, () =>
  proved(async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: 'orders:read' }, proving);
    return oauth.processClientCredentialsResponse(as, client, response);
  }));
await check('introspection tells the key', async () => {
  const told = await introspected(own.access_token);
  assert.equal(told.token_type, 'DPoP');
  assert.equal(told.cnf.jkt, await DPoP.calculateThumbprint());
});
const askedAgain = new URL(address);
askedAgain.searchParams.set('dpop_jkt', await DPoP.calculateThumbprint());
const bound = await check('code with DPoP', async () => {
  const shown = oauth.validateAuthResponse(as, client, visit(askedAgain), state);
  return proved(async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, shown, REDIRECT_URI, verifier, proving);
    return oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  });
});
await check('userinfo with DPoP', () =>
  proved(async () => {
    const response = await oauth.userInfoRequest(as, client, bound.access_token, proving);
    assert.equal((await oauth.processUserInfoResponse(as, client, sub, response)).email, EMAIL);
  }));
await check(NONCE ? 'the proof had the nonce that was asked for' : 'no nonce is asked for', () => {
  assert.equal(Boolean(seen.nonce), Boolean(NONCE));
  assert.equal(seen.proof().nonce, seen.nonce ?? undefined);
});
await check('a service that has the library takes the token with its proof', async () => {
  const options = { signingAlgorithms: [ALGORITHM, PROOFS], requireDPoP: true, ...open };
  const claims = await oauth.validateJwtAccessToken(as, seen.request, 'chancery', options);
  assert.equal(claims.sub, sub);
});
await check('userinfo refuses the token as a bearer\'s with a challenge the library reads', async () => {
  const response = await oauth.userInfoRequest(as, client, bound.access_token, open);
  await assert.rejects(oauth.processUserInfoResponse(as, client, sub, response), (error) => {
    assert.equal(error.cause[0].scheme, 'dpop');
    assert.equal(error.cause[0].parameters.error, 'invalid_token');
    return true;
  });
});
console.log('done');
