// What every Node driver shares: it runs the named checks and prints one JSON line each. It must never import a client.
// A check throws when its client is not served as the provider alone would serve it, and returns what it saw.
import assert from "node:assert/strict";

export const ORIGIN = process.env.GRAMMAGE_TEST_ORIGIN ?? "";
export const CONTROL = process.env.GRAMMAGE_TEST_CONTROL ?? "";
export const THROUGH = (process.env.GRAMMAGE_TEST_THROUGH ?? "1") === "1";
export const BASE = `${ORIGIN}/v1`;
export const KEY = "sk-caller-0123456789";
export const TEXT = "D\u00e9cris ce pull en m\u00e9rinos \u2014 doux \u{1f9f6}, \u65e5\u672c\u8a9e";
const WAIT_MS = 8000;
const CHECKS = new Map();

export function check(name, cases, run) {
  if (run === undefined) CHECKS.set(name, cases);
  else for (const one of cases) CHECKS.set(`${name}[${one}]`, () => run(one));
}

// As `check`; it takes seconds.
export const longCheck = check;

export async function runChecks(names) {
  for (const name of names.length ? names : CHECKS.keys()) {
    let line;
    try {
      line = { check: name, ok: true, saw: (await CHECKS.get(name)()) ?? null };
    } catch (error) {
      line = { check: name, ok: false, error: String(error), trace: String(error?.stack ?? error).slice(-3000) };
    }
    process.stdout.write(JSON.stringify(line) + "\n");
  }
}

export const fault = (name) => ({ "x-simulate-fault": name });
export const control = async (path) => (await fetch(`${CONTROL}/control/${path}`)).json();
export const lastSeen = async () => (await control("seen")).at(-1);
export const left = () => control("left");

export async function leavesAfter(before) {
  const until = Date.now() + WAIT_MS;
  while ((await left()) <= before) {
    if (Date.now() > until) throw new Error("the provider was not told that the client had left");
    await new Promise((done) => setTimeout(done, 20));
  }
}

export function weighed(usage) {
  const found = usage?.footprint;
  if (!THROUGH) return assert.equal(found, undefined);
  assert.ok(found, `no footprint in ${JSON.stringify(usage)}`);
  assert.ok(found.gco2e > 0);
}

export function headed(headers, basis) {
  const get = (name) => (typeof headers.get === "function" ? headers.get(name) : headers[name]);
  assert.equal(Boolean(get("x-grammage-gco2e")), THROUGH);
  if (THROUGH && basis) assert.equal(get("x-grammage-basis"), basis);
  assert.match(get("x-request-id"), /^req_/);
}

export async function raised(call, kind) {
  try {
    await call();
  } catch (error) {
    if (kind && !(error instanceof kind)) throw error;
    return error;
  }
  throw new Error(`no ${kind?.name ?? "error"}`);
}

export const after = (ms) => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), ms);
  return stop.signal;
};
