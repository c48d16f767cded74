// An API that trusts Chancery's access tokens. It shares no secret with Chancery and does not call it per
// request: the library finds the key set by discovery, fetches it with the first token and keeps it.
import { STATUS_CODES } from 'node:http';
import cors from 'cors';
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

const { PORT = '3001', CHANCERY_ISSUER = 'http://127.0.0.1:8080', AUDIENCE = 'chancery' } = process.env;
// The one algorithm that is accepted, whatever a token's own header asks for: Chancery's `keys.algorithm`.
const { ALGORITHM = 'RS256' } = process.env;
// Where pages come from whose scripts call this API: "https://shop.example.com".
const { ORIGIN } = process.env;
// The library's own defaults: ten minutes, and an unknown `kid` refetches at most every 30 seconds.
const { JWKS_CACHE = '600', JWKS_COOL_DOWN = '30' } = process.env;

const requireToken = auth({
  issuerBaseURL: CHANCERY_ISSUER,
  issuer: CHANCERY_ISSUER, // the issuer we were told, not the one the discovery document names
  audience: AUDIENCE,
  tokenSigningAlg: ALGORITHM,
  strict: true, // RFC 9068: `typ: at+jwt`, and iat, sub, client_id and jti must be there
  clockTolerance: 5,
  cacheMaxAge: Number(JWKS_CACHE) * 1000,
  cooldownDuration: Number(JWKS_COOL_DOWN) * 1000,
  dpop: { enabled: false }, // Chancery's tokens are bearer tokens; do not advertise more
});

const app = express();
if (ORIGIN) app.use(cors({ origin: ORIGIN, allowedHeaders: ['Authorization', 'Content-Type'], maxAge: 600 }));

app.get('/healthz', (req, res) => res.json({ status: 'ok' }));

app.get('/orders', requireToken, (req, res) => {
  const { sub, scope } = req.auth.payload;
  res.json({ service: 'express', sub, scope });
});

// A good token is not enough here: it must also have this scope.
app.post('/orders', requireToken, requiredScopes('orders:write'), (req, res) => {
  const { sub, scope } = req.auth.payload;
  res.status(201).json({ service: 'express', sub, scope });
});

// The library's errors carry a status and an RFC 6750 code. The challenge is put together here, not taken from
// `err.headers`: that one quotes the token, and a token may hold characters on which setting a header throws.
app.use((err, req, res, next) => {
  const { status = 500, code } = err;
  if (status === 401) res.set('WWW-Authenticate', code ? `Bearer error="${code}"` : 'Bearer');
  if (status === 403) res.set(err.headers); // names the scope, and quotes nothing
  if (status >= 500) console.error(err);
  res.status(status).json({ error: STATUS_CODES[status] });
});

app.listen(Number(PORT), '127.0.0.1', (err) => {
  if (err) throw err;
  console.log(`express-api on http://127.0.0.1:${PORT}, tokens of ${CHANCERY_ISSUER}`);
});
