/**
 * The admin page: it asks for the key, and then asks the server how it is, again and again, while it is looked at.
 *
 * Whatever it shows was said by clients: names of channels, users, addresses, events. It goes through `dom.js`, where
 * it can become nothing but text.
 */

import { API, Away, isKey, Refused } from "./api.js";
import { Channels, Troubles } from "./channels.js";
import { byId, say } from "./dom.js";
import { Figures } from "./figures.js";
import { clock, duration, plural } from "./format.js";
import { History } from "./history.js";
import { Publish } from "./publish.js";
import { Sessions } from "./sessions.js";
import { Watch } from "./watch.js";

const PERIOD = 2_000;
const SPAN = 5 * 60_000;
const LISTS = 2; // in how many rounds lists are asked for once
const LONGEST_PAUSE = 10_000;
const STORED = "bayeux-api-key";

const history = new History(SPAN, 3 * PERIOD);
const figures = new Figures(history, SPAN);
const troubles = new Troubles();
const watch = new Watch();
const channels = new Channels((channel) => {
  watch.watch(channel);
  byId("watch").scrollIntoView({ block: "nearest", behavior: "smooth" });
});
const sessions = new Sessions(failed);
const publish = new Publish(failed);

let api = null;
let timer = null;
let rounds = 0;
let failures = 0;
let unready = ""; // why it is not ready for more clients, if it is not
let since = null; // when the server was last heard of, if it is away

function become(state, text) {
  byId("state").dataset.state = state;
  document.body.dataset.state = state;
  say(byId("state"), text);
}

/** One look at the server, and a plan for the next. */
async function round() {
  clearTimeout(timer);
  timer = null;
  if (!api || document.hidden) return;
  const asked = api;
  try {
    const stats = await asked.get("v1/stats");
    if (asked !== api) return;
    const now = Date.now();
    history.add(stats, now);
    figures.show(now);
    troubles.show(stats.counters);
    say(
      byId("facts"),
      `Version ${stats.version}, up ${duration(stats.uptime)}, ${plural(stats.connections, "connection")}, ` +
        plural(stats.channels, "channel"),
    );
    if (rounds++ % LISTS === 0) await Promise.all([channels.refresh(), sessions.refresh(), askReady(asked)]);
    if (asked !== api) return;
    failures = 0;
    since = null;
    if (unready) become("unready", `Live, but not ready for more: ${unready}`);
    else become("live", "Live");
  } catch (error) {
    if (asked !== api) return;
    if (!failed(error)) become("away", error.message);
  }
  if (api) plan(Math.min(PERIOD * 2 ** Math.min(failures, 5), failures ? LONGEST_PAUSE : PERIOD));
}

async function askReady(asked) {
  try {
    await asked.get("readyz");
    if (asked === api) unready = "";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (asked === api) unready = error.message;
  }
}

function plan(pause) {
  clearTimeout(timer);
  timer = setTimeout(round, pause);
}

/** Take care of what goes wrong everywhere; returns false for what only one part can explain. */
function failed(error) {
  if (error instanceof Away) {
    failures++;
    since ??= Date.now();
    rounds = 0;
    become("away", `No answer from the server since ${clock(since)}; trying again`);
    return true;
  }
  if (error instanceof Refused && error.status === 401) {
    close("The server does not take this key. Is it that of api_key_file?");
    return true;
  }
  if (!(error instanceof Refused)) console.error(error); // a fault of this page
  return false;
}

function open(key) {
  api = new API(key);
  rounds = failures = 0;
  since = null;
  history.samples = [];
  for (const part of [sessions, channels, publish, watch]) part.begin(api);
  byId("login").hidden = true;
  byId("board").hidden = byId("forget").hidden = false;
  byId("board").focus();
  become("away", "Asking the server");
  round();
}

/** Back to the door, and say why. */
function close(reason = "") {
  sessionStorage.removeItem(STORED);
  api = null;
  history.samples = [];
  for (const part of [watch, sessions, channels, publish]) part.end(); // nothing stays that was for who had the key
  troubles.show({});
  byId("board").hidden = byId("forget").hidden = true;
  byId("login").hidden = false;
  say(byId("facts"), "");
  become("out", "");
  say(byId("key-error"), reason);
  byId("key").value = "";
  byId("key").focus();
}

byId("login").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  say(byId("key-error"), "");
  try {
    if (!isKey(key)) throw new Refused(401, "unauthorized", "This is no key: it has characters that keys have not.");
    await new API(key).get("v1/stats");
  } catch (error) {
    say(byId("key-error"), error.code === "unauthorized" ? "The server does not take this key. Is it that of api_key_file?" : error.message);
    byId("key").select();
    return;
  }
  sessionStorage.setItem(STORED, key);
  byId("key").value = "";
  open(key);
});

byId("forget").addEventListener("click", () => close());
document.addEventListener("visibilitychange", () => document.hidden || round());

const stored = sessionStorage.getItem(STORED);
if (stored && isKey(stored)) open(stored);
else close();
