// Lets a request pass whose access token Chancery calls active, and which is for this API and good for reading orders.

import crypto from 'crypto';

const AUDIENCE = '${AUDIENCE}';
const SCOPE = 'orders:read';

function refuse(r, status, challenge) {
  r.headersOut['WWW-Authenticate'] = challenge;
  r.return(status);
}

async function check(r) {
  const bearer = /^Bearer ([A-Za-z0-9._~+\/-]+=*)$/i.exec(r.headersIn.Authorization || '');
  if (!bearer) {
    return refuse(r, 401, 'Bearer');
  }
  // What is kept is found by the token's digest, so that no token lies in the cache.
  r.variables.token_key = crypto.createHash('sha256').update(bearer[1]).digest('hex');
  const body = `token=${encodeURIComponent(bearer[1])}&token_type_hint=access_token`;
  const answer = await r.subrequest('/_introspect', { method: 'POST', body });
  if (answer.status !== 200) {
    r.error(`introspection was ${answer.status}`);
    return r.return(500);
  }
  const token = JSON.parse(answer.responseText);
  const audiences = [].concat(token.aud || []);
  if (token.active !== true || token.token_type !== 'Bearer' || !audiences.includes(AUDIENCE)) {
    return refuse(r, 401, 'Bearer error="invalid_token"');
  }
  // The answer may be older than the token's end.
  if (token.exp * 1000 <= Date.now()) {
    return refuse(r, 401, 'Bearer error="invalid_token"');
  }
  if (!(token.scope || '').split(' ').includes(SCOPE)) {
    return refuse(r, 403, `Bearer error="insufficient_scope", scope="${SCOPE}"`);
  }
  r.headersOut['X-User'] = token.sub;
  r.return(200);
}

export default { check };
