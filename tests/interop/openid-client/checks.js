// One line for each thing that was tried, which scripts/interop reads and counts.

import { execFileSync } from 'node:child_process';

export async function check(what, run) {
  try {
    const value = await run();
    console.log(`ok ${what}`);
    return value;
  } catch (error) {
    const told = [error, error?.cause].filter(Boolean).map(String).join('; ');
    console.log(`FAIL ${what}: ${told.replaceAll('\n', ' ')}`);
    process.exit(1);
  }
}

/// Fetches for a library, and keeps the last request that had a proof, and the nonce of its answer: it shows neither by itself.
export function watched() {
  const seen = {};
  seen.fetch = async (address, options) => {
    const response = await fetch(address, options);
    const request = new Request(address, options);
    if (request.headers.has('dpop')) {
      Object.assign(seen, { request, nonce: response.headers.get('dpop-nonce') });
    }
    return response;
  };
  seen.proof = () => payload(seen.request.headers.get('dpop'));
  return seen;
}

export function payload(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
}

/// The libraries' name for the algorithm of keys that prove possession.
export const PROOFS = process.env.ALGORITHM === 'EdDSA' ? 'Ed25519' : process.env.ALGORITHM;

export function visit(address) {
  const [program, ...first] = process.env.DRIVER.split(' ');
  const until = new URL('/', process.env.REDIRECT_URI).href;
  const told = execFileSync(program, [...first, String(address), '--until', until], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new URL(JSON.parse(told).address);
}
