/**
 * A Bayeux client: one ES module without dependencies, for browsers and Node 20.
 *
 *     import { init } from "/bayeux/client.js";
 *
 *     const client = init();
 *     client.addEventListener("state", ({ detail }) => console.log(detail.state));
 *     client.subscribe("/chat/lobby", (data) => console.log(data.text));
 *     await client.publish("/chat/lobby", { text: "hello" });
 *
 * What a page asks for (its subscriptions) outlives any session: when connection or session are lost, the client gets
 * new ones and subscribes again. What a page says (its publishes) is never sent twice.
 */

/** How long an answer may take beyond the time the server holds the request; all times here are milliseconds. */
const NETWORK_DELAY = 10_000;

/** The same on a socket if one can go back to polling: that has to be before the server takes the session for dead. */
const SOCKET_DELAY = 5_000;

/** The first back-off waits at most this long, each further one at most twice as long as the one before. */
const FIRST_BACKOFF = 1_000;

/** The longest pause between sockets: many networks never let one through, and polling does for them. */
const SOCKET_BACKOFF = 600_000;

/** The server refuses longer batches. */
const MAX_BATCH = 100;

/** setTimeout() fires at once if asked for more, which would make a tight loop of a big number from the server. */
const MAX_TIMER = 2 ** 31 - 1;

/** Failures that say "not now": a subscription that meets one is asked for again. */
const TEMPORARY = new Set(["network", 429, 503]);

/** What may follow what. "reconnecting" is a connection lost and being retried; "disconnected" is final. */
const TRANSITIONS = {
  connecting: ["connected", "disconnected"],
  connected: ["reconnecting", "disconnected"],
  reconnecting: ["connected", "disconnected"],
  disconnected: [],
};

/**
 * What went wrong between us and the server, in the protocol's own grammar `code:args:text`.
 *
 * `code` is the server's number, or one of ours: "network" (no usable answer, so nobody knows whether the server
 * acted), "disconnected" (the client has ended), "cancelled" (a subscription was, before it was ready).
 */
export class BayeuxError extends Error {
  constructor(code, args, text, { cause, status } = {}) {
    super(`${code}:${args}:${text}`, cause && { cause });
    this.name = "BayeuxError";
    Object.assign(this, { code, args, text });
    if (status) this.status = status; // of the HTTP response
  }

  /** The error of an unsuccessful reply; servers other than ours may not follow the grammar. */
  static of({ error }) {
    const [, code, args, text] = /^(\d{3}):([^:]*):(.*)$/s.exec(error) ?? [null, 0, "", String(error ?? "Refused")];
    return new BayeuxError(Number(code), args ? args.split(",") : [], text);
  }
}

const network = (text, details) => new BayeuxError("network", [], text, details);
const disconnected = (text = "The client is disconnected") => new BayeuxError("disconnected", [], text);

/** Exponential back-off with full jitter: clients that lost their server together must not come back together. */
function backoff(limit = 30_000) {
  let failures = 0;
  return {
    next: () => Math.random() * Math.min(limit, FIRST_BACKOFF * 2 ** failures++),
    reset: () => (failures = 0),
  };
}

/**
 * Long-polling, and by example what a transport is:
 *
 * - `new Transport(url, options, receive)`: all messages that come are given to `receive(messages)`, one response or
 *   frame a call, before anybody who waits for a reply among them is told;
 * - `type` is its name in supportedConnectionTypes; `usable` is whether it exists here, `ready` whether it can be used
 *   without `open()`;
 * - `send(messages, {timeout, signal, keepalive})` resolves with the messages that came in answer, in order, or rejects
 *   with a "network" error; where a request costs nothing while it waits, `signal` need not be heeded;
 * - `close()` fails what is under way; the next `send()` or `open()` starts afresh.
 */
class LongPolling {
  type = "long-polling";
  usable = true;
  ready = true;
  #url;
  #options;
  #receive;

  constructor(url, options, receive) {
    this.#url = url;
    this.#options = options;
    this.#receive = receive;
  }

  close() {} // its requests share nothing that could be closed

  async send(messages, { timeout, signal, keepalive = false }) {
    const { fetch = globalThis.fetch, headers, credentials = "same-origin" } = this.#options;
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = setTimeout(abort, Math.min(timeout, MAX_TIMER));
    signal?.addEventListener("abort", abort);
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/json" },
        body: JSON.stringify(messages),
        cache: "no-store",
        credentials,
        keepalive,
        signal: controller.signal,
      });
      if (!response.ok) throw network(`HTTP ${response.status}`, { status: response.status });
      const answer = await response.json();
      if (!Array.isArray(answer)) throw network("Not an array of messages");
      this.#receive(answer);
      return answer;
    } catch (cause) {
      if (cause instanceof BayeuxError) throw cause;
      throw network(controller.signal.aborted ? "No answer in time" : cause.message, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

/**
 * A socket, or rather one after the other. A request that fails or takes too long takes its socket with it, and a lost
 * socket all requests: there is no telling whether the server has seen them.
 */
class Socket {
  type = "websocket";
  #url;
  #options;
  #receive;
  #socket = null;
  #waiting = new Set(); // of {left: ids without reply, replies, resolve, reject}

  constructor(url, options, receive) {
    this.#url = url;
    this.#options = options;
    this.#receive = receive;
  }

  get usable() {
    return Boolean(this.#options.WebSocket ?? globalThis.WebSocket);
  }

  get ready() {
    return this.#socket?.readyState === 1;
  }

  open() {
    return this.#wait([], NETWORK_DELAY, (opened) => {
      this.#socket ??= this.#make();
      if (this.ready) opened();
      else this.#socket.addEventListener("open", opened);
    });
  }

  async send(messages, { timeout }) {
    while (!this.ready) await this.open(); // otherwise it is sent in this turn, which may be the page's last
    const ids = messages.map(({ id }) => id);
    return this.#wait(ids, timeout, () => this.#socket.send(JSON.stringify(messages)));
  }

  close(reason = "Closed") {
    const socket = this.#socket;
    this.#socket = null;
    for (const { reject } of this.#waiting) reject(network(reason));
    socket?.close(); // takes its time if the peer is gone, and so is not waited for
  }

  #make() {
    const { WebSocket = globalThis.WebSocket } = this.#options;
    const url = new URL(this.#url, globalThis.document?.baseURI ?? globalThis.location?.href);
    const socket = new WebSocket(url.href.replace(/^http/, "ws"));
    const close = (reason) => socket === this.#socket && this.close(reason);
    socket.onmessage = ({ data }) => this.#read(data) || close("Not an array of messages"); // what still comes counts
    socket.onerror = socket.onclose = () => close("The socket was lost");
    return socket;
  }

  /** False if it makes no sense. */
  #read(data) {
    let messages;
    try {
      messages = JSON.parse(data);
    } catch {}
    if (!Array.isArray(messages)) return false;
    this.#receive(messages);
    for (const message of messages.filter((message) => "successful" in Object(message)))
      for (const { left, replies, resolve } of this.#waiting)
        if (left.delete(message.id) && replies.push(message) && left.size === 0) resolve(replies);
    return true;
  }

  async #wait(ids, timeout, act) {
    const entry = { left: new Set(ids), replies: [] };
    const timer = setTimeout(() => this.close("No answer in time"), Math.min(timeout, MAX_TIMER));
    this.#waiting.add(entry);
    try {
      return await new Promise((resolve, reject) => act(Object.assign(entry, { resolve, reject }).resolve));
    } catch (cause) {
      if (cause instanceof BayeuxError) throw cause;
      this.close(cause.message);
      throw network(cause.message, { cause });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(entry);
    }
  }
}

/**
 * Best first. The handshake goes by the last: it is the one that gets through anywhere, and it takes along the headers
 * and the cookies of today, whereas a socket is as old as it is.
 */
const TRANSPORTS = [Socket, LongPolling];

/** Advice replaces all earlier advice, so what it leaves out is the default. A negative interval means "never". */
function readAdvice(advice) {
  const { reconnect, interval, timeout } = Object(advice);
  const milliseconds = (value, otherwise) => (Number.isFinite(value) && value >= 0 ? value : otherwise);
  return {
    reconnect: interval < 0 ? "none" : ["handshake", "none"].includes(reconnect) ? reconnect : "retry",
    interval: milliseconds(interval, 0),
    timeout: milliseconds(timeout, 60_000),
  };
}

/** Every subscription that can match a channel: for `/a/b` these are `/a/b`, `/a/*`, `/a/**` and `/**`. */
function patterns(channel) {
  const parents = channel.split("/").map((_, n, segments) => segments.slice(0, n).join("/")).slice(1);
  const names = [channel, `${parents.at(-1)}/*`, ...parents.map((parent) => `${parent}/**`)];
  const [reserved] = /^\/(meta|service)\//.exec(channel) ?? [""]; // into these `/*` and `/**` do not reach
  return names.filter((name) => name.startsWith(reserved));
}

/** Names are for the server to judge, except those that could not even be sent. */
function checkChannel(channel) {
  if (typeof channel !== "string" || !channel.startsWith("/")) throw new TypeError(`Not a channel: ${channel}`);
}

/**
 * A client of one server. It has at most two requests under way: the connect, which the server holds until it has
 * something to tell, and one that carries everything else.
 *
 * Events: "state" with `detail {state, previous, reason?}`, and "error" with `detail {error, message?}` for a refused
 * handshake or subscription and for an exception in a callback or in `options.ext`. An "error" also goes to the console
 * unless a listener calls `preventDefault()`.
 */
export class Client extends EventTarget {
  #options;
  #transports; // the one that is usable here and allowed, or both
  #base; // the last of them
  #carrier = null; // the one by which the last connect succeeded
  #state = "connecting";
  #clientId = null;
  #proven; // a connect of this session has succeeded
  #ack = null; // the number of the last connect reply whose events were handed out, or null without the ack extension
  #newest = null; // the id of the newest connect, if its reply has not come
  #advice = readAdvice();
  #lastId = 0;
  #topics = new Map(); // channel or pattern -> {channel, listeners, the session that has it, busy with settling it}
  #queue = []; // of groups of requests; a group is never split
  #group = null; // the one that batch() is filling
  #sending = false;
  #connectBackoff;
  #subscribeBackoff;
  #socketBackoff = backoff(SOCKET_BACKOFF);
  #upgradable = false; // the server offers something better than the base
  #upgrading = false;
  #move = () => {}; // tells the held connect that there is something better now
  #retry = null;
  #sleepers = new Set(); // what #wake() has to call
  #life = new AbortController(); // aborted when the connection is given up, perhaps only for a while
  #page = new AbortController(); // aborted when the page has nothing to tell us any more
  #goodbye = null;

  /**
   * @param {string} url where the server is mounted; by default from where this module was loaded
   * @param {object} options
   *   `headers`: object, sent with every request;
   *   `credentials`: "same-origin" (default), "include" or "omit", as for fetch();
   *   `ext`: object, or (async) function that makes one for each handshake, so that a token can be fresh;
   *   `ack`: false to do without acknowledgements, by which events that were lost with their response come again;
   *   `transports`: the names of those that may be used, by default ["websocket", "long-polling"];
   *   `maxBackoff`: the longest pause between attempts;
   *   `fetch`, `WebSocket`: to be used instead of the global ones.
   */
  constructor(url = new URL(".", import.meta.url).href, options = {}) {
    super();
    this.#options = options;
    const { transports = ["websocket", "long-polling"] } = options;
    const receive = (messages) => this.#receive(messages);
    this.#transports = TRANSPORTS.map((Transport) => new Transport(url, options, receive)).filter(
      ({ type, usable }) => usable && transports.includes(type),
    );
    this.#base = this.#transports.at(-1);
    if (!this.#base) throw new TypeError(`No usable transport among: ${transports}`);
    this.#connectBackoff = backoff(options.maxBackoff);
    this.#subscribeBackoff = backoff(options.maxBackoff);
    const on = (type, listener) => globalThis.addEventListener?.(type, listener, { signal: this.#page.signal });
    on("online", () => this.#renew());
    on("pagehide", () => this.#hide());
    on("pageshow", ({ persisted }) => persisted && this.#renew());
    this.#live();
  }

  /** "connecting", "connected", "reconnecting" or "disconnected". */
  get state() {
    return this.#state;
  }

  /**
   * Call `callback(data, message)` for each event on a channel, or on all that a pattern matches, whatever happens to
   * the connection meanwhile. Answers on `/service/...` come without the server being asked for them.
   *
   * @returns {{channel: string, ready: Promise, cancel: function}} `ready` resolves when the server has agreed and
   *   rejects when it has refused; waiting for it is optional.
   */
  subscribe(channel, callback) {
    checkChannel(channel);
    if (typeof callback !== "function") throw new TypeError("The callback is not a function");
    const listener = { callback };
    const ready = new Promise((resolve, reject) => Object.assign(listener, { resolve, reject }));
    ready.catch(() => {}); // or Node ends when nobody waits for it; a refusal is also an "error" event
    const subscription = { channel, ready, cancel: () => this.unsubscribe(subscription) };
    if (this.#state === "disconnected") listener.reject(disconnected());
    else {
      const topic = this.#topics.get(channel) ?? { channel, listeners: new Map(), session: null, busy: false };
      this.#topics.set(channel, topic);
      topic.listeners.set(subscription, listener);
      this.#settle(topic);
    }
    return subscription;
  }

  unsubscribe(subscription) {
    const topic = this.#topics.get(subscription.channel);
    const listener = topic?.listeners.get(subscription);
    if (!listener) return;
    topic.listeners.delete(subscription);
    listener.reject(new BayeuxError("cancelled", [subscription.channel], "Cancelled before it was ready"));
    this.#settle(topic);
  }

  /**
   * Resolves with the server's reply, rejects with a BayeuxError. Waits for a session if there is none, but is never
   * repeated: after a "network" error only the caller can know whether a second copy does harm.
   */
  async publish(channel, data = null) {
    checkChannel(channel);
    if (this.#state === "disconnected") throw disconnected();
    // A copy, as the caller may change it before it is sent; and what is not JSON fails here, without company.
    return this.#request({ channel, data: JSON.parse(JSON.stringify(data)) });
  }

  /** Send all that `fn` (not async) asks for in one request, in that order. Returns what `fn` returns. */
  batch(fn) {
    if (this.#group) return fn();
    const group = (this.#group = []);
    try {
      return fn();
    } finally {
      this.#group = null;
      while (group.length) this.#queue.push(group.splice(0, MAX_BATCH));
    }
  }

  /** Tell the server and end, for good. Resolves when the server knows or cannot be told. */
  disconnect() {
    return (this.#goodbye ??= this.#leave());
  }

  async #leave() {
    this.#giveUp();
    const told = this.#clientId && this.#request({ channel: "/meta/disconnect" }).catch(() => {});
    this.#become("disconnected");
    await told;
    this.#end();
  }

  #end(reason) {
    this.#giveUp();
    this.#close();
    this.#clientId = null;
    this.#page.abort();
    this.#become("disconnected", reason);
    for (const topic of this.#topics.values()) this.#forget(topic, reason ?? disconnected());
    this.#drain();
  }

  #become(state, reason) {
    const previous = this.#state;
    if (!TRANSITIONS[previous].includes(state)) return;
    this.#state = state;
    this.#emit("state", { state, previous, reason });
  }

  #report(error, message) {
    if (this.#emit("error", { error, message })) console.error(error);
  }

  #emit(type, detail) {
    return this.dispatchEvent(Object.assign(new Event(type, { cancelable: true }), { detail }));
  }

  /** The connection: a handshake, then connect after connect, as the server advises. */
  async #live() {
    const { signal } = (this.#life = new AbortController());
    while (!signal.aborted) {
      let pause;
      try {
        pause = await (this.#clientId ? this.#connect(signal) : this.#handshake(signal));
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#clientId && error.code !== "network") this.#report(error); // refused, or options.ext failed
        if (this.#advice.reconnect === "none") return this.#end(error);
        // 409: the server holds a newer connect of ours. Nothing is lost, but two of them must not chase each other.
        if (error.status !== 409) this.#become("reconnecting", error);
        pause = Math.max(this.#advice.interval, this.#connectBackoff.next());
      }
      if (!signal.aborted) await this.#pause(pause);
    }
  }

  async #handshake(signal) {
    this.#close(); // a socket belongs to the session that it was opened for
    const { ext, ack = true } = this.#options;
    const extra = typeof ext === "function" ? await ext() : ext;
    const request = {
      channel: "/meta/handshake",
      version: "1.0",
      minimumVersion: "1.0",
      supportedConnectionTypes: this.#transports.map(({ type }) => type),
      ext: ack ? { ...extra, ack: true } : extra,
    };
    const reply = await this.#ask(this.#base, request, NETWORK_DELAY, signal);
    this.#advice = readAdvice(reply.advice);
    if (!reply.successful) throw BayeuxError.of(reply);
    const offered = [reply.supportedConnectionTypes].flat();
    const common = this.#transports.filter(({ type }) => offered.includes(type));
    if (common.at(-1) !== this.#base || typeof reply.clientId !== "string")
      throw network("Not a usable handshake reply");
    this.#upgradable = common.length > 1;
    this.#clientId = reply.clientId;
    this.#proven = false;
    this.#ack = reply.ext?.ack === true ? 0 : null;
    this.#newest = null; // what still comes for the session before is not of these numbers
    this.#resubscribe();
    return this.#advice.interval;
  }

  async #connect(signal) {
    const transport = this.#transports.find(({ ready }) => ready) ?? this.#base;
    const better = transport !== this.#base;
    const known = transport === this.#carrier;
    const id = (this.#newest = String(++this.#lastId));
    const request = { id, channel: "/meta/connect", clientId: this.#clientId, connectionType: transport.type };
    if (this.#ack !== null) request.ext = { ack: this.#ack };
    // Until connected by this transport ask to be answered at once: a held connect would leave us in doubt for long.
    const hold = known && this.#state === "connected" ? this.#advice.timeout : 0;
    if (hold === 0) request.advice = { timeout: 0 };
    const timeout = hold + (better ? SOCKET_DELAY : NETWORK_DELAY);
    const own = new AbortController();
    const abort = () => own.abort();
    signal.addEventListener("abort", abort);
    const asked = this.#ask(transport, request, timeout, own.signal);
    asked.catch(() => {}).finally(() => signal.removeEventListener("abort", abort));
    const moved = new Promise((resolve) => (this.#move = resolve));
    const reply = await (better ? asked.catch(() => {}) : Promise.race([asked, moved]));
    if (!reply || (better && !known && !reply.successful)) {
      // There is another transport, for the same session. An answer that comes here after all is dropped if its events
      // come again, and else is welcome. Not waiting for it spares the console of browsers a "409". And who is refused
      // on a new socket may be so for its cookies, which are not those of fetch(); the polling will learn.
      if (this.#ack !== null) abort();
      transport.close();
      this.#carrier = null;
      return 0;
    }
    if (reply.advice) this.#advice = readAdvice(reply.advice);
    const { reconnect, interval } = this.#advice;
    if (reply.successful && reconnect === "retry") {
      this.#proven = true;
      this.#connectBackoff.reset();
      this.#carrier = transport;
      if (this.#state !== "connected") this.#wake(); // whoever else waits for the network
      this.#become("connected");
      if (!better) this.#upgrade();
      else if (known) this.#socketBackoff.reset(); // it has lived through a hold
      return interval;
    }
    const error = reply.successful ? disconnected("The server ended the session") : BayeuxError.of(reply);
    if (reconnect !== "handshake") throw error;
    this.#clientId = null;
    this.#become("reconnecting", error);
    // At once when a session is worn out; but a server that refuses the sessions it has just made is not to be pressed.
    return this.#proven ? interval : Math.max(interval, this.#connectBackoff.next());
  }

  /**
   * Open a socket beside the polling, which goes on meanwhile: a proxy that swallows sockets costs nobody time. Each
   * connect by polling that succeeds asks for one.
   */
  async #upgrade() {
    if (!this.#upgradable || this.#upgrading) return;
    this.#upgrading = true;
    await this.#pause(this.#socketBackoff.next());
    if (this.#state === "connected") await this.#transports[0].open().then(() => this.#move(), () => {});
    this.#upgrading = false;
  }

  /** Now, not after a pause; nor wait for a connect that went by the network that is gone: it may hang for long. */
  #renew() {
    if (this.#state === "disconnected") return;
    this.#giveUp();
    this.#close();
    this.#live();
  }

  #giveUp() {
    this.#life.abort();
    this.#wake();
  }

  #close() {
    for (const transport of this.#transports) transport.close();
  }

  /** The page goes, perhaps only into the back/forward cache. What was not sent yet goes with the last request. */
  #hide() {
    if (this.#clientId) {
      this.#request({ channel: "/meta/disconnect" }).catch(() => {});
      const waiting = this.#queue.splice(0).flat();
      while (waiting.length) this.#transmit(waiting.splice(0, MAX_BATCH), true);
    }
    this.#clientId = null;
    this.#giveUp();
    this.#close();
    this.#become("reconnecting");
  }

  async #pause(delay) {
    if (!(delay > 0)) return; // not even a timer: in hidden pages browsers stretch them, up to a minute
    let timer, wake;
    await new Promise((resolve) => {
      timer = setTimeout(resolve, Math.min(delay, MAX_TIMER));
      this.#sleepers.add((wake = resolve));
    });
    clearTimeout(timer);
    this.#sleepers.delete(wake);
  }

  #wake() {
    for (const wake of this.#sleepers) wake();
  }

  #resubscribe() {
    const waiting = this.#queue.splice(0);
    this.batch(() => this.#topics.forEach((topic) => this.#settle(topic)));
    this.#queue.push(...waiting); // behind, so that who subscribed and then published hears it
    this.#drain();
  }

  /** Talk with the server about a topic until what it has is what is wanted. */
  async #settle(topic) {
    if (topic.busy) return;
    topic.busy = true;
    const wanted = () => topic.listeners.size > 0;
    const held = () => topic.session !== null && topic.session === this.#clientId;
    if (topic.channel.startsWith("/service/")) topic.session = wanted() ? this.#clientId : null; // needs no talk
    while (this.#clientId && wanted() !== held()) {
      const session = this.#clientId;
      const subscribe = wanted();
      const channel = subscribe ? "/meta/subscribe" : "/meta/unsubscribe";
      try {
        await this.#request({ channel, subscription: topic.channel });
        topic.session = subscribe ? session : null;
        this.#subscribeBackoff.reset();
      } catch (error) {
        if (session !== this.#clientId) continue; // it was for a session that is gone
        if (error.code === 402) break; // the session is gone, as the connect will learn
        if (TEMPORARY.has(error.code)) await this.#subscribePause();
        else if (subscribe) {
          this.#forget(topic, error);
          this.#report(error);
        } else topic.session = null;
      }
    }
    topic.busy = false;
    if (held()) for (const { resolve } of topic.listeners.values()) resolve();
    else if (!wanted()) this.#topics.delete(topic.channel);
  }

  /** One for all topics that wait, so that they come back in one request. */
  #subscribePause() {
    this.#retry ??= this.#pause(this.#subscribeBackoff.next()).finally(() => (this.#retry = null));
    return this.#retry;
  }

  #forget(topic, reason) {
    for (const { reject } of topic.listeners.values()) reject(reason);
    topic.listeners.clear();
  }

  #request(message) {
    return new Promise((resolve, reject) => {
      const request = { message, resolve, reject };
      if (this.#group) this.#group.push(request);
      else this.#queue.push([request]);
      queueMicrotask(() => this.#drain()); // not yet: more may follow in this turn
    });
  }

  async #drain() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#clientId && this.#queue.length) {
      const batch = this.#queue.shift();
      while (batch.length + this.#queue[0]?.length <= MAX_BATCH) batch.push(...this.#queue.shift());
      await this.#transmit(batch);
    }
    this.#sending = false;
    if (this.#state === "disconnected") for (const { reject } of this.#queue.splice(0).flat()) reject(disconnected());
  }

  async #transmit(requests, keepalive) {
    const clientId = this.#clientId;
    // The last request goes by HTTP if there is that, as only there it is promised to outlive the page.
    const transport = this.#carrier?.ready && !keepalive ? this.#carrier : this.#base;
    const messages = requests.map(({ message }) => ({ ...message, clientId }));
    try {
      const replies = await this.#exchange(transport, messages, { timeout: NETWORK_DELAY, keepalive });
      requests.forEach(({ resolve, reject }, n) => {
        if (replies[n]?.successful) resolve(replies[n]);
        else reject(replies[n] ? BayeuxError.of(replies[n]) : network("No reply"));
      });
    } catch (error) {
      for (const { reject } of requests) reject(error);
    }
  }

  /** Send one message by itself; its reply, unless the signal says that nobody waits for it any more. */
  async #ask(transport, message, timeout, signal) {
    signal.throwIfAborted();
    const [reply] = await this.#exchange(transport, [message], { timeout, signal });
    signal.throwIfAborted();
    if (!reply) throw network("No reply");
    return reply;
  }

  /** The replies to messages, in the order of these; undefined for one that has none. */
  async #exchange(transport, messages, options) {
    const sent = messages.map((message) => ({ id: String(++this.#lastId), ...message }));
    const received = await transport.send(sent, options);
    return sent.map(({ id }) => received.find((message) => message?.id === id && "successful" in message));
  }

  /**
   * Hand events to their callbacks. Events, and only they, have data and no `successful`.
   *
   * With the ack extension the server answers each connect with all that it does not acknowledge. So the answer to any
   * but the newest, however it comes to be here, is dropped: its events come again, with the answer to that one.
   */
  #receive(messages) {
    const connect = messages.find((message) => message?.channel === "/meta/connect" && "successful" in message);
    if (connect && this.#ack !== null && connect.id !== this.#newest) return;
    for (const message of messages) {
      if (typeof message?.channel !== "string" || !("data" in message) || "successful" in message) continue;
      for (const name of patterns(message.channel)) {
        const listeners = this.#topics.get(name)?.listeners ?? new Map();
        for (const [subscription, { callback }] of [...listeners]) {
          if (this.#state === "disconnected" || !listeners.has(subscription)) continue; // since the callback before
          try {
            callback(message.data, message);
          } catch (error) {
            this.#report(error, message);
          }
        }
      }
    }
    if (!connect || this.#ack === null) return;
    this.#newest = null; // a second copy is none
    if (connect.successful && Number.isFinite(connect.ext?.ack)) this.#ack = connect.ext.ack;
  }
}

/** Make a client, which connects by itself; parameters as for the constructor of `Client`. */
export function init(url, options) {
  return new Client(url, options);
}
