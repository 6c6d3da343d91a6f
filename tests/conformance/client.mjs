// The client that the official conformance suite starts: it does the steps of a scenario
// (scenarios.toml) as a user does, with the program, and with a browser where one is
// asked for. The last argument is the address of the suite's server.
//
// PMCP_PROGRAM is the program, PMCP_STEPS the steps as JSON. The words of a command may
// be values of the suite's context: `$client_id`, or, for each of its calls, `$name` and
// `$arguments`. It ends with 0 where each step came out as expected.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const url = process.argv.at(-1);
const steps = JSON.parse(process.env.PMCP_STEPS);
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const folder = mkdtempSync(join(tmpdir(), "pmcp-conformance-"));

// Does what a user's browser does with the address that a login prints: it follows the
// issuer's redirects to the program.
async function browse(address) {
  const page = await fetch(address);
  await page.text();
}

function run(words) {
  const environment = { PATH: process.env.PATH, HOME: folder };
  const child = spawn(process.env.PMCP_PROGRAM, ["loadtest", ...words], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let browsed = "";
  const hear = (text) => {
    said += text;
    const address = said.match(/https?:\/\/\S+\/authorize\?\S+(?=\s)/)?.[0];
    if (address && address !== browsed) {
      browsed = address;
      browse(address).catch((error) => process.stdout.write(`browser: ${error}\n`));
    }
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  return new Promise((done) => child.on("close", (code) => done({ code, said })));
}

// The commands of a step: one, or one for each call that the suite wants.
function commands(step) {
  const words = [...step.command.split(" "), ...(step.flags ?? [])];
  const calls = words.includes("$name") ? context.toolCalls : [{}];
  return calls.map((call) => {
    const values = { ...context, url, ...call, arguments: JSON.stringify(call.arguments) };
    return words.map((word) => (word.startsWith("$") ? String(values[word.slice(1)]) : word));
  });
}

if (context.private_key_pem) {
  context.private_key = join(folder, "key.pem");
  writeFileSync(context.private_key, context.private_key_pem, { mode: 0o600 });
}
let faults = 0;
for (const step of steps) {
  for (const words of commands(step)) {
    const { code, said } = await run(words);
    const wanted = step.codes ?? [0];
    process.stdout.write(`--- ${words.join(" ")}: ${code}\n${said}\n`);
    if (!wanted.includes(code)) {
      faults += 1;
      process.stdout.write(`fault: the exit code is ${code}, not one of ${wanted}\n`);
    }
    if (step.says && !said.replace(/\s+/g, " ").includes(step.says)) {
      faults += 1;
      process.stdout.write(`fault: it does not say \`${step.says}\`\n`);
    }
  }
}
rmSync(folder, { recursive: true, force: true });
process.exitCode = faults === 0 ? 0 : 1;
