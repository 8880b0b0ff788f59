/** Watching channels, by our own client: it gets new connections by itself. */

import { init } from "./client.js";
import { byId, element, say } from "./dom.js";
import { clock, count, plural, shorten, visible } from "./format.js";

const SKIPPED = "/service/skipped";
const MOST = 200; // events that are kept
const LONGEST = 2_000; // characters that are shown of one
const PAUSE = 250; // milliseconds between two looks at what has come

export class Watch {
  #api = null;
  #client = null;
  #connected; // a promise that it is: it says nothing of a server that goes before
  #watched = new Map(); // pattern -> subscription
  #come = []; // events that are not shown yet, oldest first
  #timer = null;
  #held = false;
  #seen = 0;
  #skipped = 0;

  constructor() {
    byId("watch").querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.watch(byId("watch-pattern").value);
    });
    byId("hold").addEventListener("click", () => this.#hold(!this.#held));
    byId("clear").addEventListener("click", () => this.#clear());
  }

  begin(api) {
    this.#api = api;
  }

  /** Watch nothing any more, and forget what has been seen. */
  end() {
    for (const pattern of [...this.#watched.keys()]) this.#stop(pattern);
    this.#clear();
    this.#tell("");
    this.#api = null;
    byId("tools").hidden = byId("events").hidden = true;
  }

  /** Show events on a channel or pattern from now on. */
  watch(pattern) {
    if (this.#watched.has(pattern)) return;
    this.#connect();
    let subscription;
    try {
      subscription = this.#client.subscribe(pattern, (data, { channel }) => this.#take(channel, data));
    } catch (error) {
      this.#tell(error.message, true);
      if (!this.#watched.size) this.#disconnect();
      return;
    }
    const button = element("button", { className: "quiet", "aria-label": `Stop watching ${pattern}` }, "Stop");
    const item = element("li", {}, element("code", {}, pattern), button);
    button.addEventListener("click", () => {
      this.#stop(pattern);
      byId("watch-pattern").focus();
    });
    byId("watched").append(item);
    this.#watched.set(pattern, { subscription, item });
    byId("tools").hidden = byId("events").hidden = false;
    this.#tell(`Asking for ${pattern}`);
    Promise.all([subscription.ready, this.#connected]).then(
      () => {
        if (this.#watched.get(pattern)?.subscription !== subscription) return;
        this.#tell(`Watching ${pattern} since ${clock(Date.now())}`);
        if (byId("watch-pattern").value === pattern) byId("watch-pattern").value = "";
      },
      (error) => {
        if (this.#watched.get(pattern)?.subscription !== subscription) return; // it has been stopped
        if (!["cancelled", "disconnected"].includes(error.code)) this.#tell(`${pattern}: ${error.text}`, true);
        this.#stop(pattern);
      },
    );
  }

  #stop(pattern) {
    const entry = this.#watched.get(pattern);
    if (!entry) return;
    this.#watched.delete(pattern);
    entry.subscription.cancel();
    entry.item.remove();
    if (!this.#watched.size) this.#disconnect();
  }

  #connect() {
    if (this.#client) return;
    const client = init(this.#api.watch, {
      transports: ["long-polling"],
      headers: this.#api.headers,
      maxBackoff: 10_000,
    });
    client.addEventListener("state", ({ detail: { state, previous, reason } }) => {
      if (client !== this.#client) return;
      if (state === "reconnecting") this.#tell("The server has gone; trying to get back", true);
      else if (state === "connected" && previous === "reconnecting") this.#tell(`Back since ${clock(Date.now())}`);
      else if (state === "disconnected") {
        for (const pattern of [...this.#watched.keys()]) this.#stop(pattern);
        this.#tell(reason?.text ?? "Watching has ended", true);
      }
    });
    this.#connected = new Promise((resolve) =>
      client.addEventListener("state", ({ detail: { state } }) => state === "connected" && resolve()),
    );
    client.addEventListener("error", (event) => event.preventDefault()); // who waits for it is told
    client.subscribe(SKIPPED, ({ events }) => {
      if (client !== this.#client) return;
      this.#skipped += events;
      this.#plan();
    });
    this.#client = client;
  }

  #disconnect() {
    const client = this.#client;
    this.#client = null;
    client?.disconnect();
  }

  #take(channel, data) {
    this.#come.push({ time: Date.now(), channel, data });
    this.#seen++;
    while (this.#come.length > MOST) this.#come.shift();
    this.#plan();
  }

  /** Show what has come a little later, all at once: a page is laid out some times a second, and no more. */
  #plan() {
    this.#timer ??= setTimeout(() => this.#show(), PAUSE);
  }

  #show() {
    this.#timer = null;
    const parts = [plural(this.#seen, "event")];
    if (this.#skipped) parts.push(`${count(this.#skipped)} more came too fast to be shown`);
    if (this.#held && this.#come.length) parts.push(`${count(this.#come.length)} held`);
    say(byId("tally"), parts.join(", "));
    if (this.#held) return;
    const list = byId("events");
    const made = this.#come.splice(0).reverse().map(({ time, channel, data }) =>
      element(
        "li",
        {},
        element("time", {}, clock(time)),
        element("code", { className: "name" }, channel),
        element("pre", {}, visible(shorten(JSON.stringify(data), LONGEST))),
      ),
    );
    const height = list.scrollHeight;
    list.prepend(...made);
    if (list.scrollTop > 0) list.scrollTop += list.scrollHeight - height; // who reads on below is not disturbed
    while (list.childElementCount > MOST) list.lastElementChild.remove();
  }

  #hold(held) {
    this.#held = held;
    byId("hold").setAttribute("aria-pressed", String(held));
    say(byId("hold"), held ? "Go on" : "Hold");
    this.#plan();
  }

  #clear() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#come = [];
    this.#seen = this.#skipped = 0;
    byId("events").replaceChildren();
    say(byId("tally"), "");
  }

  #tell(text, wrong = false) {
    byId("watch-said").classList.toggle("error", wrong);
    say(byId("watch-said"), text);
  }
}
