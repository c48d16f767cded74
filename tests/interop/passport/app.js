// passport-openidconnect in an express app, as its README has it. It discovers nothing, so it is told the addresses.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

import express from 'express';
import session from 'express-session';
import passport from 'passport';
import OpenIDConnectStrategy from 'passport-openidconnect';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, EMAIL, DRIVER } = process.env;

async function check(what, run) {
  try {
    await run();
    console.log(`ok ${what}`);
  } catch (error) {
    console.log(`FAIL ${what}: ${String(error).replaceAll('\n', ' ')}`);
    process.exit(1);
  }
}

async function visit(address) {
  const [program, ...first] = DRIVER.split(' ');
  // Not the synchronous one: this very process has to answer.
  const { stdout } = await promisify(execFile)(program, [...first, address]);
  return JSON.parse(stdout);
}

const app = express();
const server = app.listen(0, '127.0.0.1');
await new Promise((ready) => server.once('listening', ready));
const home = `http://127.0.0.1:${server.address().port}`;

const metadata = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();
const strategy = {
  issuer: ISSUER,
  authorizationURL: metadata.authorization_endpoint,
  tokenURL: metadata.token_endpoint,
  userInfoURL: metadata.userinfo_endpoint,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  callbackURL: `${home}/cb`,
  scope: ['profile', 'email'],
  // It knows no PKCE, so Chancery wants the nonce, which it does not send by itself.
  nonce: true,
  // Unless told so it fetches userinfo for few signatures of the function below only.
  skipUserProfile: false,
};
passport.use(new OpenIDConnectStrategy(strategy, (issuer, profile, done) => done(null, { issuer, ...profile })));
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

app.use(session({ secret: randomBytes(32).toString('hex'), resave: false, saveUninitialized: false }));
app.use(passport.session());
app.get('/login', passport.authenticate('openidconnect'));
app.get('/cb', passport.authenticate('openidconnect', { failureRedirect: '/failed', failureMessage: true }), (_, response) =>
  response.redirect('/'));
app.get('/failed', (request, response) => response.json({ failed: request.session.messages }));
app.get('/', (request, response) => response.json(request.user ?? null));

await check('signs in, without PKCE, which it does not know', async () => {
  const end = await visit(`${home}/login`);
  const user = JSON.parse(end.page);
  assert.equal(end.address, `${home}/`, end.page);
  assert.equal(user?.issuer, ISSUER, end.page);
  assert.equal(user.emails?.[0].value, EMAIL, end.page);
});
await check('keeps who it is', async () => {
  const end = await visit(`${home}/`);
  assert.equal(JSON.parse(end.page).emails[0].value, EMAIL);
});
console.log('done');
server.close();
