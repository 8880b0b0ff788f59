/** The busiest channels, and what went wrong. */

import { byId, element, Rows, say } from "./dom.js";
import { count, rate } from "./format.js";

const MOST = 10;

/** Counters of what went wrong, by which, in words; of those with a number alone there is no "which". */
const TROUBLES = {
  dropped: "Deliveries lost to a full queue",
  limited: "A limit was in the way",
  failures: "A message was refused",
  refused: "A request was refused",
  authentication_failures: "Credentials were refused",
  api_errors: "The API has refused",
  application_errors: "The application failed",
  failed_reloads: "Keys could not be read again",
  stalled: "Cut, as it took nothing",
  unanswered_pings: "Cut, as it answered no ping",
  unannounced: "Cut, as a proxy did not say whose it was",
};

const cell = (className, text = "") => element("td", { className }, text);

export class Channels {
  #api = null;
  #rows;
  #empty;
  #most = 0;

  /** `watch(channel)` is called when somebody wants to see a channel's events. */
  constructor(watch) {
    this.#empty = byId("channels").querySelector(".empty");
    this.#rows = new Rows(byId("channels").querySelector("tbody"), (channel) => {
      const bar = element("meter", { min: 0, max: 1, "aria-hidden": "true" });
      const [speed, subscribers] = [element("span"), cell("number wide")];
      const button = element("button", { className: "quiet", "aria-label": `Watch ${channel}` }, "Watch");
      button.addEventListener("click", () => watch(channel));
      const row = element(
        "tr",
        {},
        element("th", { scope: "row", className: "name" }, element("div", { className: "clamp", title: channel }, channel)),
        element("td", { className: "number bar" }, bar, speed),
        subscribers,
        element("td", { className: "do" }, button),
      );
      const update = (item) => {
        bar.value = this.#most && item.rate / this.#most;
        say(speed, rate(item.rate));
        say(subscribers, count(item.subscribers));
      };
      return { row, update };
    });
  }

  begin(api) {
    this.#api = api;
  }

  end() {
    this.#api = null;
    this.#rows.show([]);
  }

  async refresh() {
    const api = this.#api;
    const { channels } = await api.get("v1/channels", { order: "rate", limit: MOST });
    if (api !== this.#api) return; // the key has been forgotten meanwhile
    this.#most = channels[0]?.rate ?? 0;
    this.#rows.show(channels, ({ channel }) => channel);
    this.#empty.hidden = channels.length > 0;
  }
}

export class Troubles {
  #rows;
  #empty;

  constructor() {
    this.#empty = byId("troubles").querySelector(".empty");
    this.#rows = new Rows(byId("troubles").querySelector("tbody"), () => {
      const [what, which, often] = [element("td"), cell("name"), cell("number")];
      const update = (item) => [what, which, often].forEach((node, n) => say(node, item[n]));
      return { row: element("tr", {}, what, which, often), update };
    });
  }

  /** Show what the counters of `/v1/stats` have; what there is most of first. */
  show(counters) {
    const items = [];
    for (const [name, what] of Object.entries(TROUBLES)) {
      const value = counters[name] ?? 0;
      const each = typeof value === "object" ? Object.entries(value) : [["", value]];
      for (const [which, number] of each) if (number) items.push([what, which, number]);
    }
    items.sort((one, other) => other[2] - one[2]);
    this.#rows.show(
      items.map(([what, which, number]) => [what, which, count(number)]),
      ([what, which]) => `${what}\n${which}`,
    );
    this.#empty.hidden = items.length > 0;
  }
}
