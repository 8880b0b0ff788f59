// node.mjs cometd TRANSPORTS URL, or node.mjs faye URL: verbs as lines of JSON, {"verb", "args"} in, {"value"} or {"error"} out.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [library, ...rest] = process.argv.slice(2);
const url = rest.pop();

// stdout is ours; what the libraries have to say goes to stderr
console.log = console.info = console.debug = console.warn = console.error;

async function load() {
    if (library === "cometd") {
        const { adapt } = await import("cometd-nodejs-client");
        adapt();
        const { default: verbs } = await import("../verbs/cometd.mjs");
        return verbs(url, rest[0].split(","));
    }
    const { default: verbs } = await import("../verbs/faye.mjs");
    return verbs(createRequire(import.meta.url)("faye"), url, []);
}

const verbs = await load();
for await (const line of createInterface({ input: process.stdin })) {
    const { verb, args } = JSON.parse(line);
    let answer;
    try {
        answer = { value: (await verbs[verb](...args)) ?? null };
    } catch (error) {
        answer = { error: String(error?.stack ?? error?.message ?? error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
