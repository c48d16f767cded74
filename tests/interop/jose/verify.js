import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER = 'http://127.0.0.1:8080', AUDIENCE = 'orders' } = process.env;

const keys = createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`)); // once: the cache is in it

// The claims of a good token. Throws at any other.
export async function verified(token) {
  const checks = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], typ: 'at+jwt', clockTolerance: 5 };
  const { payload } = await jwtVerify(token, keys, { ...checks, requiredClaims: ['exp', 'sub'] });
  return payload;
}

console.log(JSON.stringify(await verified(process.argv[2])));
