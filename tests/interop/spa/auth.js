// Signing in with Chancery, and calling an API with the user's token.
import { ErrorResponse, UserManager } from 'oidc-client-ts';

const settings = {
  authority: 'http://127.0.0.1:8080',
  client_id: 'shop-spa',
  redirect_uri: 'http://localhost:5173/',
  post_logout_redirect_uri: 'http://localhost:5173/',
  scope: 'openid profile email offline_access orders:read',
  loadUserInfo: true, // name and address; the ID token has only `sub`
  automaticSilentRenew: false, // api() renews when a token is needed
};
const API = 'http://127.0.0.1:3001';

const manager = new UserManager(settings);

// Call this first, once. The user who is signed in, or null.
export async function start() {
  // Back from Chancery: takes the code from the address, and the address from the browser's history.
  const back = new URLSearchParams(location.search);
  if (back.has('state') && (back.has('code') || back.has('error'))) {
    const there = await manager.signinRedirectCallback().catch((error) => {
      // Not agreed to, or an old address that was opened again: nobody is signed in, and the page still works.
      console.warn(String(error));
    });
    history.replaceState(null, '', there?.state ?? location.pathname);
  }
  return manager.getUser();
}

export function signIn() {
  return manager.signinRedirect({ state: location.pathname }); // and back to this page
}

export function signOut() {
  return manager.signoutRedirect();
}

// fetch() of the API, with a good token. Null when the user has to sign in again; the browser is on its way there.
export async function api(path, options = {}) {
  let user = await manager.getUser();
  if (!user) return signIn().then(() => null);
  try {
    if (user.expires_in < 30) user = await renew();
    let answer = await call(user, path, options);
    if (answer.status === 401) {
      // Once more with a new token: the key of the old one may have been revoked.
      user = await renew();
      answer = await call(user, path, options);
    }
    return answer; // 403: a new token would not help; this user may not do it
  } catch (error) {
    if (!(error instanceof ErrorResponse)) throw error; // no network: still signed in
    await manager.removeUser(); // the session is over
    return signIn().then(() => null);
  }
}

function call(user, path, options) {
  const headers = { ...options.headers, authorization: `Bearer ${user.access_token}` };
  return fetch(API + path, { ...options, headers });
}

// However many calls need it at once, the refresh token is used once.
let renewal;
function renew() {
  renewal ??= manager.signinSilent().finally(() => (renewal = undefined));
  return renewal;
}
