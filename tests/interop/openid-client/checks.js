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

export function visit(address) {
  const [program, ...first] = process.env.DRIVER.split(' ');
  const until = new URL('/', process.env.REDIRECT_URI).href;
  const told = execFileSync(program, [...first, String(address), '--until', until], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new URL(JSON.parse(told).address);
}
