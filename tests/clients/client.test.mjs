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
  requests = []; // the messages of each HTTP request and of each frame
  carriers = []; // what these came by
  headers = [];
  held = [];
  underWay = 0;
  mostUnderWay = 0;
  sessions = new Set();
  offers = ["long-polling"];
  acks = null; // with the ack extension: clientId -> {number, queue: [{event, number}]}
  #rules = [];
  #watchers = new Set();
  #made = 0;

  async listen() {
    this.http = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      this.headers.push(request.headers);
      const gone = once(response, "close");
      const answer = await this.#handle(JSON.parse(body), gone, "long-polling");
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
    const answer = await Promise.race([this.#handle(JSON.parse(body), gone, "long-polling"), aborted]);
    if (answer === "cut") throw new TypeError("fetch failed");
    if (typeof answer === "number") return new Response(null, { status: answer });
    return new Response(answer, { status: 200 });
  };

  /** What comes on a socket. */
  async frame(socket, messages) {
    let answered;
    const over = Promise.race([socket.gone, new Promise((resolve) => (answered = resolve))]);
    const answer = await this.#handle(messages, over, "websocket");
    answered();
    if (answer === "cut" || typeof answer === "number") socket.drop();
    else socket.says(answer);
  }

  /** With the ack extension: what is not acknowledged is in the answer to every connect. */
  publish(event) {
    for (const { queue } of this.acks.values()) queue.push({ event });
    for (const { release } of [...this.held]) release({});
  }

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

  /** "websocket /a" for a message on /a that came by a socket. */
  get journal() {
    return this.requests.flatMap((messages, n) => messages.map(({ channel }) => `${this.carriers[n]} ${channel}`));
  }

  #changed() {
    for (const look of [...this.#watchers]) look();
  }

  async #handle(messages, gone, carrier) {
    this.requests.push(messages);
    this.carriers.push(carrier);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    gone.then(() => this.underWay--);
    const answer = [];
    let broken = null;
    for (const message of messages) {
      const { events = [], result, early } = await this.#answer(message, messages.length, gone, carrier);
      if (typeof result !== "object") broken = result;
      else if (result) {
        const { channel, id, subscription, clientId } = message;
        const acks = channel === "/meta/connect" && result.successful && this.acks?.get(clientId);
        if (acks) {
          result.ext = { ack: ++acks.number };
          for (const entry of acks.queue) events.push(entry.event) && (entry.number ??= acks.number);
        }
        answer.push(...events, { channel, id, subscription, ...result }, ...(early ?? []));
      }
    }
    if (broken === "hang") return new Promise(() => {});
    if (this.loses?.(messages)) return "cut"; // what was written
    return broken ?? JSON.stringify(answer);
  }

  async #answer(message, company, gone, carrier) {
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
      Object.assign(base, { version: "1.0", supportedConnectionTypes: this.offers, clientId, advice });
      if (this.acks) Object.assign(base, { ext: { ack: true } }) && this.acks.set(clientId, { number: 0, queue: [] });
    } else if (!this.sessions.has(message.clientId)) {
      Object.assign(base, { successful: false, error: `402:${message.clientId}:Unknown client ID` });
      if (message.channel === "/meta/connect") base.advice = { reconnect: "handshake", interval: 0 };
    } else if (message.channel === "/meta/connect") {
      base.advice = advice;
      for (const { clientId, supersede } of [...this.held]) if (clientId === message.clientId) supersede();
      const acks = this.acks?.get(message.clientId);
      if (acks) acks.queue = acks.queue.filter(({ number }) => !(number <= message.ext.ack));
      if (acks?.queue.length) return { result: base };
      if (!scripted && message.advice?.timeout !== 0 && company === 1) return this.#hold(message, base, gone, carrier);
    }
    return { result: { ...base, ...fields }, early };
  }

  #hold({ clientId }, base, gone, carrier) {
    return new Promise((resolve) => {
      const entry = {
        clientId,
        carrier,
        supersede: () => entry.release({ result: carrier === "websocket" ? "hang" : 409 }), // K-12
        release: ({ events, result }) => {
          this.held = this.held.filter((other) => other !== entry);
          resolve({ events, result: typeof result === "object" || !result ? { ...base, ...result } : result });
        },
      };
      this.held.push(entry);
      this.#changed();
      gone.then(() => this.held.includes(entry) && entry.release({ result: "hang" }));
    });
  }
}

/** The sockets of a page, to a fake server: they open at once, unless `FakeSocket.opens` says otherwise. */
function fakeWebSocket(server) {
  return class FakeSocket extends EventTarget {
    static all = [];
    static opens = true;
    readyState = 0;
    sent = [];
    gone = new Promise((resolve) => (this.left = resolve));

    static get last() {
      return this.all.at(-1);
    }

    constructor(url) {
      super();
      this.url = url;
      FakeSocket.all.push(this);
      if (FakeSocket.opens) setImmediate(() => this.open());
    }

    open() {
      if (this.readyState === 0) this.#fire("open", 1);
    }

    send(text) {
      assert.equal(this.readyState, 1, "sent on a socket that is not open");
      this.sent.push(...JSON.parse(text));
      setImmediate(() => server.frame(this, JSON.parse(text)));
    }

    /** A frame from the server; a socket that the page has closed may still have some. */
    says(frame) {
      if (this.readyState === 3) return;
      this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
    }

    /** The connection is lost. */
    drop() {
      this.#fire("error", 3);
      this.#fire("close", 3);
      this.left();
    }

    close() {
      if (this.readyState < 2) this.readyState = 2; // as a peer that is gone would leave it
      this.left();
    }

    #fire(type, state) {
      this.readyState = state;
      const event = new Event(type);
      this[`on${type}`]?.(event);
      this.dispatchEvent(event);
    }
  };
}

/** A server and a client of it, which is connected unless told otherwise. Both end with the test. */
async function start(t, { before, online = true, random = 1e-9, ...options } = {}) {
  setRandom(t, random);
  const server = await new FakeServer().listen();
  const Sockets = fakeWebSocket(server);
  before?.(server, Sockets);
  if (server.offers.includes("websocket")) options = { WebSocket: Sockets, ...options };
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
  return { server, client, states, errors, Sockets };
}

/** As start(), on a fake clock and without a network. */
async function startOnClock(t, { before, online = true, random = 0.5, ...options } = {}) {
  setRandom(t, random);
  const clock = fakeClock(t);
  const server = new FakeServer();
  const Sockets = fakeWebSocket(server);
  before?.(server, Sockets);
  if (server.offers.includes("websocket")) options = { WebSocket: Sockets, ...options };
  const client = init("http://test/bayeux", { fetch: server.fetch, ...options });
  const states = [];
  client.addEventListener("state", ({ detail }) => states.push(detail));
  client.addEventListener("error", (event) => event.preventDefault());
  t.after(() => {
    server.on("/meta/disconnect", () => 500);
    return client.disconnect();
  });
  if (online) await server.holds();
  return { server, client, clock, states, Sockets };
}

const both = (...more) => (server, Sockets) => {
  server.offers = ["websocket", "long-polling"];
  for (const act of more) act(server, Sockets);
};
const swallowed = (server, Sockets) => (Sockets.opens = false);
const acked = (server) => (server.acks = new Map());

/** As start(), with a server that offers sockets, and by default a session that has moved to one. */
async function startSocket(t, { before = () => {}, moved = true, ...options } = {}) {
  const world = await start(t, { before: both(before), ...options });
  if (moved) await until(() => world.server.held[0]?.carrier === "websocket");
  return world;
}

/** As startOnClock(), likewise. The pause before a socket is 500 ms. */
async function startSocketOnClock(t, { before = () => {}, moved = true, ...options } = {}) {
  const world = await startOnClock(t, { before: both(before), ...options });
  if (moved) await world.clock.advance(500);
  if (moved) assert.deepEqual(world.server.held.map(({ carrier }) => carrier), ["websocket"]);
  return world;
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
      ext: { ack: true },
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
    assert.deepEqual(server.all("/meta/handshake").map(({ ext }) => ext), [1, 2].map((token) => ({ token, ack: true })));
  });

  it("takes an object as options.ext", async (t) => {
    const { server } = await start(t, { ext: { token: "t" } });
    assert.deepEqual(server.requests[0][0].ext, { token: "t", ack: true });
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

describe("a socket", () => {
  it("is opened beside the polling, and the session moves to it (W-5, W-12, W-17)", async (t) => {
    const { server, states, Sockets } = await startSocket(t);
    const [handshake, , held, probe, beat] = server.requests.flat();
    assert.deepEqual(handshake.supportedConnectionTypes, ["websocket", "long-polling"]);
    assert.deepEqual(server.journal, [
      "long-polling /meta/handshake",
      "long-polling /meta/connect",
      "long-polling /meta/connect",
      "websocket /meta/connect",
      "websocket /meta/connect",
    ]);
    const expected = { channel: "/meta/connect", clientId: "session1", connectionType: "websocket" };
    assert.equal(held.connectionType, "long-polling");
    assert.deepEqual(probe, { id: probe.id, ...expected, advice: { timeout: 0 } });
    assert.deepEqual(beat, { id: beat.id, ...expected });
    assert.equal(Sockets.all.length, 1);
    assert.equal(Sockets.last.url, server.url.replace("http://", "ws://"));
    await until(() => server.underWay === 1); // the held request is over
    assert.deepEqual(names(states), ["connected"]);
    await server.release({});
    const next = await server.saw("/meta/connect", 5);
    assert.deepEqual(next, { id: next.id, ...expected });
  });

  it("of a server with TLS has it too", async (t) => {
    const server = new FakeServer();
    const Sockets = fakeWebSocket(server);
    both()(server);
    setRandom(t, 1e-9);
    const client = init("https://www.example.org/bayeux", { fetch: server.fetch, WebSocket: Sockets });
    t.after(() => client.disconnect());
    await until(() => Sockets.last);
    assert.equal(Sockets.last.url, "wss://www.example.org/bayeux");
  });

  it("has a URL relative to the page", async (t) => {
    const server = new FakeServer();
    const Sockets = fakeWebSocket(server);
    both()(server);
    setRandom(t, 1e-9);
    globalThis.location = { href: "http://example.org/app/index.html" };
    t.after(() => delete globalThis.location);
    const client = init("../bayeux", { fetch: server.fetch, WebSocket: Sockets });
    t.after(() => client.disconnect());
    await until(() => Sockets.last);
    assert.equal(Sockets.last.url, "ws://example.org/bayeux");
  });

  it("is by default the one that there is", async (t) => {
    const server = new FakeServer();
    const before = globalThis.WebSocket;
    globalThis.WebSocket = fakeWebSocket(server);
    t.after(() => (globalThis.WebSocket = before));
    const { server: real } = await startSocket(t, { WebSocket: undefined, moved: false });
    await until(() => globalThis.WebSocket.last);
    assert.equal(globalThis.WebSocket.last.url, real.url.replace("http", "ws"));
  });

  it("is not opened if the server does not offer it", async (t) => {
    const before = (server) => (server.offers = ["long-polling"]);
    const { server, Sockets, client } = await startSocket(t, { moved: false, before });
    const mine = fakeWebSocket(server);
    const other = init(server.url, { WebSocket: mine });
    t.after(() => other.disconnect());
    await server.saw("/meta/connect", 4);
    await quiet();
    assert.deepEqual(server.all("/meta/handshake")[1].supportedConnectionTypes, ["websocket", "long-polling"]);
    assert.equal(client.state, "connected");
    assert.equal(mine.all.length + Sockets.all.length, 0);
  });

  it("offered alone, by a server that was asked by polling, is a network failure", async (t) => {
    const before = (server) => (server.offers = ["websocket"]);
    const { server, client, Sockets } = await startSocket(t, { before, online: false, moved: false });
    await server.saw("/meta/handshake", 3);
    assert.equal(client.state, "connecting");
    assert.equal(Sockets.all.length, 0);
  });

  it("is neither named nor opened if the user does not want it", async (t) => {
    const { server, Sockets } = await startSocket(t, { moved: false, transports: ["long-polling"] });
    await server.push();
    await server.saw("/meta/connect", 3);
    await quiet();
    assert.deepEqual(server.requests[0][0].supportedConnectionTypes, ["long-polling"]);
    assert.equal(Sockets.all.length, 0);
  });

  it("with no usable transport there is no client", (t) => {
    const before = globalThis.WebSocket;
    delete globalThis.WebSocket;
    t.after(() => (globalThis.WebSocket = before));
    for (const transports of [[], ["carrier-pigeon"], ["websocket"]])
      assert.throws(() => init("http://127.0.0.1:1/", { transports }), TypeError);
  });

  it("that never opens costs nobody anything, and is tried again with a growing back-off", async (t) => {
    const { server, client, clock, states, Sockets } = await startSocketOnClock(t, { moved: false, before: swallowed });
    for (const pause of [500, 1_000, 2_000, 4_000]) {
      const { length } = Sockets.all;
      assert.ok(clock.delays.includes(pause), `${pause} among ${clock.delays}`);
      await client.publish("/a", 1);
      await clock.advance(pause - 1);
      assert.equal(Sockets.all.length, length);
      await clock.advance(1);
      assert.equal(Sockets.all.length, length + 1);
      const connects = server.all("/meta/connect").length;
      await client.publish("/a", 1);
      await clock.advance(9_999);
      assert.equal(Sockets.last.readyState, 0);
      await clock.advance(1);
      assert.equal(Sockets.last.readyState, 2, "given up");
      assert.equal(server.all("/meta/connect").length, connects, "the polling is not disturbed");
      for (let n = 0; n < 3; n++) await server.push(); // the next success asks for the next, those after it for none
      await clock.advance(0);
    }
    assert.equal(server.journal.filter((line) => line.startsWith("websocket")).length, 0);
    assert.deepEqual(names(states), ["connected"]);
  });

  it("is tried again after ten minutes at most", async (t) => {
    const { server, clock } = await startSocketOnClock(t, { moved: false, random: 1, before: swallowed });
    const pauses = [];
    for (let n = 0; n < 12; n++) {
      pauses.push(clock.delays.find((delay) => delay !== 40_000));
      assert.equal(clock.delays.length, 2);
      for (let left = pauses.at(-1); left > 0; left -= 20_000) {
        await server.push(); // in time for the held connect
        await clock.advance(Math.min(left, 20_000));
      }
      await clock.advance(10_000);
      await server.push();
      await clock.advance(0);
    }
    assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600].map((seconds) => seconds * 1_000));
  });

  for (const [name, outcome] of [
    ["is refused", (Sockets, url) => {
      Sockets.opens = false;
      const socket = new Sockets(url);
      setImmediate(() => socket.drop());
      return socket;
    }],
    ["may not even be made", () => {
      throw new Error("SecurityError");
    }],
  ])
    it(`that ${name} is no worse, and tried again`, async (t) => {
      let made = 0;
      let Real;
      const WebSocket = new Proxy(class {}, { construct: (_, [url]) => (made++ ? new Real(url) : outcome(Real, url)) });
      const before = (_, Sockets) => (Real = Sockets);
      const { server, client, Sockets } = await startSocket(t, { moved: false, WebSocket, before });
      await until(() => made === 1);
      await quiet();
      assert.equal(client.state, "connected");
      Sockets.opens = true;
      await server.push();
      await until(() => server.held[0]?.carrier === "websocket");
      assert.equal(made, 2);
      assert.equal(server.all("/meta/handshake").length, 1);
    });

  it("that opens while there is a pause waits for its end", async (t) => {
    const { server, clock, Sockets } = await startSocketOnClock(t, { moved: false });
    await server.release({ advice: { reconnect: "retry", interval: 5_000, timeout: 30_000 } });
    await clock.advance(500);
    assert.equal(Sockets.last.readyState, 1);
    await clock.advance(4_499);
    assert.equal(Sockets.last.sent.length, 0);
    await clock.advance(1);
    assert.deepEqual(Sockets.last.sent.map(({ advice }) => advice), [{ timeout: 0 }, undefined]);
    assert.deepEqual(clock.delays, [35_000]);
  });

  it("that opens just when the held connect is answered is not opened again", async (t) => {
    const { server, clock, Sockets } = await startSocketOnClock(t, { moved: false, random: 1e-9, before: swallowed });
    await clock.advance(1);
    for (let ticks = 0; ticks < 40; ticks++) {
      const socket = Sockets.last;
      await server.release({});
      for (let n = 0; n < ticks; n++) await null;
      socket.open();
      for (const time of [1, 10_000, 1]) await clock.advance(time);
      assert.equal(Sockets.last, socket, `after ${ticks} ticks`);
      assert.equal(socket.readyState, 1, `after ${ticks} ticks it was given up as if it had not opened`);
      socket.drop();
      for (const time of [0, 1]) await clock.advance(time);
    }
  });

  it("carries everything once a connect has succeeded on it, and nothing before", async (t) => {
    const { server, client } = await startSocket(t, { moved: false });
    let answer;
    const slow = () => new Promise((resolve) => (answer = resolve));
    server.on("/meta/connect", ({ connectionType }) => (connectionType === "websocket" ? slow() : undefined));
    await until(() => answer);
    await client.publish("/a", 1);
    await client.subscribe("/b", () => {}).ready;
    server.off("/meta/connect");
    answer();
    await until(() => server.held.some(({ carrier }) => carrier === "websocket"));
    await client.publish("/a", 2);
    await client.subscribe("/c", () => {}).ready;
    assert.deepEqual(server.journal.filter((line) => !line.endsWith("connect")).slice(1), [
      "long-polling /a",
      "long-polling /meta/subscribe",
      "websocket /a",
      "websocket /meta/subscribe",
    ]);
  });

  it("brings events at any time, without ending the connect (W-10)", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    Sockets.last.says([{ channel: "/a", data: 1 }]);
    Sockets.last.says([{ channel: "/a", data: 2 }, { channel: "/b", data: 0 }, { channel: "/a", data: 3 }]);
    assert.deepEqual(heard, [1, 2, 3]);
    await quiet();
    assert.equal(server.all("/meta/connect").length, 4);
  });

  it("brings events together with the connect reply, too (W-11)", async (t) => {
    const { server, client } = await startSocket(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    await server.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    await server.saw("/meta/connect", 5);
    assert.deepEqual(heard, [1, 2]);
  });

  it("replies are known by their id: in one frame, in several, in any order, among others", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    const heard = [];
    await client.subscribe("/**", (data) => heard.push(data)).ready;
    server.on("/a", () => "hang");
    const all = [1, 2, 3].map((n) => client.publish("/a", n));
    const ids = [];
    for (const n of [1, 2, 3]) ids.push((await server.saw("/a", n)).id);
    const reply = (n, fields) => ({ channel: "/a", id: ids[n], successful: true, n, ...fields });
    let done = false;
    all[2].then(() => (done = true));
    Sockets.last.says([{ channel: "/a", data: "x", id: ids[0] }, reply(2), null, 7, { channel: "/a", data: "y" }]);
    Sockets.last.says([reply(0, { id: "strange" }), reply(2, { n: "twice" })]);
    await quiet();
    assert.equal(done, false);
    Sockets.last.says([reply(1), reply(0, { successful: false, error: "403::no" })]);
    await assert.rejects(all[0], is({ code: 403 }));
    assert.equal((await all[1]).n, 1);
    assert.equal((await all[2]).n, 2);
    assert.deepEqual(heard, ["x", "y"]);
  });

  it("events in a frame before or after a reply come before who waits for that is told", async (t) => {
    const { server, client } = await startSocket(t);
    const order = [];
    client.subscribe("/service/echo", (data) => order.push(data));
    server.on("/service/echo", ({ channel }) => ({ early: [{ channel, data: "event" }] }));
    await client.publish("/service/echo", 1).then(() => order.push("reply"));
    assert.deepEqual(order, ["event", "reply"]);
  });

  it("lost: what is under way on it fails, the connect goes on by polling at once, in the same session", async (t) => {
    const { server, client, states, Sockets } = await startSocket(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    server.on("/b", () => "hang", 1);
    const said = client.publish("/b", 1);
    await server.saw("/b");
    Sockets.opens = false;
    Sockets.last.drop();
    await assert.rejects(said, is({ code: "network", text: "The socket was lost" }));
    await server.saw("/meta/connect", 6);
    const [probe, held] = server.all("/meta/connect").slice(-2);
    assert.deepEqual(probe.advice, { timeout: 0 });
    assert.equal(held.advice, undefined);
    for (const { clientId, connectionType } of [probe, held])
      assert.deepEqual([clientId, connectionType], ["session1", "long-polling"]);
    await server.push({ channel: "/a", data: 1 });
    await client.publish("/b", 2);
    assert.deepEqual(heard, [1]);
    assert.equal(server.journal.at(-1), "long-polling /b");
    assert.deepEqual(published(server, "/b"), [1, 2], "not sent twice");
    assert.deepEqual(subscribed(server), ["/a"]);
    assert.deepEqual(names(states), ["connected"]);
  });

  it("lost together with the rest of the network: reconnecting", async (t) => {
    const { server, client, states, Sockets } = await startSocket(t);
    server.on("/meta/connect", () => "cut", 2);
    Sockets.opens = false;
    Sockets.last.drop();
    await reached(client, "reconnecting");
    await reached(client, "connected");
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
    assert.equal(server.all("/meta/handshake").length, 1);
  });

  it("lost is replaced after a pause that grows, until one has lived through a hold", async (t) => {
    const { server, clock, Sockets } = await startSocketOnClock(t);
    const next = async (expected) => {
      const { length } = Sockets.all;
      Sockets.last.drop();
      await clock.advance(0);
      assert.deepEqual(server.held.map(({ carrier }) => carrier), ["long-polling"]);
      assert.deepEqual(clock.delays.sort(), [expected, 40_000].sort());
      await clock.advance(expected - 1);
      assert.equal(Sockets.all.length, length);
      await clock.advance(1);
      assert.equal(Sockets.all.length, length + 1);
      assert.deepEqual(server.held.map(({ carrier }) => carrier), ["websocket"]);
    };
    for (const expected of [1_000, 2_000, 4_000]) await next(expected);
    await server.release({});
    await clock.advance(0);
    await next(500);
  });

  it("lost between two connects is noticed by the next", async (t) => {
    const { server, clock, Sockets } = await startSocketOnClock(t);
    await server.release({ advice: { reconnect: "retry", interval: 100, timeout: 30_000 } });
    await clock.advance(0);
    Sockets.opens = false;
    Sockets.last.drop();
    await clock.advance(100);
    const { connectionType, advice } = server.all("/meta/connect").at(-2);
    assert.deepEqual({ connectionType, advice }, { connectionType: "long-polling", advice: { timeout: 0 } });
  });

  it("that cannot even send is given up", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    Sockets.opens = false;
    Sockets.last.send = () => {
      throw new Error("InvalidStateError");
    };
    await assert.rejects(client.publish("/a", 1), is({ code: "network", text: "InvalidStateError" }));
    await client.publish("/a", 2);
    await server.saw("/meta/connect", 6);
    assert.deepEqual(published(server, "/a"), [2]);
  });

  it("that is closing is not used any more", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    Sockets.last.readyState = 2;
    await client.publish("/a", 1);
    assert.equal(server.journal.at(-1), "long-polling /a");
  });

  it("that swallows what is sent is given up after 5 s; until then nothing else went by it", async (t) => {
    const { server, client, clock, states, Sockets } = await startSocketOnClock(t, { moved: false });
    let lost = 0;
    server.frame = () => lost++;
    await clock.advance(500);
    assert.equal(lost, 1);
    await client.publish("/a", 1);
    await clock.advance(4_999);
    assert.equal(Sockets.last.readyState, 1);
    await clock.advance(1);
    assert.equal(Sockets.last.readyState, 2);
    assert.deepEqual(server.held.map(({ carrier }) => carrier), ["long-polling"]);
    assert.deepEqual(server.all("/meta/connect").slice(-2).map(({ advice }) => advice), [{ timeout: 0 }, undefined]);
    assert.equal(lost, 1);
    assert.deepEqual(names(states), ["connected"]);
  });

  it("on which the session is refused from the start, as for another cookie (B-2), costs no session", async (t) => {
    const { server, clock, states, Sockets } = await startSocketOnClock(t, { moved: false });
    const refusal = { successful: false, error: "402::Unknown client ID", advice: { reconnect: "handshake", interval: 0 } };
    server.on("/meta/connect", ({ connectionType }) => (connectionType === "websocket" ? refusal : undefined));
    await clock.advance(500);
    assert.equal(Sockets.last.sent.length, 1);
    assert.equal(Sockets.last.readyState, 2);
    assert.deepEqual(server.held.map(({ carrier }) => carrier), ["long-polling"]);
    assert.deepEqual(clock.delays.sort(), [1_000, 40_000]);
    assert.equal(server.all("/meta/handshake").length, 1);
    assert.deepEqual(names(states), ["connected"]);
  });

  it("whose held connect gets no answer is given up 5 s after it should have: there still is a session (Q-3)", async (t) => {
    const { server, clock, Sockets } = await startSocketOnClock(t);
    await clock.advance(34_999);
    assert.equal(Sockets.last.readyState, 1);
    await clock.advance(1);
    assert.equal(Sockets.last.readyState, 2);
    assert.equal(server.journal.at(-1), "long-polling /meta/connect");
  });

  it("on which anything gets no answer is given up after 10 s: it may be dead", async (t) => {
    const { server, client, clock, Sockets } = await startSocketOnClock(t);
    server.on("/a", () => "hang", 1);
    const said = client.publish("/a", 1).catch((error) => error);
    await clock.advance(0);
    await clock.advance(9_999);
    assert.equal(Sockets.last.readyState, 1);
    await clock.advance(1);
    is({ code: "network", text: "No answer in time" })(await said);
    assert.equal(Sockets.last.readyState, 2);
    assert.equal(server.journal.at(-1), "long-polling /meta/connect");
  });

  for (const frame of ["<html>", '{"channel":"/a","data":1}', "null"])
    it(`that says ${frame} is given up`, async (t) => {
      const { server, client, Sockets } = await startSocket(t);
      const [socket] = Sockets.all;
      const heard = [];
      await client.subscribe("/a", (data) => heard.push(data)).ready;
      Sockets.opens = false;
      socket.says(frame);
      assert.equal(socket.readyState, 2);
      await server.saw("/meta/connect", 6);
      assert.equal(server.journal.at(-1), "long-polling /meta/connect");
      assert.deepEqual(heard, []);
    });

  it("that was left may still bring events, but no trouble", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    const [old] = Sockets.all;
    old.says("nonsense");
    await until(() => Sockets.all.length === 2 && server.held[0]?.carrier === "websocket");
    old.says([{ channel: "/a", data: 1 }]);
    old.says("nonsense");
    old.drop();
    await quiet();
    assert.deepEqual(heard, [1]);
    assert.equal(Sockets.last.readyState, 1);
    assert.equal(Sockets.all.length, 2);
  });

  it("belongs to one session: the next is made by polling, and gets a socket of its own (W-5)", async (t) => {
    const { server, client, states, Sockets } = await startSocket(t);
    await client.subscribe("/a", () => {}).ready;
    server.sessions.clear();
    await server.push();
    await server.saw("/meta/handshake", 2);
    await until(() => Sockets.all.length === 2 && server.held[0]?.carrier === "websocket");
    assert.equal(Sockets.all[0].readyState, 2);
    assert.deepEqual(server.journal.filter((line) => line.endsWith("handshake")), Array(2).fill("long-polling /meta/handshake"));
    assert.equal(server.held[0].clientId, "session2");
    assert.deepEqual(new Set(Sockets.last.sent.map(({ clientId }) => clientId)), new Set(["session2"]));
    assert.deepEqual(subscribed(server), ["/a", "/a"]);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
  });

  it("is closed when advice ends the client", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    await server.release({ successful: false, error: "403::Banned", advice: { reconnect: "none" } });
    await reached(client, "disconnected");
    assert.equal(Sockets.last.readyState, 2);
    await quiet();
    assert.equal(Sockets.all.length, 1);
  });

  it("carries the disconnect and is closed after it", async (t) => {
    const { server, client, Sockets } = await startSocket(t);
    let answer;
    server.on("/meta/disconnect", () => new Promise((resolve) => (answer = resolve)));
    const said = client.publish("/a", 1);
    const done = client.disconnect();
    await until(() => answer);
    assert.equal(server.journal.at(-1), "websocket /meta/disconnect");
    assert.equal(Sockets.last.readyState, 1);
    answer();
    await Promise.all([said, done]);
    assert.equal(Sockets.last.readyState, 2);
    const { length } = server.requests;
    await quiet();
    assert.equal(server.requests.length, length);
    assert.equal(Sockets.all.length, 1);
  });

  for (const [name, before, time] of [
    ["before one is opened", () => {}, 0],
    ["while one opens", swallowed, 500],
    ["on one", () => {}, 500],
  ])
    it(`disconnecting ${name} leaves no timer behind and opens none`, async (t) => {
      const { client, clock, Sockets } = await startSocketOnClock(t, { moved: false, before });
      await clock.advance(time);
      const { length } = Sockets.all;
      const done = client.disconnect();
      await clock.advance(0);
      await done;
      await clock.advance(0);
      assert.deepEqual(clock.delays, []);
      assert.equal(Sockets.all.length, length);
    });

  it("without acknowledgements loses nothing either: the connect left behind may still bring events", async (t) => {
    const { server, client, Sockets } = await startSocket(t, { moved: false, before: swallowed });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    await until(() => Sockets.last);
    const [left] = server.held.splice(0); // its answer was on the way already
    Sockets.last.open();
    await until(() => server.held[0]?.carrier === "websocket");
    left.release({ events: [{ channel: "/a", data: 1 }] });
    await until(() => heard.length);
    await quiet();
    assert.deepEqual(heard, [1]);
    assert.equal(server.all("/meta/connect").length, 4);
  });

  it("is left in peace by a connect left behind that fails", async (t) => {
    const { server, client, states, Sockets } = await startSocket(t, { moved: false, before: swallowed });
    await until(() => Sockets.last);
    const [left] = server.held.splice(0);
    Sockets.last.open();
    await until(() => server.held[0]?.carrier === "websocket");
    left.release({ result: { successful: false, error: "402::x", advice: { reconnect: "none" } } });
    await quiet();
    assert.equal(client.state, "connected");
    assert.deepEqual(names(states), ["connected"]);
  });
});

describe("a socket as the only transport", () => {
  const only = { transports: ["websocket"] };

  it("carries the handshake, too", async (t) => {
    const { server, client, Sockets } = await startSocket(t, { ...only, fetch: () => assert.fail("no HTTP") });
    await client.publish("/a", 1);
    assert.deepEqual(server.requests[0][0].supportedConnectionTypes, ["websocket"]);
    assert.deepEqual(server.journal, ["handshake", "connect", "connect"].map((name) => `websocket /meta/${name}`).concat("websocket /a"));
    assert.equal(Sockets.all.length, 1);
  });

  it("lost is opened again after the back-off, for the same session", async (t) => {
    const { server, client, clock, states, Sockets } = await startOnClock(t, { ...only, before: both() });
    Sockets.opens = false;
    Sockets.last.drop();
    await clock.advance(0);
    assert.equal(client.state, "reconnecting");
    assert.deepEqual(clock.delays, [500]);
    await clock.advance(500);
    assert.equal(Sockets.all.length, 2);
    await clock.advance(9_999);
    assert.deepEqual(clock.delays, [10_000]);
    await clock.advance(1);
    assert.deepEqual(clock.delays, [1_000], "it did not open");
    Sockets.opens = true;
    await clock.advance(1_000);
    assert.equal(client.state, "connected");
    assert.equal(server.all("/meta/handshake").length, 1);
    assert.deepEqual(server.all("/meta/connect").map(({ advice }) => advice?.timeout), [0, undefined, 0, undefined]);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
  });

  it("is opened once, whoever needs it first", async (t) => {
    const { server, client, clock, Sockets } = await startOnClock(t, { ...only, before: both() });
    Sockets.opens = false;
    Sockets.last.drop();
    const said = client.publish("/a", 1);
    await clock.advance(500);
    assert.equal(Sockets.all.length, 2);
    Sockets.last.open();
    await said;
    await clock.advance(0);
    assert.equal(Sockets.all.length, 2);
    assert.equal(server.held[0].carrier, "websocket");
  });

  it("of a server that does not offer it is a network failure", async (t) => {
    const { client, server } = await startSocket(t, {
      ...only,
      online: false,
      moved: false,
      before: (server) => server.on("/meta/handshake", () => ({ supportedConnectionTypes: ["long-polling"] })),
    });
    await server.saw("/meta/handshake", 2);
    assert.equal(client.state, "connecting");
  });

  it("is not opened for a handshake that nobody waits for any more", async (t) => {
    let finish;
    const ext = () => new Promise((resolve) => (finish = resolve));
    const { client, Sockets } = await startSocket(t, { ...only, ext, online: false, moved: false });
    await client.disconnect();
    finish({});
    await quiet();
    assert.equal(Sockets.all.length, 0);
  });

  it("disconnected while it opens leaves no timer behind", async (t) => {
    const { client, clock, Sockets } = await startOnClock(t, {
      ...only,
      online: false,
      before: both((_, Sockets) => (Sockets.opens = false)),
    });
    await clock.advance(0);
    assert.deepEqual(clock.delays, [10_000]);
    await client.disconnect();
    await clock.advance(0);
    assert.deepEqual(clock.delays, []);
    Sockets.last.open();
    await clock.advance(0);
    assert.deepEqual(Sockets.last.sent, []);
  });
});

describe("acknowledgements", () => {
  const connects = (server) => server.all("/meta/connect").map(({ ext }) => ext);
  const gone = { ack: false };

  it("are asked for, and each connect carries the last number (XA-1, XA-4)", async (t) => {
    const { server, client } = await start(t, { before: acked });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    server.publish({ channel: "/a", data: 2 });
    await server.saw("/meta/connect", 4);
    assert.deepEqual(heard, [1, 2]);
    assert.deepEqual(connects(server), [0, 1, 2, 3].map((ack) => ({ ack })));
  });

  it("are not asked for if the user does not want them", async (t) => {
    const { server } = await start(t, gone);
    assert.equal(server.requests[0][0].ext, undefined);
    const other = await start(t, { ...gone, ext: { token: 1 } });
    assert.deepEqual(other.server.requests[0][0].ext, { token: 1 });
  });

  for (const ext of [undefined, null, {}, { ack: false }, { ack: 1 }, { ack: { enabled: true } }])
    it(`are not used if the server answers ${JSON.stringify(ext)}`, async (t) => {
      const { server } = await start(t, { before: (server) => server.on("/meta/handshake", () => ({ ext })) });
      await server.release({ ext: { ack: 7 } });
      await server.saw("/meta/connect", 3);
      assert.deepEqual(connects(server), [undefined, undefined, undefined]);
    });

  it("of nonsense are not taken, nor from a reply that is no success", async (t) => {
    const { server } = await start(t, { before: (server) => server.on("/meta/handshake", () => ({ ext: { ack: true } })) });
    await server.release({ ext: { ack: 5 } });
    await server.saw("/meta/connect", 3);
    for (const ext of [{ ack: "6" }, { ack: null }, { ack: true }, { ack: NaN }, {}, null, undefined]) await server.release({ ext });
    await server.release({ successful: false, error: "503::x", ext: { ack: 8 } });
    await server.saw("/meta/connect", 11);
    assert.deepEqual(connects(server).slice(2), Array(9).fill({ ack: 5 }));
  });

  it("start again with the session", async (t) => {
    const { server } = await start(t, { before: acked });
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    server.sessions.clear();
    await server.release({ successful: false, error: "402::x", advice: { reconnect: "handshake", interval: 0 } });
    await server.saw("/meta/connect", 5);
    assert.deepEqual(connects(server).slice(3), [{ ack: 0 }, { ack: 1 }]);
  });

  it("of the session before are not taken, if they come late", async (t) => {
    const target = new EventTarget();
    globalThis.addEventListener = target.addEventListener.bind(target);
    t.after(() => delete globalThis.addEventListener);
    const { server } = await start(t, { before: acked, fetch: (url, { signal, ...init }) => fetch(url, init) });
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    await server.holds();
    server.on("/meta/handshake", () => ({ advice: { reconnect: "retry", interval: 100 } }));
    target.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
    target.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await server.saw("/meta/handshake", 2);
    await quiet();
    await server.release({});
    await server.saw("/meta/connect", 4);
    assert.deepEqual(connects(server).slice(2), [{ ack: 2 }, { ack: 0 }]);
  });

  it("a callback that throws has had its event", async (t) => {
    const { server, client } = await start(t, { before: acked });
    let calls = 0;
    await client.subscribe("/a", () => {
      calls++;
      throw new Error("oops");
    }).ready;
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 3);
    server.publish({ channel: "/b", data: 1 });
    await server.saw("/meta/connect", 4);
    assert.equal(calls, 1);
  });

  it("what was lost with its response comes again, once", async (t) => {
    const { server, client } = await start(t, { before: acked });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    server.loses = () => true;
    server.publish({ channel: "/a", data: 1 });
    await reached(client, "reconnecting");
    delete server.loses;
    await reached(client, "connected");
    server.publish({ channel: "/a", data: 2 });
    await until(() => heard.length === 2);
    assert.deepEqual(heard, [1, 2]);
  });

  it("the answer to a connect that was given up is dropped: its events come with the newest", async (t) => {
    const target = new EventTarget();
    globalThis.addEventListener = target.addEventListener.bind(target);
    t.after(() => delete globalThis.addEventListener);
    const { server, client } = await start(t, { before: acked, fetch: (url, { signal, ...init }) => fetch(url, init) });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    const [old] = server.held.splice(0);
    target.dispatchEvent(new Event("online"));
    await server.saw("/meta/connect", 3);
    await server.holds();
    for (const { queue } of server.acks.values()) queue.push({ event: { channel: "/a", data: 1 } });
    old.release({});
    await quiet();
    assert.deepEqual(heard, []);
    await server.release({});
    await server.saw("/meta/connect", 4);
    assert.deepEqual(heard, [1]);
    assert.deepEqual(connects(server).slice(1), [{ ack: 1 }, { ack: 1 }, { ack: 3 }]);
  });

  it("the answer to a connect that was given up counts while there is no newer", async (t) => {
    const { server, client, clock } = await startOnClock(t, { before: acked });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    assert.deepEqual(heard, []);
    await clock.advance(40_000);
    assert.equal(client.state, "reconnecting");
    await clock.advance(500);
    server.publish({ channel: "/a", data: 1 });
    await clock.advance(0);
    assert.deepEqual(heard, [1]);
  });

  it("a frame that comes twice counts once", async (t) => {
    const { server, client, Sockets } = await startSocket(t, { before: acked });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    const says = Sockets.last.says;
    Sockets.last.says = function (frame) {
      for (let n = 0; n < 2; n++) says.call(this, frame);
    };
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 5);
    server.publish({ channel: "/a", data: 2 });
    await server.saw("/meta/connect", 6);
    assert.deepEqual(heard, [1, 2]);
  });

  it("go on by whatever carries the session (XA-12)", async (t) => {
    const { server, client, Sockets } = await startSocket(t, { before: acked });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    server.publish({ channel: "/a", data: 1 });
    await server.saw("/meta/connect", 5);
    Sockets.opens = false;
    Sockets.last.says = () => {}; // the next frame is on its way when the socket is lost
    server.publish({ channel: "/a", data: 2 });
    await settle();
    Sockets.last.drop();
    await server.saw("/meta/connect", 7);
    server.publish({ channel: "/a", data: 3 });
    await until(() => heard.length === 3);
    assert.deepEqual(heard, [1, 2, 3]);
  });

  it("on the way to a socket the held connect is aborted, as its events would come again", async (t) => {
    const before = (...world) => acked(...world) && swallowed(...world);
    const { server, client, Sockets } = await startSocket(t, { moved: false, before });
    const heard = [];
    await client.subscribe("/a", (data) => heard.push(data)).ready;
    await until(() => Sockets.last);
    const [held] = server.held;
    let how;
    held.supersede = () => (how = "superseded");
    const { release } = held;
    held.release = (outcome) => {
      how ??= outcome.result;
      release(outcome);
    };
    server.frame = (socket, messages) => until(() => how).then(() => FakeServer.prototype.frame.call(server, socket, messages));
    Sockets.last.open();
    await until(() => server.held[0]?.carrier === "websocket");
    assert.equal(how, "hang");
    server.publish({ channel: "/a", data: 1 });
    await until(() => heard.length);
    assert.deepEqual(heard, [1]);
  });

  for (const seed of [1, 2, 3, 4, 5, 6])
    it(`whatever happens to the network, each event comes once and in order (${seed})`, async (t) => {
      let state = seed;
      const dice = (sides) => (state = (state * 48_271) % 2_147_483_647) % sides;
      const target = new EventTarget();
      globalThis.addEventListener = target.addEventListener.bind(target);
      t.after(() => delete globalThis.addEventListener);
      const server = new FakeServer();
      both(acked)(server);
      const Sockets = fakeWebSocket(server);
      setRandom(t, 1e-9);
      const { signal: never } = new AbortController();
      const deaf = (url, { signal, ...init }) => server.fetch(url, { ...init, signal: dice(2) ? signal : never });
      const client = init("http://test/", { fetch: deaf, WebSocket: Sockets });
      t.after(async () => {
        await client.disconnect();
        for (const { release } of server.held) release({ result: 500 }); // or their timers keep Node
      });
      const heard = [];
      await client.subscribe("/a", (data) => heard.push(data)).ready;
      const moves = new Set();
      for (let n = 1; n <= 400; n++) {
        server.publish({ channel: "/a", data: n });
        const event = dice(12);
        Sockets.opens = dice(4) > 0;
        server.loses = event === 1 ? () => dice(2) : undefined;
        if (event === 2) Sockets.last?.drop();
        if (event === 3) Sockets.last?.open();
        if (event === 4) target.dispatchEvent(new Event("online"));
        if (event === 5) Sockets.last?.says("nonsense");
        for (let turns = dice(8); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
        if (event > 9) await sleep(2);
        moves.add(server.carriers.at(-1));
      }
      server.loses = undefined;
      await until(() => heard.length >= 400);
      await quiet();
      assert.deepEqual(heard, Array.from({ length: 400 }, (_, n) => n + 1));
      assert.equal(moves.size, 2);
      assert.equal(server.all("/meta/handshake").length, 1);
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

  it("pagehide sends the last request by HTTP even if there is a socket, and closes that", async (t) => {
    const fire = page(t);
    const calls = [];
    const spy = (url, init) => calls.push(init) && fetch(url, init);
    const { server, client, states, Sockets } = await startSocket(t, { fetch: spy });
    const said = client.publish("/a", "last words");
    fire("pagehide", { persisted: true });
    assert.equal(calls.at(-1).keepalive, true);
    assert.equal(Sockets.last.readyState, 2);
    await said;
    assert.deepEqual(server.journal.slice(-2), ["long-polling /a", "long-polling /meta/disconnect"]);
    await quiet();
    assert.equal(Sockets.all.length, 1);
    fire("pageshow", { persisted: true });
    await until(() => server.held[0]?.carrier === "websocket");
    assert.equal(server.held[0].clientId, "session2");
    assert.equal(Sockets.all.length, 2);
    assert.deepEqual(names(states), ["connected", "reconnecting", "connected"]);
  });

  it("pagehide sends the last request by the socket if there is only that, before it is closed", async (t) => {
    const fire = page(t);
    const { client, Sockets } = await startSocket(t, { transports: ["websocket"] });
    client.publish("/a", "last words").catch(() => {});
    fire("pagehide", { persisted: false });
    assert.deepEqual(Sockets.last.sent.slice(-2).map(({ channel }) => channel), ["/a", "/meta/disconnect"]);
    assert.equal(Sockets.last.readyState, 2);
  });

  it("online leaves a socket, too, for the polling, and later opens another", async (t) => {
    const fire = page(t);
    const { server, states, Sockets } = await startSocket(t);
    fire("online");
    assert.equal(Sockets.last.readyState, 2);
    await server.saw("/meta/connect", 5);
    assert.equal(server.journal.at(-1), "long-polling /meta/connect");
    await until(() => Sockets.all.length === 2 && server.held[0]?.carrier === "websocket");
    assert.equal(server.held[0].clientId, "session1");
    assert.deepEqual(names(states), ["connected"]);
  });
});
