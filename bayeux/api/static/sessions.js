/** The sessions, page by page; one of them with all that is known of it, and its end. */

import { Refused } from "./api.js";
import { byId, element, Rows, say } from "./dom.js";
import { count, duration, plural, visible } from "./format.js";

const PAGE = 20;
const NOBODY = "–";

const STATES = {
  handshaken: "has shaken hands, and not connected yet",
  connected: "between two connects, or on a stream",
  held: "its connect is held",
};

/** What is known of a session, by words; a user and an address are any text. */
const FACTS = {
  User: ({ user }) => visible(user || NOBODY),
  Address: ({ address }) => visible(address || NOBODY),
  Transport: ({ transport }) => transport,
  State: ({ state }) => STATES[state] ?? state,
  Age: ({ age }) => duration(age),
  Queue: ({ queue }) => plural(queue, "event"),
};

export class Sessions {
  #failed;
  #api = null;
  #starts = [""]; // `after` of each page up to the one that is shown
  #next = null;
  #rows;
  #open = null; // the id of the session that the dialog is about
  #dialog = byId("session");
  #leave = null; // what had the focus before

  /** `failed(error)` is told of what went wrong, and returns whether it takes care of it. */
  constructor(failed) {
    this.#failed = failed;
    this.#rows = new Rows(byId("sessions").querySelector("tbody"), (id) => this.#row(id));
    byId("before").addEventListener("click", () => this.#turn(() => this.#starts.pop()));
    byId("after").addEventListener("click", () => this.#turn(() => this.#starts.push(this.#next)));
    byId("find").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#show(byId("label").value, byId("label"));
    });
    byId("disconnect").addEventListener("click", () => this.#disconnect());
    this.#dialog.addEventListener("close", () => {
      this.#open = null;
      if (this.#leave?.isConnected) this.#leave.focus();
    });
  }

  begin(api) {
    this.#api = api;
  }

  end() {
    this.#api = null;
    this.#starts = [""];
    this.#next = null;
    this.#rows.show([]);
    say(byId("sessions-said"), "");
    if (this.#dialog.open) this.#dialog.close();
    say(byId("session-title"), "");
    for (const list of [this.#dialog.querySelector("dl"), byId("session-channels")]) list.replaceChildren();
    byId("label").value = "";
  }

  /** Show the page as it is now. */
  async refresh() {
    const api = this.#api;
    const after = this.#starts.at(-1);
    const { sessions, next } = await api.get("v1/sessions", { limit: PAGE, ...(after && { after }) });
    if (api !== this.#api || after !== this.#starts.at(-1)) return; // the key is forgotten, or the page turned
    if (!sessions.length && this.#starts.length > 1) {
      this.#starts.pop();
      return this.refresh();
    }
    this.#next = next;
    this.#rows.show(sessions, ({ id }) => id);
    byId("sessions").querySelector(".empty").hidden = sessions.length > 0;
    byId("before").disabled = this.#starts.length === 1;
    byId("after").disabled = next === null;
    byId("sessions").querySelector("nav").hidden = this.#starts.length === 1 && next === null;
    say(byId("page"), `Page ${count(this.#starts.length)}`);
  }

  async #turn(change) {
    change();
    await this.#guard(() => this.refresh());
  }

  /** Do something; returns whether it went well, and is still for who has the key. */
  async #guard(action, place = byId("sessions-said")) {
    const api = this.#api;
    try {
      await action();
      return api === this.#api;
    } catch (error) {
      if (api === this.#api && !this.#failed(error)) say(place, error.message);
      return false;
    }
  }

  #row(id) {
    const open = element("button", { className: "link" }, id);
    open.addEventListener("click", () => this.#show(id, open));
    const end = element("button", { className: "quiet", "aria-label": `Disconnect ${id}` }, "Disconnect");
    end.addEventListener("click", () => this.#show(id, end));
    const cells = ["name user", "name wide", "", "number wide", "number", "number wide"].map((className) =>
      element("td", { className }),
    );
    const row = element(
      "tr",
      {},
      element("th", { scope: "row", className: "id" }, open),
      ...cells,
      element("td", { className: "do" }, end),
    );
    const update = (session) => {
      const { user, address, transport, age, queue, subscriptions } = session;
      const who = [user, address, transport].map((text) => visible(text || NOBODY));
      const texts = [...who, duration(age), count(queue), count(subscriptions)];
      cells.forEach((node, n) => say(node, texts[n]));
      cells[0].title = who[0];
    };
    return { row, update };
  }

  /** Open the dialog; the focus comes back to where it was asked for. */
  async #show(id, from) {
    let session;
    say(byId("sessions-said"), "");
    const found = await this.#guard(async () => (session = await this.#api.get(`v1/sessions/${encodeURIComponent(id)}`)));
    if (!found) return;
    this.#open = session.id;
    this.#leave = from;
    say(byId("session-title"), `Session ${session.id}`);
    say(byId("session-said"), "");
    const facts = Object.entries(FACTS).flatMap(([name, of]) => [element("dt", {}, name), element("dd", {}, of(session))]);
    this.#dialog.querySelector("dl").replaceChildren(...facts);
    const channels = session.channels.map((channel) => element("li", {}, channel));
    byId("session-channels").replaceChildren(...(channels.length ? channels : [element("li", { className: "soft" }, "none")]));
    this.#dialog.showModal();
    byId("leave").focus(); // not what does harm
  }

  async #disconnect() {
    const id = this.#open;
    const done = await this.#guard(async () => {
      try {
        await this.#api.delete(`v1/sessions/${encodeURIComponent(id)}`);
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 404) throw error; // it has gone by itself
      }
    }, byId("session-said"));
    if (!done) return;
    this.#dialog.close();
    say(byId("sessions-said"), `${id} is disconnected.`);
    await this.#guard(() => this.refresh());
  }
}
