// A web app whose users sign in with Chancery. The browser gets a session cookie and never sees a token.
import express from 'express';
import session from 'express-session';
import * as oidc from 'openid-client';

const { ISSUER = 'http://127.0.0.1:8080', CLIENT_ID = 'shop', CLIENT_SECRET, SESSION_SECRET } = process.env;
const { PORT = '3000', API = 'http://127.0.0.1:3001' } = process.env;
const { BASE_URL = `http://127.0.0.1:${PORT}` } = process.env; // where browsers find this app
const callback = `${BASE_URL}/callback`;
const isHttps = BASE_URL.startsWith('https:');

// Finds the addresses and the keys. Plain http is for a Chancery on this machine.
const local = ISSUER.startsWith('http:') ? { execute: [oidc.allowInsecureRequests] } : undefined;
const chancery = await oidc.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, local);

const app = express();
app.set('trust proxy', isHttps); // HTTPS ends at a proxy in front
app.use(session({
  secret: SESSION_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: 'lax', secure: isHttps },
  // In memory, for one process. In production give it a store: the tokens are in here.
}));

app.get('/', (req, res) => {
  const { user } = req.session;
  res.send(user ? `Hello ${escaped(user.name ?? user.email)}. <a href="/logout">Sign out</a>` : '<a href="/login">Sign in</a>');
});

app.get('/login', async (req, res) => {
  const checks = {
    pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
    expectedState: oidc.randomState(),
    expectedNonce: oidc.randomNonce(),
  };
  req.session.checks = checks;
  res.redirect(oidc.buildAuthorizationUrl(chancery, {
    redirect_uri: callback,
    scope: 'openid profile email offline_access orders:read',
    code_challenge: await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  }).href);
});

app.get('/callback', async (req, res) => {
  const { checks } = req.session;
  if (!checks) return res.redirect('/login');
  const address = new URL(req.originalUrl, BASE_URL);
  if (address.searchParams.get('error') === 'access_denied') return res.redirect('/');
  // Checks state, iss, PKCE, nonce and the ID token.
  const tokens = await oidc.authorizationCodeGrant(chancery, address, checks);
  // A new session, so that nobody can have planted the old one.
  await new Promise((done, fail) => req.session.regenerate((error) => (error ? fail(error) : done())));
  // Know people by `sub`; names and addresses change.
  const { sub, name, email } = await oidc.fetchUserInfo(chancery, tokens.access_token, tokens.claims().sub);
  req.session.user = { sub, name, email };
  keep(req.session, tokens);
  res.redirect('/');
});

// Something the app does for its user at an API.
app.get('/orders', async (req, res) => {
  if (!req.session.tokens) return res.redirect('/login');
  const answer = await fetch(`${API}/orders`, {
    headers: { authorization: `Bearer ${await accessToken(req.session)}` },
  });
  res.status(answer.status).send(await answer.text());
});

app.get('/logout', (req, res) => {
  const hint = req.session.tokens?.idToken;
  req.session.destroy(() => {
    const there = { post_logout_redirect_uri: `${BASE_URL}/`, ...(hint && { id_token_hint: hint }) };
    res.redirect(oidc.buildEndSessionUrl(chancery, there).href);
  });
});

app.use((error, req, res, next) => {
  // The session at Chancery is over: signed out elsewhere, or too old.
  if (error.error === 'invalid_grant') return req.session.destroy(() => res.redirect('/login'));
  console.error(error);
  res.status(500).send('Something went wrong.');
});

async function accessToken(session) {
  const { access, refresh, expiresAt } = session.tokens;
  if (Date.now() < expiresAt - 30_000) return access;
  const fresh = await oidc.refreshTokenGrant(chancery, refresh);
  keep(session, fresh);
  return fresh.access_token;
}

function keep(session, tokens) {
  session.tokens = {
    access: tokens.access_token,
    refresh: tokens.refresh_token, // a new one each time
    idToken: tokens.id_token,
    expiresAt: Date.now() + tokens.expires_in * 1000,
  };
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

app.listen(Number(PORT), '127.0.0.1', () => console.log(`on ${BASE_URL}`));
