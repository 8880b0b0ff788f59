// node.mjs LIBRARY PARAMETERS URL: verbs as lines of JSON, {"verb", "args"} in, {"value"} or {"error"} out.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [library, parameters, url] = process.argv.slice(2);

// stdout is ours; what the libraries have to say goes to stderr
console.log = console.info = console.debug = console.warn = console.error;

const LIBRARIES = {
    cometd: async () => {
        const { adapt } = await import("cometd-nodejs-client");
        adapt();
        return [];
    },
    faye: () => [createRequire(import.meta.url)("faye")],
    own: async () => {
        const source = await (await fetch(`${url}/client.js`)).text();
        const { init } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
        return [init];
    },
};

async function load() {
    const needs = await LIBRARIES[library]();
    const { default: verbs } = await import(`../verbs/${library}.mjs`);
    const more = library === "own" ? [(await import("ws")).WebSocket] : [];
    return verbs(...needs, url, ...more, JSON.parse(parameters));
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
