// Prints the cases of a JUnit file as junit2json reads them, as JSON. The first argument is
// the folder that it is installed in.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , folder, file] = process.argv;
const entry = createRequire(`${folder}/`).resolve("junit2json");
const { parse } = await import(pathToFileURL(entry));
const suites = await parse(readFileSync(file, "utf8"));
const cases = suites.testsuite.flatMap((suite) =>
  suite.testcase.map((it) => {
    const kind = ["failure", "error", "skipped"].find((kind) => it[kind]) ?? "passed";
    const message = kind === "passed" ? it["system-out"][0] : it[kind][0].message;
    return [suite.name, it.name, kind, message];
  }),
);
process.stdout.write(JSON.stringify(cases));
