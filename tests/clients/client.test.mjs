/**
 * Our browser client against a scripted Bayeux server. The ids in the names are those of BAYEUX.md.
 *
 * Run: node --test tests/clients/client.test.mjs
 */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it as test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

// The package has no package.json beside client.js, so an old Node takes that name for CommonJS.
const folder = mkdtempSync(join(tmpdir(), "bayeux-client-"));
copyFileSync(fileURLToPath(new URL("../../bayeux/web/static/client.js", import.meta.url)), join(folder, "client.mjs"));
const moduleUrl = pathToFileURL(join(folder, "client.mjs")).href;
const { BayeuxError, Client, init } = await import(moduleUrl);
after(() => rmSync(folder, { recursive: true }));

const realTimeout = globalThis.setTimeout;
const sleep = (ms) => new Promise((resolve) => realTimeout(resolve, ms));
/** Long enough for anything that would follow at once to show up; what has to follow is waited for by `until()`. */
const quiet = () => sleep(40);
const until = async (condition) => {
  while (!condition()) await sleep(2);
};
/** Without a network, enough for everything that is ready to run. */
const settle = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const it = (name, body) => test(name, { timeout: 20_000 }, body);

/** Pauses are random from 0 to the back-off: with next to nothing every retry comes at once and no test has to wait. */
function setRandom(t, value) {
  const { random } = Math;
  Math.random = () => value;
  t.after(() => (Math.random = random));
}

/** Time by hand, for clients that use `server.fetch`: the client's timers (not those of Node) fire in `advance()`. */
function fakeClock(t) {
  const { setTimeout, clearTimeout } = globalThis;
  const timers = new Map();
  let now = 0;
  let last = 0;
  globalThis.setTimeout = (callback, delay, ...args) => {
    if (!new Error().stack.includes("client.mjs")) return setTimeout(callback, delay, ...args);
    timers.set(++last, { callback, due: now + delay, delay });
    return last;
  };
  globalThis.clearTimeout = (id) => timers.delete(id) || clearTimeout(id);
  t.after(() => Object.assign(globalThis, { setTimeout, clearTimeout }));
  return {
    /** The delays of the timers that are set. */
    get delays() {
      return [...timers.values()].map(({ delay }) => delay);
    },
    /** Let everything that is ready run, then let time pass, then again. */
    async advance(ms) {
      await settle();
      now += ms;
      for (const [id, { callback, due }] of [...timers]) if (due <= now && timers.delete(id)) callback();
      await settle();
    },
  };
}

/**
 * A small Bayeux server that does as it is told. By default it behaves: it answers the first connect and those with
 * `advice.timeout` 0 at once and holds the others until `push()`, and it answers everything else with success.
 *
 * `on(channel, act, times)` scripts what happens to the next messages on a channel: `act(message)` returns fields of the
 * reply, or an HTTP status, or "cut" (the connection is lost), "hang" (no answer), a string (that body), or a promise.
 */
class FakeServer {
  requests = []; // the messages of each HTTP request
  headers = [];
  held = [];
  underWay = 0;
  mostUnderWay = 0;
  sessions = new Set();
  #rules = [];
  #watchers = new Set();
  #made = 0;

  async listen() {
    this.http = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      this.headers.push(request.headers);
      const gone = once(response, "close");
      const answer = await this.#handle(JSON.parse(body), gone);
      if (answer === "cut") request.socket.destroy();
      else if (typeof answer === "number") response.writeHead(answer).end();
      else response.writeHead(200, { "Content-Type": "application/json" }).end(answer);
    });
    this.http.listen(0, "127.0.0.1");
    await once(this.http, "listening");
    this.url = `http://127.0.0.1:${this.http.address().port}/bayeux`;
    return this;
  }

  close() {
    this.http.closeAllConnections();
    this.http.close();
  }

  /** The same server without a network, for tests with a fake clock. */
  fetch = async (url, { body, signal }) => {
    const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const aborted = gone.then(() => Promise.reject(new DOMException("aborted", "AbortError")));
    const answer = await Promise.race([this.#handle(JSON.parse(body), gone), aborted]);
    if (answer === "cut") throw new TypeError("fetch failed");
    if (typeof answer === "number") return new Response(null, { status: answer });
    return new Response(answer, { status: 200 });
  };

  on(channel, act, times = Infinity) {
    this.#rules.unshift({ channel, act, times });
  }

  off(channel) {
    this.#rules = this.#rules.filter((rule) => rule.channel !== channel);
  }

  /** All messages that came on a channel. */
  all(channel) {
    return this.requests.flat().filter((message) => message.channel === channel);
  }

  /** Wait for the nth message on a channel, counted from 1. */
  saw(channel, n = 1) {
    return this.#when(() => this.all(channel)[n - 1]);
  }

  /** Wait until a connect is held. */
  holds() {
    return this.#when(() => this.held[0]);
  }

  /** Answer the held connect with events before its reply. */
  async push(...events) {
    const { release } = await this.holds();
    release({ events });
  }

  /** Answer the held connect with fields of the reply, or as an `act` of `on()` may. */
  async release(result) {
    const { release } = await this.holds();
    release({ result });
  }

  #when(found) {
    return new Promise((resolve) => {
      const look = () => found() && this.#watchers.delete(look) | resolve(found());
      this.#watchers.add(look);
      look();
    });
  }

  #changed() {
    for (const look of [...this.#watchers]) look();
  }

  async #handle(messages, gone) {
    this.requests.push(messages);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    gone.then(() => this.underWay--);
    const answer = [];
    let broken = null;
    for (const message of messages) {
      const { events = [], result, early } = await this.#answer(message, messages.length, gone);
      if (typeof result !== "object") broken = result;
      else if (result) {
        const { channel, id, subscription } = message;
        answer.push(...events, { channel, id, subscription, ...result }, ...(early ?? []));
      }
    }
    if (broken === "hang") return new Promise(() => {});
    return broken ?? JSON.stringify(answer);
  }

  async #answer(message, company, gone) {
    const rule = this.#rules.find(({ channel, times }) => channel === message.channel && times > 0);
    if (rule) rule.times--;
    this.#changed();
    const scripted = await rule?.act(message);
    if (scripted !== undefined && typeof scripted !== "object") return { result: scripted };
    const advice = { reconnect: "retry", interval: 0, timeout: 30_000 };
    const { early, ...fields } = scripted ?? {};
    const base = { successful: true };
    if (message.channel === "/meta/handshake") {
      const clientId = `session${++this.#made}`;
      this.sessions.add(clientId);
      Object.assign(base, { version: "1.0", supportedConnectionTypes: ["long-polling"], clientId, advice });
    } else if (!this.sessions.has(message.clientId)) {
      Object.assign(base, { successful: false, error: `402:${message.clientId}:Unknown client ID` });
      if (message.channel === "/meta/connect") base.advice = { reconnect: "handshake", interval: 0 };
    } else if (message.channel === "/meta/connect") {
      base.advice = advice;
      if (!scripted && message.advice?.timeout !== 0 && company === 1) return this.#hold(base, gone);
    }
    return { result: { ...base, ...fields }, early };
  }

  #hold(base, gone) {
    return new Promise((resolve) => {
      const entry = {
        release: ({ events, result }) => {
          this.held.splice(this.held.indexOf(entry), 1);
          resolve({ events, result: typeof result === "object" || !result ? { ...base, ...result } : result });
        },
      };
      this.held.push(entry);
      this.#changed();
      gone.then(() => this.held.includes(entry) && entry.release({ result: "hang" }));
    });
  }
}

/** A server and a client of it, which is connected unless told otherwise. Both end with the test. */
async function start(t, { before, online = true, random = 1e-9, ...options } = {}) {
  setRandom(t, random);
  const server = await new FakeServer().listen();
  before?.(server);
  const states = [];
  const errors = [];
  const client = init(server.url, options);
  client.addEventListener("state", ({ detail }) => states.push(detail));
  client.addEventListener("error", (event) => {
    event.preventDefault();
    errors.push(event.detail);
  });
  t.after(async () => {
    server.close();
    await client.disconnect();
  });
  if (online) await server.holds();
  return { server, client, states, errors };
}

/** As start(), on a fake clock and without a network. */
async function startOnClock(t, { before, online = true, random = 0.5, ...options } = {}) {
  setRandom(t, random);
  const clock = fakeClock(t);
  const server = new FakeServer();
  before?.(server);
  const client = init("http://test/bayeux", { fetch: server.fetch, ...options });
  client.addEventListener("error", (event) => event.preventDefault());
  t.after(() => {
    server.on("/meta/disconnect", () => 500);
    return client.disconnect();
  });
  if (online) await server.holds();
  return { server, client, clock };
}

/** Wait for a state. */
async function reached(client, state) {
  while (client.state !== state) await once(client, "state");
}

const names = (states) => states.map(({ state }) => state);
const is = (expected) => (error) => {
  assert.ok(error instanceof BayeuxError, `${error} is not a BayeuxError`);
  assert.equal(String(error), `BayeuxError: ${error.message}`);
  for (const key of Object.keys(expected)) assert.deepEqual(error[key], expected[key], key);
  return true;
};
const published = (server, channel) => server.all(channel).map(({ data }) => data);
const subscribed = (server) => server.all("/meta/subscribe").map(({ subscription }) => subscription);

describe("connecting", () => {
  it("makes a handshake by itself (H-1, H-9), then connects", async (t) => {
    const { server, client, states } = await start(t);
    const [[handshake, ...company], [probe], [connect]] = server.requests;
    assert.deepEqual(company, []);
    assert.deepEqual(handshake, {
      id: "1",
      channel: "/meta/handshake",
      version: "1.0",
      minimumVersion: "1.0",
      supportedConnectionTypes: ["long-polling"],
    });
    const { id, ...rest } = probe;
    assert.notEqual(id, handshake.id);
    const expected = { channel: "/meta/connect", clientId: "session1", connectionType: "long-polling" };
    assert.deepEqual(rest, { ...expected, advice: { timeout: 0 } });
    assert.equal(connect.advice, undefined, "only the first connect asks for an answer at once");
    assert.equal(client.state, "connected");
    assert.deepEqual(states, [{ state: "connected", previous: "connecting", reason: undefined }]);
  });

  it("is connecting until a connect has succeeded", async (t) => {
    const { server, client, states } = await start(t, {
      online: false,
      before: (server) => {
        server.on("/meta/handshake", () => "cut", 1);
        server.on("/meta/connect", () => "cut", 1);
      },
    });
    await server.saw("/meta/connect", 2);
    assert.equal(client.state, "connecting");
    await server.holds();
    assert.deepEqual(names(states), ["connected"]);
  });

  it("posts JSON with the headers and by the fetch it was given", async (t) => {
    const calls = [];
    const spy = (url, init) => calls.push([url, init]) && fetch(url, init);
    const { server } = await start(t, { headers: { "X-CSRF": "abc" }, credentials: "include", fetch: spy });
    assert.equal(server.headers[0]["content-type"], "application/json");
    assert.equal(server.headers[0]["x-csrf"], "abc");
    assert.equal(calls[0][0], server.url);
    assert.equal(calls[0][1].credentials, "include");
  });

  it("by default talks to where it was loaded from, and sends cookies to no other origin", async (t) => {
    let call;
    const client = new Client(undefined, { fetch: async (...args) => (call = args) && new Response("[]") });
    await until(() => call);
    client.disconnect();
    assert.equal(call[0], new URL(".", moduleUrl).href);
    assert.equal(call[1].credentials, "same-origin");
  });

  it("sends options.ext with the handshake and asks again for each", async (t) => {
    let token = 0;
    const { server } = await start(t, { ext: async () => ({ token: ++token }) });
    server.sessions.clear();
    await server.release({ successful: false, error: "402::x", advice: { reconnect: "handshake", interval: 0 } });
    await server.saw("/meta/handshake", 2);
    assert.deepEqual(server.all("/meta/handshake").map(({ ext }) => ext), [{ token: 1 }, { token: 2 }]);
  });

  it("takes an object as options.ext", async (t) => {
    const { server } = await start(t, { ext: { token: "t" } });
    assert.deepEqual(server.requests[0][0].ext, { token: "t" });
  });

  it("reports an options.ext that fails, and tries again", async (t) => {
    let calls = 0;
    const ext = () => {
      if (++calls === 1) throw new Error("no token");
    };
    const { errors } = await start(t, { ext });
    assert.deepEqual(errors.map(({ error }) => error.message), ["no token"]);
    assert.equal(calls, 2);
  });

  for (const [name, answer] of [
    ["a lost connection", () => "cut"],
    ["HTTP 500", () => 500],
    ["HTTP 404", () => 404],
    ["something that is not JSON", () => "<html>"],
    ["JSON that is not an array", () => '{"channel":"/meta/handshake","successful":true,"clientId":"x"}'],
    ["an empty array", () => "[]"],
    ["an array of nonsense", () => '[null, 1, "x", [], {"id": 1}]'],
    ["a handshake reply without clientId", () => ({ clientId: undefined })],
    ["a handshake reply whose clientId is no string", () => ({ clientId: { a: 1 } })],
    ["a handshake reply without a transport of ours", () => ({ supportedConnectionTypes: ["iframe"] })],
    ["a handshake reply with another id", () => ({ id: "77" })],
  ])
    it(`takes ${name} for a network failure and tries again`, async (t) => {
      const { server, errors } = await start(t, { before: (server) => server.on("/meta/handshake", answer, 2) });
      assert.equal(server.all("/meta/handshake").length, 3);
      assert.equal(errors.length, 0);
    });
});

describe("advice", () => {
  it("interval is waited for before the next connect, exactly", async (t) => {
    const { server, clock } = await startOnClock(t);
    await server.release({ advice: { reconnect: "retry", interval: 2_000, timeout: 30_000 } });
    await clock.advance(1_999);
    assert.equal(server.all("/meta/connect").length, 2);
    await clock.advance(1);
    assert.equal(server.all("/meta/connect").length, 3);
  });

  it("replaces all earlier advice (A-2): what is left out is the default again", async (t) => {
    const { server, clock } = await startOnClock(t);
    await server.release({ advice: { reconnect: "retry", interval: 2_000, timeout: 5_000 } });
    await clock.advance(2_000);
    assert.deepEqual(clock.delays, [15_000]);
    await server.release({ advice: { timeout: 7_000 } });
    await clock.advance(0);
    assert.deepEqual(clock.delays, [17_000]);
    await server.release({ advice: {} });
    await clock.advance(0);
    assert.deepEqual(clock.delays, [70_000]);
    await server.release({ advice: { timeout: 0 } });
    await clock.advance(0);
    const probes = server.all("/meta/connect").filter(({ advice }) => advice?.timeout === 0);
    assert.ok(probes.length > 1, "0 is a time like any other");
  });

  it("in the handshake reply counts for the first connect", async (t) => {
    const { server, clock } = await startOnClock(t, {
      online: false,
      before: (server) => server.on("/meta/handshake", () => ({ advice: { reconnect: "retry", interval: 700 } })),
    });
    await clock.advance(699);
    assert.equal(server.requests.length, 1);
    await clock.advance(1);
    await server.saw("/meta/connect");
  });

  it("of nonsense is not followed", async (t) => {
    const { server, clock } = await startOnClock(t);
    for (const advice of ["none", { reconnect: 7, interval: "9", timeout: null }, { interval: NaN, timeout: -1 }, [1]]) {
      await server.release({ advice });
      await clock.advance(0);
      assert.deepEqual(clock.delays, [70_000], JSON.stringify(advice));
    }
  });

  it("with times too long for a timer does not make a tight loop", async (t) => {
    const { server, clock } = await startOnClock(t);
    await server.release({ advice: { interval: 0, timeout: 1e12 } });
    await clock.advance(0);
    assert.deepEqual(clock.delays, [2 ** 31 - 1]);
    await server.release({ advice: { interval: 1e12, timeout: 1 } });
    await clock.advance(0);
    assert.deepEqual(clock.delays, [2 ** 31 - 1]);
  });

  it("in events and in replies to publishes is ignored (A-5, A-6)", async (t) => {
    const { server, client } = await start(t);
    const advice = { reconnect: "none", interval: 60_000 };
    server.on("/a", () => ({ advice }));
    await client.publish("/a", 1);
    await server.push({ channel: "/a", data: 1, advice });
    await server.saw("/meta/connect", 3);
    assert.equal(client.state, "connected");
  });

  for (const advice of [{ reconnect: "none" }, { reconnect: "retry", interval: -1 }])
    it(`${JSON.stringify(advice)} ends the client`, async (t) => {
      const { server, client, states } = await start(t);
      server.on("/meta/subscribe", () => "hang");
      const { ready } = client.subscribe("/a", () => {});
      await server.saw("/meta/subscribe");
      await server.release({ successful: false, error: "403::Banned", advice });
      await assert.rejects(ready, is({ code: 403, text: "Banned" }));
      assert.deepEqual(names(states), ["connected", "disconnected"]);
      is({ code: 403, args: [], text: "Banned", message: "403::Banned" })(states[1].reason);
      await assert.rejects(client.publish("/a", 1), is({ code: "disconnected" }));
      await assert.rejects(client.subscribe("/b", () => {}).ready, is({ code: "disconnected" }));
      const { length } = server.requests;
      await quiet();
      assert.equal(server.requests.length, length, "nothing more is sent");
    });

  it("none with a successful reply (X-3, X-6) ends the client too, after the events", async (t) => {
    const { server, client, states } = await start(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    server.on("/meta/connect", () => ({ advice: { reconnect: "none" } }));
    await server.push({ channel: "/a", data: "last" }, { channel: "/meta/disconnect", successful: true });
    await reached(client, "disconnected");
    assert.deepEqual(heard, ["last"]);
    assert.equal(states.at(-1).reason.code, "disconnected");
  });

  it("retry with an unsuccessful connect (K-19) keeps the session but waits the back-off", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    await server.release({ successful: false, error: "503::Server too busy" });
    await clock.advance(499);
    assert.equal(client.state, "reconnecting");
    assert.equal(server.all("/meta/connect").length, 2);
    await clock.advance(1);
    await server.holds();
    assert.equal(client.state, "connected");
    assert.equal(server.all("/meta/handshake").length, 1);
  });
});

describe("a refused handshake", () => {
  it("with advice none ends the client (H-13), which says so", async (t) => {
    const { server, client, states, errors } = await start(t, {
      online: false,
      before: (server) =>
        server.on("/meta/handshake", () => ({
          successful: false,
          clientId: undefined,
          error: "401::Authentication invalid",
          advice: { reconnect: "none" },
        })),
    });
    const waiting = client.publish("/a", 1);
    const { ready } = client.subscribe("/a", () => {});
    await assert.rejects(waiting, is({ code: "disconnected" }));
    await assert.rejects(ready, is({ code: 401 }));
    assert.deepEqual(names(states), ["disconnected"]);
    assert.equal(states[0].reason.code, 401);
    assert.equal(errors.length, 1);
    is({ code: 401, args: [], text: "Authentication invalid" })(errors[0].error);
    await quiet();
    assert.equal(server.requests.length, 1);
  });

  for (const reconnect of ["handshake", "retry", undefined])
    it(`with advice ${reconnect} is followed by another handshake after the interval, never by a connect (H-12)`, async (t) => {
      const refusal = { successful: false, clientId: undefined, error: "503::x", advice: { reconnect, interval: 4_000 } };
      const { server, clock } = await startOnClock(t, {
        online: false,
        before: (server) => server.on("/meta/handshake", () => refusal, 1),
      });
      await clock.advance(3_999);
      assert.equal(server.requests.length, 1);
      await clock.advance(1);
      await server.holds();
      assert.deepEqual(server.requests.slice(0, 2).map(([{ channel }]) => channel), Array(2).fill("/meta/handshake"));
    });

  it("with interval 0 is not repeated hot", async (t) => {
    const refusal = { successful: false, clientId: undefined, error: "503::x", advice: { reconnect: "handshake", interval: 0 } };
    const { server, clock } = await startOnClock(t, {
      online: false,
      before: (server) => server.on("/meta/handshake", () => refusal),
    });
    for (const delay of [500, 1_000, 2_000]) {
      await clock.advance(0);
      assert.deepEqual(clock.delays, [delay]);
      await clock.advance(delay);
    }
    assert.equal(server.requests.length, 4);
  });
});

describe("subscribing", () => {
  it("calls back with data and message", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    const subscription = client.subscribe("/a", (...args) => heard.push(args));
    await subscription.ready;
    assert.equal(subscription.channel, "/a");
    await server.push({ channel: "/a", data: { n: 1 }, timestamp: "now" }, { channel: "/b", data: 2 });
    await server.saw("/meta/connect", 3);
    assert.deepEqual(heard, [[{ n: 1 }, { channel: "/a", data: { n: 1 }, timestamp: "now" }]]);
  });

  it("asks the server once for a channel, however many callbacks", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    const one = client.subscribe("/a", () => heard.push("one"));
    const two = client.subscribe("/a", () => heard.push("two"));
    await Promise.all([one.ready, two.ready]);
    const three = client.subscribe("/a", () => heard.push("three"));
    await three.ready;
    await server.push({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    assert.deepEqual(heard, ["one", "two", "three"]);
    one.cancel();
    client.unsubscribe(two);
    await quiet();
    assert.deepEqual(server.all("/meta/unsubscribe"), []);
    three.cancel();
    three.cancel();
    const { subscription } = await server.saw("/meta/unsubscribe");
    assert.equal(subscription, "/a");
    await quiet();
    three.cancel();
    await server.push({ channel: "/a", data: 2 });
    await server.saw("/meta/connect", 4);
    assert.equal(heard.length, 3, "an event that comes late is nobody's (N-7)");
    assert.deepEqual(subscribed(server), ["/a"]);
    assert.equal(server.all("/meta/unsubscribe").length, 1);
  });

  it("dispatches by pattern (C-7), each callback once (C-9), services never to the root patterns (C-15)", async (t) => {
    const { server, client } = await start(t);
    const heard = new Map();
    const patterns = ["/foo", "/foo/*", "/foo/**", "/foo/bar", "/*", "/**", "/service/*", "/service/**", "/service/x"];
    const note = (pattern) => (data) => heard.set(data, [...(heard.get(data) ?? []), pattern]);
    await Promise.all(patterns.map((pattern) => client.subscribe(pattern, note(pattern)).ready));
    const table = {
      "/foo": ["/foo", "/*", "/**"],
      "/foo/bar": ["/foo/*", "/foo/**", "/foo/bar", "/**"],
      "/foo/bar/boo": ["/foo/**", "/**"],
      "/foobar": ["/*", "/**"],
      "/foobar/boo": ["/**"],
      "/service/x": ["/service/*", "/service/**", "/service/x"],
      "/service/x/y": ["/service/**"],
      "/meta/x": [],
    };
    await server.push(...Object.keys(table).map((channel) => ({ channel, data: channel })));
    await server.saw("/meta/connect", 3);
    for (const [channel, expected] of Object.entries(table))
      assert.deepEqual((heard.get(channel) ?? []).sort(), expected.sort(), channel);
  });

  it("to a service asks the server nothing (C-14); its answers arrive (V-2)", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    const subscription = client.subscribe("/service/echo", (data) => heard.push(data));
    await subscription.ready;
    // V-2: the answer may carry the id of the request
    server.on("/service/echo", ({ id, data, channel }) => ({ early: [{ channel, id, data: `${data}!` }] }));
    const reply = await client.publish("/service/echo", "ping");
    assert.equal(reply.successful, true);
    assert.deepEqual(heard, ["ping!"]);
    subscription.cancel();
    await client.publish("/service/echo", "pong");
    assert.deepEqual(heard, ["ping!"]);
    assert.deepEqual([...server.all("/meta/subscribe"), ...server.all("/meta/unsubscribe")], []);
  });

  it("before the handshake is done works: all of it follows in one request, in order", async (t) => {
    const { server, client } = await start(t, { online: false });
    const service = client.subscribe("/service/x", () => {});
    const one = client.subscribe("/a", () => {});
    const said = client.publish("/a", "hello");
    const two = client.subscribe("/b/**", () => {});
    await Promise.all([one.ready, two.ready, service.ready, said]);
    const request = server.requests.find(([{ channel }]) => channel === "/meta/subscribe");
    const got = request.map(({ channel, subscription, clientId }) => [channel, subscription, clientId]);
    assert.deepEqual(got, [
      ["/meta/subscribe", "/a", "session1"],
      ["/meta/subscribe", "/b/**", "session1"],
      ["/a", undefined, "session1"],
    ]);
  });

  it("that is refused rejects, is reported and forgotten", async (t) => {
    const { server, client, errors } = await start(t);
    server.on("/meta/subscribe", () => ({ successful: false, error: "403:/secret:Subscription denied" }), 1);
    const heard = [];
    const { ready } = client.subscribe("/secret", (data) => heard.push(data));
    await assert.rejects(ready, is({ code: 403, args: ["/secret"], text: "Subscription denied" }));
    assert.deepEqual(errors.map(({ error }) => error.code), [403]);
    await server.push({ channel: "/secret", data: 1 });
    server.sessions.clear();
    await server.saw("/meta/handshake", 2);
    await server.holds();
    assert.deepEqual(subscribed(server), ["/secret"], "not asked for again");
    assert.deepEqual(heard, []);
    await client.subscribe("/secret", () => {}).ready; // but one may try again
  });

  it("that nobody waits for may be refused without ending the program", async (t) => {
    const { server, client, errors } = await start(t);
    let unhandled = 0;
    const count = () => unhandled++;
    process.on("unhandledRejection", count);
    t.after(() => process.off("unhandledRejection", count));
    server.on("/meta/subscribe", () => ({ successful: false, error: "403::no" }));
    client.subscribe("/a", () => {});
    await once(client, "error").catch(() => {});
    await quiet();
    assert.equal(errors.length, 1);
    assert.equal(unhandled, 0);
  });

  for (const [name, failure] of [
    ["a network failure", "cut"],
    ["HTTP 500", 500],
    ["429", { successful: false, error: "429::Too many requests" }],
    ["503", { successful: false, error: "503::Server too busy" }],
    ["no reply", { id: "other" }],
  ])
    it(`stays wanted after ${name}, and is asked for again`, async (t) => {
      const { server, client, errors } = await start(t);
      server.on("/meta/subscribe", () => failure, 4);
      await Promise.all([client.subscribe("/a", () => {}).ready, client.subscribe("/b", () => {}).ready]);
      const requests = server.requests.filter(([{ channel }]) => channel === "/meta/subscribe");
      assert.ok(requests.length >= 3);
      for (const request of requests) assert.equal(request.length, 2, "both in one request, each time");
      assert.deepEqual(errors, []);
      assert.equal(client.state, "connected", "the connect is not concerned");
    });

  it("cancelled before the answer: the server is told, ready rejects", async (t) => {
    const { server, client } = await start(t);
    let answer;
    server.on("/meta/subscribe", () => new Promise((resolve) => (answer = resolve)), 1);
    const subscription = client.subscribe("/a", () => {});
    await server.saw("/meta/subscribe");
    subscription.cancel();
    await assert.rejects(subscription.ready, is({ code: "cancelled" }));
    answer();
    await server.saw("/meta/unsubscribe");
  });

  it("wanted again while the server is being told otherwise ends subscribed", async (t) => {
    const { server, client } = await start(t);
    const first = client.subscribe("/a", () => {});
    await first.ready;
    let answer;
    server.on("/meta/unsubscribe", () => new Promise((resolve) => (answer = resolve)), 1);
    first.cancel();
    await server.saw("/meta/unsubscribe");
    const again = client.subscribe("/a", () => {});
    answer();
    await again.ready;
    assert.deepEqual(server.requests.flat().map(({ channel }) => channel).slice(-2), ["/meta/unsubscribe", "/meta/subscribe"]);
  });

  it("an unsubscribe lost on the way is repeated", async (t) => {
    const { server, client } = await start(t);
    const subscription = client.subscribe("/a", () => {});
    await subscription.ready;
    server.on("/meta/unsubscribe", () => "cut", 2);
    subscription.cancel();
    await server.saw("/meta/unsubscribe", 3);
    await quiet();
    assert.equal(server.all("/meta/unsubscribe").length, 3);
  });

  it("refuses what cannot be a channel or a callback", async (t) => {
    const { client } = await start(t);
    for (const channel of [undefined, 7, "", "a", { toString: () => "/a" }])
      assert.throws(() => client.subscribe(channel, () => {}), TypeError);
    assert.throws(() => client.subscribe("/a"), TypeError);
    await assert.rejects(client.publish("a", 1), TypeError);
  });
});

describe("callbacks", () => {
  it("that throw disturb no other and are reported with the message", async (t) => {
    const { server, client, errors } = await start(t);
    const heard = [];
    client.subscribe("/a", () => {
      throw new Error("oops");
    });
    client.subscribe("/a", (data) => heard.push(data));
    await client.subscribe("/**", (data) => heard.push(data)).ready;
    await server.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    await server.saw("/meta/connect", 3);
    assert.deepEqual(heard, [1, 1, 2, 2]);
    assert.deepEqual(errors.map(({ error, message }) => [error.message, message.data]), [["oops", 1], ["oops", 2]]);
  });

  it("errors go to the console unless a listener takes care", async (t) => {
    const { server, client } = await start(t);
    const printed = [];
    const { error } = console;
    console.error = (...args) => printed.push(...args);
    t.after(() => (console.error = error));
    const fail = new Client(server.url, { ext: () => Promise.reject(new Error("unseen")) });
    t.after(() => fail.disconnect());
    await until(() => printed.length);
    assert.equal(printed[0].message, "unseen");
    await fail.disconnect();
    const { length } = printed;
    const { ready } = client.subscribe("/a", () => {
      throw new Error("seen");
    });
    await ready;
    await server.push({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    assert.equal(printed.length, length);
  });

  it("that cancel another are obeyed at once; new ones wait for the next event", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    client.subscribe("/a", () => {
      later.cancel();
      client.subscribe("/a", (data) => heard.push(`new ${data}`));
    });
    const later = client.subscribe("/a", (data) => heard.push(data));
    await later.ready;
    await server.push({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    assert.deepEqual(heard, []);
  });

  it("that disconnect get nothing more", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data) && client.disconnect()).ready;
    await server.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    await server.saw("/meta/disconnect");
    assert.deepEqual(heard, [1]);
    assert.equal(client.state, "disconnected");
  });

  it("see only what is an event: nonsense between events is skipped", async (t) => {
    const { server, client } = await start(t);
    const heard = [];
    await client.subscribe("/**", (data) => heard.push(data)).ready;
    await server.push(
      null,
      7,
      "x",
      [],
      { data: 1 },
      { channel: 7, data: 2 },
      { channel: "/a" },
      { channel: "/a", data: 3, successful: true },
      { channel: "/a", data: null },
    );
    await server.saw("/meta/connect", 3);
    assert.deepEqual(heard, [null]);
  });
});

describe("publishing", () => {
  it("resolves with the reply", async (t) => {
    const { server, client } = await start(t);
    const reply = await client.publish("/a", { text: "hi" });
    const { id, ...message } = await server.saw("/a");
    assert.deepEqual(message, { channel: "/a", data: { text: "hi" }, clientId: "session1" });
    assert.deepEqual(reply, { channel: "/a", id, successful: true });
  });

  for (const [error, expected] of [
    ["403:/a,b:Publish denied", { code: 403, args: ["/a", "b"], text: "Publish denied", message: "403:/a,b:Publish denied" }],
    ["413::Message too large", { code: 413, args: [], text: "Message too large", message: "413::Message too large" }],
    ["what: ever", { code: 0, args: [], text: "what: ever" }],
    [undefined, { code: 0, args: [], text: "Refused" }],
    [{ a: 1 }, { code: 0, args: [], text: "[object Object]" }],
  ])
    it(`rejects with the error ${JSON.stringify(error)} (E-1)`, async (t) => {
      const { server, client } = await start(t);
      server.on("/a", () => ({ successful: false, error }));
      await assert.rejects(client.publish("/a", 1), is(expected));
    });

  for (const [name, failure, text] of [
    ["a lost connection", "cut", undefined],
    ["HTTP 502", 502, "HTTP 502"],
    ["no reply to it", { id: "x" }, "No reply"],
  ])
    it(`rejects as "network" after ${name}, and is not sent again (N-8)`, async (t) => {
      const { server, client } = await start(t);
      server.on("/a", () => failure, 1);
      await assert.rejects(client.publish("/a", 1), is({ code: "network", ...(text && { text }) }));
      await quiet();
      assert.deepEqual(published(server, "/a"), [1]);
      await client.publish("/a", 2); // the next one is not held up
    });

  it("takes a copy, and undefined for null (M-28)", async (t) => {
    const { server, client } = await start(t);
    const data = { n: 1 };
    const said = client.publish("/a", data);
    data.n = 2;
    await said;
    await client.publish("/a");
    assert.deepEqual(published(server, "/a"), [{ n: 1 }, null]);
  });

  it("what is not JSON fails alone", async (t) => {
    const { client } = await start(t);
    const circle = {};
    circle.circle = circle;
    const [bad, worse, good] = await Promise.allSettled([
      client.publish("/a", circle),
      client.publish("/a", 1n),
      client.publish("/a", 1),
    ]);
    assert.deepEqual([bad.status, worse.status, good.status], ["rejected", "rejected", "fulfilled"]);
  });

  it("in one turn takes one request", async (t) => {
    const { server, client } = await start(t);
    await Promise.all([client.publish("/a", 1), client.subscribe("/b", () => {}).ready, client.publish("/a", 2)]);
    assert.deepEqual(server.requests.at(-1).map(({ channel }) => channel), ["/a", "/meta/subscribe", "/a"]);
  });

  it("while another request is under way waits for it: two requests at most (K-17)", async (t) => {
    const { server, client } = await start(t);
    let answer;
    server.on("/a", () => new Promise((resolve) => (answer = resolve)), 1);
    const all = [client.publish("/a", 1)];
    await server.saw("/a");
    for (const n of [2, 3, 4]) {
      all.push(client.publish("/a", n));
      await quiet();
    }
    assert.equal(server.all("/a").length, 1);
    answer();
    await Promise.all(all);
    assert.deepEqual(server.requests.at(-1).map(({ data }) => data), [2, 3, 4]);
    assert.equal(server.mostUnderWay, 2);
  });

  it("with 402 rejects; the session is only given up when the connect learns of it", async (t) => {
    const { server, client } = await start(t);
    const unknown = () => ({ successful: false, error: "402:session1:Unknown client ID" });
    server.on("/a", unknown);
    server.on("/meta/subscribe", unknown, 1);
    await assert.rejects(client.publish("/a", 1), is({ code: 402, args: ["session1"] }));
    const { ready } = client.subscribe("/b", () => {});
    await server.saw("/meta/subscribe");
    await quiet();
    assert.equal(server.all("/meta/handshake").length, 1);
    assert.equal(server.all("/meta/subscribe").length, 1);
    assert.equal(client.state, "connected");
    server.sessions.clear();
    await server.push();
    await ready;
    assert.deepEqual(subscribed(server), ["/b", "/b"]);
  });
});

describe("batch", () => {
  it("is one request, in order, and returns what the function returns", async (t) => {
    const { server, client } = await start(t);
    let said;
    const result = client.batch(() => {
      said = client.publish("/a", 1);
      client.batch(() => client.subscribe("/b", () => {}));
      client.publish("/a", 2);
      return "result";
    });
    assert.equal(result, "result");
    await said;
    const [request] = server.requests.slice(-1);
    assert.deepEqual(request.map(({ channel }) => channel), ["/a", "/meta/subscribe", "/a"]);
  });

  it("is not torn apart by the limit of 100 messages, which holds for every request (G-5)", async (t) => {
    const { server, client } = await start(t);
    const all = [];
    const publish = (label, n) => {
      for (let i = 0; i < n; i++) all.push(client.publish("/a", label));
    };
    publish("single", 60);
    client.batch(() => publish("batch", 60));
    client.batch(() => publish("long", 150));
    await Promise.all(all);
    const requests = server.requests.filter(([{ channel }]) => channel === "/a");
    const shape = requests.map((request) => request.map(({ data }) => data));
    const repeat = (label, n) => Array(n).fill(label);
    assert.deepEqual(shape, [repeat("single", 60), repeat("batch", 60), repeat("long", 100), repeat("long", 50)]);
  });

  it("or no batch, 100 messages still are one request", async (t) => {
    const { server, client } = await start(t);
    await Promise.all(Array.from({ length: 101 }, (_, n) => client.publish("/a", n)));
    const requests = server.requests.filter(([{ channel }]) => channel === "/a");
    assert.deepEqual(requests.map(({ length }) => length), [100, 1]);
  });

  it("whose function throws still sends what was asked for", async (t) => {
    const { server, client } = await start(t);
    const fails = () => {
      client.publish("/a", 1);
      throw new Error("mine");
    };
    assert.throws(() => client.batch(fails), /mine/);
    await server.saw("/a");
    await client.publish("/a", 2);
    assert.deepEqual(server.requests.at(-1).map(({ data }) => data), [2], "and the next one is no part of it");
  });
});

describe("a lost connection", () => {
  it("in mid connect: reconnecting, a connect that is answered at once, connected; the session stays", async (t) => {
    const { server, client, states } = await start(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    await server.release("cut");
    await server.saw("/meta/connect", 4);
    await server.push({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 5);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
    assert.equal(states[1].previous, "connected");
    is({ code: "network" })(states[1].reason);
    const held = server.all("/meta/connect").map(({ advice }) => advice?.timeout !== 0);
    assert.deepEqual(held, [false, true, false, true, true]);
    assert.equal(server.all("/meta/handshake").length, 1);
    assert.deepEqual(subscribed(server), ["/a"]);
    assert.deepEqual(heard, [1]);
  });

  it("while one is away publishes fail, subscriptions wait", async (t) => {
    const { server, client } = await start(t);
    for (const channel of ["/meta/connect", "/meta/subscribe", "/a"]) server.on(channel, () => "cut");
    await server.release("cut");
    await reached(client, "reconnecting");
    await assert.rejects(client.publish("/a", 1), is({ code: "network" }));
    const { ready } = client.subscribe("/b", () => {});
    await server.saw("/meta/subscribe", 2);
    for (const channel of ["/meta/connect", "/meta/subscribe", "/a"]) server.off(channel);
    await ready;
    await reached(client, "connected");
  });

  it("the server down and up again: a new session, subscribed as before", async (t) => {
    const { server, client, states } = await start(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    client.subscribe("/b", () => {});
    await client.subscribe("/gone", () => {}).ready;
    const { port } = server.http.address();
    server.close();
    await once(server.http, "close");
    await reached(client, "reconnecting");
    server.sessions.clear();
    server.http.listen(port, "127.0.0.1");
    await server.saw("/meta/handshake", 2);
    await reached(client, "connected");
    await server.push({ channel: "/a", data: "after" });
    await server.saw("/meta/subscribe", 6);
    await until(() => heard.length);
    await quiet();
    assert.deepEqual(heard, ["after"]);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
    assert.deepEqual(subscribed(server).slice(3), ["/a", "/b", "/gone"]);
  });

  it("is retried after an exponential back-off with full jitter, limited, and reset by success", async (t) => {
    const { server, client, clock } = await startOnClock(t, { maxBackoff: 5_000 });
    server.on("/meta/connect", () => "cut");
    await server.release("cut");
    const delays = [];
    for (const random of [0.5, 0.5, 0.5, 0.5, 0.25, 1]) {
      await clock.advance(0);
      assert.equal(clock.delays.length, 1);
      delays.push(clock.delays[0]);
      Math.random = () => random;
      await clock.advance(clock.delays[0]);
    }
    assert.deepEqual(delays, [500, 1_000, 2_000, 2_500, 2_500, 1_250]);
    server.off("/meta/connect");
    await clock.advance(5_000);
    await server.holds();
    assert.equal(client.state, "connected");
    Math.random = () => 0.5;
    await server.release("cut");
    await clock.advance(0);
    assert.deepEqual(clock.delays, [500]);
  });

  it("waits 30 s at most by default", async (t) => {
    const { server, clock } = await startOnClock(t, { random: 1 });
    server.on("/meta/connect", () => "cut");
    await server.release("cut");
    for (const delay of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      await clock.advance(0);
      assert.deepEqual(clock.delays, [delay]);
      await clock.advance(delay);
    }
  });

  it("an interval longer than the back-off counts", async (t) => {
    const { server, clock } = await startOnClock(t);
    await server.release({ advice: { reconnect: "retry", interval: 9_000, timeout: 1_000 } });
    await clock.advance(9_000);
    await server.release("cut");
    await clock.advance(0);
    assert.deepEqual(clock.delays, [9_000]);
  });

  it("subscriptions are retried with their own growing back-off, but at once when the connection is back", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    server.on("/meta/subscribe", () => "cut");
    const { ready } = client.subscribe("/a", () => {});
    for (const delay of [500, 1_000, 2_000]) {
      await clock.advance(0);
      assert.deepEqual(clock.delays, [40_000, delay]);
      await clock.advance(delay);
    }
    server.off("/meta/subscribe");
    await server.push();
    await clock.advance(0);
    assert.equal(server.all("/meta/subscribe").length, 4, "a connect that just goes on says nothing new");
    await server.release("cut");
    await clock.advance(500);
    await ready;
    server.on("/meta/subscribe", () => "cut", 1);
    client.subscribe("/b", () => {});
    await clock.advance(0);
    assert.ok(clock.delays.includes(500), "success has reset it");
  });

  it("on a connect answered 409 (K-12b) the client stays connected, and waits before the next", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    server.on("/meta/connect", () => 409, 3);
    for (const delay of [500, 1_000, 2_000]) {
      if (delay === 500) await server.release(409);
      await clock.advance(0);
      assert.deepEqual(clock.delays, [delay]);
      assert.equal(client.state, "connected");
      await clock.advance(delay);
    }
    const connects = server.all("/meta/connect").slice(2);
    assert.deepEqual(connects.map(({ advice }) => advice), [undefined, undefined, undefined]);
  });

  it("a hung connect is given up 10 s after the server should have answered (N-3)", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    await clock.advance(39_999);
    assert.equal(client.state, "connected");
    await clock.advance(1);
    assert.equal(client.state, "reconnecting");
    assert.equal(server.held.length, 0, "and aborted");
  });

  for (const [channel, act] of [
    ["/meta/handshake", () => {}],
    ["/meta/connect", () => {}],
    ["/a", (client) => client.publish("/a", 1)],
  ])
    it(`a hung ${channel} that should be answered at once is given up after 10 s`, async (t) => {
      const { server, client, clock } = await startOnClock(t, {
        online: false,
        before: (server) => server.on(channel, () => "hang", 1),
      });
      const outcome = act(client)?.catch((error) => error);
      await server.saw(channel);
      await clock.advance(9_999);
      assert.equal(server.all(channel).length, 1);
      await clock.advance(1);
      if (outcome) is({ code: "network", text: "No answer in time" })(await outcome);
      else {
        await clock.advance(500);
        assert.equal(server.all(channel).length > 1, true);
      }
    });

  it("an answer that stops in the middle of the body is given up too", async (t) => {
    const clock = fakeClock(t);
    let calls = 0;
    const stalled = (url, { signal }) =>
      ++calls &&
      Promise.resolve({
        ok: true,
        json: () => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))),
      });
    setRandom(t, 1e-9);
    const client = init("http://test/", { fetch: stalled });
    t.after(() => client.disconnect());
    await clock.advance(9_999);
    assert.equal(calls, 1);
    await clock.advance(1);
    await clock.advance(1);
    assert.equal(calls, 2);
  });
});

describe("a lost session", () => {
  it("is replaced at once as advised (K-4); subscriptions come first, in one request, then what waits", async (t) => {
    const { server, client, states } = await start(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    await client.subscribe("/b/*", () => {}).ready;
    server.sessions.clear();
    let admit;
    server.on("/meta/handshake", () => new Promise((resolve) => (admit = resolve)), 1);
    await server.push();
    await server.saw("/meta/handshake", 2);
    assert.equal(client.state, "reconnecting");
    const said = client.publish("/a", "while away");
    const added = client.subscribe("/c", () => {});
    await quiet();
    assert.equal(server.all("/a").length, 0);
    admit();
    await Promise.all([said, added.ready]);
    await reached(client, "connected");
    await server.push({ channel: "/a", data: "new" });
    await server.saw("/meta/connect", 6);
    assert.deepEqual(heard, ["new"]);
    const request = server.requests.find(([{ clientId, channel }]) => clientId === "session2" && channel === "/meta/subscribe");
    const got = request.map(({ channel, subscription, clientId }) => [channel, subscription, clientId]);
    assert.deepEqual(got, [
      ["/meta/subscribe", "/a", "session2"],
      ["/meta/subscribe", "/b/*", "session2"],
      ["/meta/subscribe", "/c", "session2"],
      ["/a", undefined, "session2"],
    ]);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
    is({ code: 402, args: ["session1"] })(states[1].reason);
  });

  it("waits the interval that the server advises (Q-10)", async (t) => {
    const { server, clock } = await startOnClock(t);
    const advice = { reconnect: "handshake", interval: 3_000, timeout: 30_000 };
    await server.release({ successful: false, error: "503::Server too busy", advice });
    await clock.advance(2_999);
    assert.equal(server.all("/meta/handshake").length, 1);
    await clock.advance(1);
    assert.equal(server.all("/meta/handshake").length, 2);
  });

  it("again and again, before any connect succeeds, is not pressed", async (t) => {
    const { server, clock } = await startOnClock(t);
    const advice = { reconnect: "handshake", interval: 0 };
    server.on("/meta/connect", () => ({ successful: false, error: "402::Unknown client ID", advice }));
    await server.push();
    await clock.advance(0);
    for (const delay of [500, 1_000, 2_000]) {
      assert.deepEqual(clock.delays, [delay]);
      await clock.advance(delay);
    }
    assert.equal(server.all("/meta/handshake").length, 5);
  });

  it("a subscription that the new session is refused is reported", async (t) => {
    const { server, client, errors } = await start(t);
    const subscription = client.subscribe("/a", () => {});
    await subscription.ready;
    server.on("/meta/subscribe", () => ({ successful: false, error: "403:/a:Subscription denied" }));
    server.sessions.clear();
    await server.push();
    await server.saw("/meta/subscribe", 2);
    await until(() => errors.length);
    await reached(client, "connected");
    await quiet();
    assert.deepEqual(errors.map(({ error }) => error.message), ["403:/a:Subscription denied"]);
    assert.equal(client.state, "connected");
  });

  it("an unsubscribe under way for it is not repeated for the new one", async (t) => {
    const { server, client } = await start(t);
    const subscription = client.subscribe("/a", () => {});
    await subscription.ready;
    let answer;
    server.on("/meta/unsubscribe", () => new Promise((resolve) => (answer = resolve)), 1);
    subscription.cancel();
    await server.saw("/meta/unsubscribe");
    server.sessions.clear();
    await server.push();
    await server.saw("/meta/connect", 5);
    answer();
    await quiet();
    assert.deepEqual(subscribed(server), ["/a"]);
    assert.equal(server.all("/meta/unsubscribe").length, 1);
  });
});

describe("disconnecting", () => {
  it("sends what waits, tells the server, drops the connect, and is final", async (t) => {
    const { server, client, states } = await start(t);
    const said = client.publish("/a", "bye");
    const done = client.disconnect();
    assert.equal(client.state, "disconnected");
    assert.equal(client.disconnect(), done);
    await done;
    await said;
    assert.deepEqual(server.requests.at(-1).map(({ channel }) => channel), ["/a", "/meta/disconnect"]);
    const { length } = server.requests;
    await until(() => server.held.length === 0);
    await quiet();
    assert.equal(server.requests.length, length);
    assert.deepEqual(states.slice(1), [{ state: "disconnected", previous: "connected", reason: undefined }]);
    await assert.rejects(client.publish("/a", 1), is({ code: "disconnected" }));
  });

  it("gives the connect up at once, even if the server is slow to hear of it", async (t) => {
    const { server, client } = await start(t);
    let answer;
    server.on("/meta/disconnect", () => new Promise((resolve) => (answer = resolve)));
    const done = client.disconnect();
    await server.saw("/meta/disconnect");
    await until(() => server.held.length === 0);
    await quiet();
    assert.equal(server.all("/meta/connect").length, 2);
    answer();
    await done;
  });

  it("resolves when the server cannot be told", async (t) => {
    const { server, client } = await start(t);
    server.on("/meta/disconnect", () => "cut");
    await client.disconnect();
    assert.equal(client.state, "disconnected");
  });

  it("before there is a session sends nothing, and what waits is rejected", async (t) => {
    const { server, client } = await start(t, { online: false, before: (server) => server.on("/meta/handshake", () => "hang") });
    const said = client.publish("/a", 1);
    const { ready } = client.subscribe("/a", () => {});
    await server.saw("/meta/handshake");
    await client.disconnect();
    await assert.rejects(said, is({ code: "disconnected" }));
    await assert.rejects(ready, is({ code: "disconnected" }));
    await until(() => server.underWay === 0); // the handshake is aborted
    await quiet();
    assert.equal(server.requests.length, 1);
  });

  it("in a batch before there is a session leaves no promise open", async (t) => {
    const { client } = await start(t, { online: false, before: (server) => server.on("/meta/handshake", () => "hang") });
    let said;
    client.batch(() => {
      said = client.publish("/a", 1);
      client.disconnect();
    });
    await assert.rejects(said, is({ code: "disconnected" }));
  });

  it("while options.ext is being made sends no handshake", async (t) => {
    let finish;
    const { server, client } = await start(t, { online: false, ext: () => new Promise((resolve) => (finish = resolve)) });
    await client.disconnect();
    finish({});
    await quiet();
    assert.deepEqual(server.requests, []);
  });

  it("while options.ext is being made makes its failure uninteresting", async (t) => {
    let fail;
    const { client, errors } = await start(t, { online: false, ext: () => new Promise((_, reject) => (fail = reject)) });
    await client.disconnect();
    fail(new Error("too late"));
    await quiet();
    assert.deepEqual(errors, []);
  });

  it("leaves no timer behind", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    server.on("/meta/subscribe", () => "cut");
    client.subscribe("/a", () => {});
    await clock.advance(0);
    assert.equal(clock.delays.length, 2);
    await client.disconnect();
    await clock.advance(0);
    assert.deepEqual(clock.delays, []);
  });

  it("by advice leaves no timer behind either", async (t) => {
    const { server, client, clock } = await startOnClock(t);
    server.on("/meta/subscribe", () => "cut");
    client.subscribe("/a", () => {});
    await clock.advance(0);
    await server.release({ successful: false, error: "403::x", advice: { reconnect: "none" } });
    await clock.advance(0);
    assert.equal(client.state, "disconnected");
    assert.deepEqual(clock.delays, []);
  });

  it("and connecting leave no listener behind on what lives longer than a request", async (t) => {
    const open = new Map();
    const { addEventListener, removeEventListener } = AbortSignal.prototype;
    t.after(() => Object.assign(AbortSignal.prototype, { addEventListener, removeEventListener }));
    const count = (signal, n) => open.set(signal, (open.get(signal) ?? 0) + n);
    AbortSignal.prototype.addEventListener = function (...args) {
      count(this, 1);
      return addEventListener.apply(this, args);
    };
    AbortSignal.prototype.removeEventListener = function (...args) {
      count(this, -1);
      return removeEventListener.apply(this, args);
    };
    const { server } = await startOnClock(t);
    for (let n = 0; n < 20; n++) {
      await server.push();
      await settle();
    }
    assert.equal(server.all("/meta/connect").length, 22);
    assert.ok(open.size > 20);
    assert.ok(Math.max(...open.values()) <= 2, `${[...open.values()]}`);
  });
});

describe("in a page", () => {
  /** Node has no page: give it the events of one. */
  function page(t) {
    const target = new EventTarget();
    globalThis.addEventListener = target.addEventListener.bind(target);
    t.after(() => delete globalThis.addEventListener);
    const fire = (type, fields) => target.dispatchEvent(Object.assign(new Event(type), fields));
    return Object.assign(fire, { target });
  }

  it("pagehide sends what waits and the disconnect in one request that outlives the page", async (t) => {
    const fire = page(t);
    const calls = [];
    const spy = (url, init) => calls.push(init) && fetch(url, init);
    const { server, client } = await start(t, { fetch: spy });
    const said = client.publish("/a", "last words");
    fire("pagehide", { persisted: false });
    assert.equal(calls.at(-1).keepalive, true, "sent before the handler returns");
    assert.deepEqual(calls.slice(0, -1).map(({ keepalive }) => keepalive), [false, false, false]);
    await said;
    assert.deepEqual(server.requests.at(-1).map(({ channel, clientId }) => [channel, clientId]), [
      ["/a", "session1"],
      ["/meta/disconnect", "session1"],
    ]);
    await until(() => server.held.length === 0); // the connect is aborted
    await quiet();
    assert.equal(server.requests.length, 4);
    assert.equal(client.state, "reconnecting");
  });

  it("pageshow of a page from the back/forward cache makes a new session, subscribed as before", async (t) => {
    const fire = page(t);
    const { server, client, states } = await start(t);
    await client.subscribe("/a", () => {}).ready;
    fire("pageshow", { persisted: false });
    await quiet();
    assert.equal(server.all("/meta/handshake").length, 1, "as always after loading");
    fire("pagehide", { persisted: true });
    await server.saw("/meta/disconnect");
    fire("pageshow", { persisted: true });
    await reached(client, "connected");
    await server.saw("/meta/subscribe", 2);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
  });

  it("an answer that comes for all that after the page has been away does not disturb the new session", async (t) => {
    const fire = page(t);
    let late;
    const { server } = await start(t, {
      online: false,
      fetch: (url, { signal, ...init }) => fetch(url, init),
      before: (server) => server.on("/meta/handshake", () => new Promise((resolve) => (late = resolve)), 1),
    });
    await server.saw("/meta/handshake");
    fire("pagehide", { persisted: true });
    fire("pageshow", { persisted: true });
    await server.holds();
    late();
    await quiet();
    await server.push();
    await server.saw("/meta/connect", 3);
    const sessions = server.all("/meta/connect").map(({ clientId }) => clientId);
    assert.deepEqual(sessions, ["session1", "session1", "session1"]);
  });

  it("a client that was disconnected stays so", async (t) => {
    const fire = page(t);
    const { server, client } = await start(t);
    await client.disconnect();
    const { length } = server.requests;
    fire("pagehide", { persisted: true });
    fire("pageshow", { persisted: true });
    fire("online");
    await quiet();
    assert.equal(server.requests.length, length);
    assert.equal(client.state, "disconnected");
    for (const type of ["pagehide", "pageshow", "online"]) assert.deepEqual(getEventListeners(fire.target, type), []);
  });

  it("a client that is just being disconnected is so when the page comes back", async (t) => {
    const fire = page(t);
    const { server, client } = await start(t);
    server.on("/meta/disconnect", () => "hang", 1);
    client.disconnect();
    await server.saw("/meta/disconnect");
    fire("pagehide", { persisted: true });
    fire("pageshow", { persisted: true });
    await quiet();
    assert.equal(server.all("/meta/handshake").length, 1);
    server.close();
  });

  it("online makes a new connect instead of the held one, which may hang in the network that is gone", async (t) => {
    const fire = page(t);
    const { server, client, states } = await start(t);
    const [old] = server.held;
    fire("online");
    const { clientId } = await server.saw("/meta/connect", 3);
    assert.equal(clientId, "session1");
    await until(() => server.held.length === 1 && server.held[0] !== old);
    await quiet();
    assert.deepEqual(names(states), ["connected"]);
    assert.equal(client.state, "connected");
  });

  it("online ends all pauses", async (t) => {
    const fire = page(t);
    const { server, clock, client } = await startOnClock(t);
    server.on("/meta/subscribe", () => "cut", 1);
    const { ready } = client.subscribe("/a", () => {});
    await server.release("cut");
    await clock.advance(0);
    assert.equal(client.state, "reconnecting");
    assert.deepEqual(clock.delays, [500, 500]);
    fire("online");
    await ready;
    await server.holds();
    assert.equal(client.state, "connected");
  });
});
