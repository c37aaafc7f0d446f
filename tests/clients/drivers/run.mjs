// Runs the checks of some driver modules in this process: `node run.mjs MODULE... -- [CHECK...]`.
import { runChecks } from "./checks.mjs";

const asked = process.argv.slice(2);
const cut = asked.indexOf("--");
for (const module of asked.slice(0, cut)) await import(`./${module}.mjs`);
await runChecks(asked.slice(cut + 1));
process.exit(0);
