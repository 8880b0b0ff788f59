import { init } from "/bayeux/client.js";

const client = init("/bayeux");
const find = (id) => document.getElementById(id);
const [wall, said, newer, trouble, door] = ["wall", "said", "newer", "trouble", "door"].map(find);

const STATES = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  disconnected: "Disconnected",
};
const MOST = 500; // messages that the page keeps
const PAUSE = 5 * 60_000; // after which a name is shown again

// Storage may be forbidden. The name lives as long as the tab, so that two tabs can be two people; the key proves after
// a reload that we are the one who had the name.
function stored(storage, name, value) {
  try {
    if (value !== undefined) window[storage].setItem(name, value);
    return window[storage].getItem(name) ?? "";
  } catch {
    return value ?? "";
  }
}

const clean = (name) =>
  name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 24);

const roomInAddress = () => {
  try {
    return clean(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return ""; // a lonely % sign
  }
};

const me = { name: stored("sessionStorage", "chat name"), room: roomInAddress() || "lobby", key: "" };
me.key = stored("sessionStorage", "chat key") || stored("sessionStorage", "chat key", makeKey());
let onWall = ""; // the room whose messages are shown
let inside = false; // whether the server has let us in, on this connection
let missed = 0; // messages that nobody has seen yet
const wools = new Map(); // name -> colour

function makeKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// ---- to and from the server

client.addEventListener("state", ({ detail: { state } }) => {
  inside = false;
  find("state").textContent = STATES[state];
  find("state").dataset.state = state;
  if (state === "connected") enter();
  if (state === "disconnected") complain("The server has sent us away. Reload the page to come back.");
});

client.subscribe("/service/chat/join", (answer) => {
  if (answer.room !== me.room) return; // we have gone on meanwhile
  inside = true;
  me.name = stored("sessionStorage", "chat name", answer.you);
  stored("localStorage", "chat name", answer.you);
  const known = said.querySelector(".said") !== null;
  if (known && answer.said.length === 30 && !answer.said.some(isShown)) note("Some messages were missed here.");
  answer.said.forEach(show);
  showPeople(answer.people);
  complain("");
  if (door.open) door.close();
});

client.subscribe("/service/chat/heard", hear);

function enter() {
  find("room").textContent = me.room;
  document.title = me.room;
  if (!me.name) return openDoor();
  if (client.state !== "connected") return; // we shall be called again
  if (onWall !== me.room) {
    said.replaceChildren();
    showPeople([]);
    onWall = me.room;
  }
  client.publish("/service/chat/join", me).catch((error) => {
    if (error.code === "network") setTimeout(enter, 2000);
    else if (error.code !== "disconnected") openDoor(error.text);
  });
}

function hear(event) {
  if (event.room !== me.room) return; // we have gone on meanwhile
  if (event.type === "say") return show(event);
  if (event.name !== me.name) note(`${event.name} ${event.type === "join" ? "came in" : "left"}`);
  showPeople(event.people);
}

async function speak() {
  const text = find("text").value.trim();
  const button = find("speak").querySelector("button");
  if (!text || button.disabled) return;
  if (!inside) return complain("Not connected. Your message waits here until you send it again.");
  button.disabled = true;
  find("text").value = ""; // at once: what is typed meanwhile is the next message
  try {
    await client.publish("/service/chat/say", { text });
    complain("");
    wall.scrollTop = wall.scrollHeight;
  } catch (error) {
    find("text").value ||= text;
    if (error.code === "network") complain("No answer: look whether it was heard before you send it again.");
    else complain(`Not sent: ${error.text}`);
    if (error.code === 403) openDoor("You came in by another window. Come back?");
  } finally {
    button.disabled = false;
    find("text").focus();
  }
}

// ---- what is seen; nothing that people wrote is ever read as HTML

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.dir = "auto";
  made.append(...content);
  return made;
}

/** The colour that fewest others have, as far as this page knows. */
function woolOf(name) {
  if (!wools.has(name)) {
    const used = Array.from({ length: 6 }, (_, wool) => [...wools.values()].filter((other) => other === wool).length);
    wools.set(name, used.indexOf(Math.min(...used)));
  }
  return wools.get(name);
}

const isShown = ({ at }) => said.querySelector(`.said[data-at="${Number(at)}"]`) !== null;

function show(event) {
  if (isShown(event)) return;
  const line = element("li", "said", element("p", "text", event.text));
  let before = said.lastElementChild;
  while (before && Number(before.dataset.at) > event.at) before = before.previousElementSibling;
  const goesOn = before?.dataset.name === event.name && event.at - before.dataset.at < PAUSE;
  const time = element("time", "", new Date(event.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  line.prepend(element("p", "who", element("b", "", event.name), time));
  line.classList.toggle("first", !goesOn);
  Object.assign(line.dataset, { at: event.at, name: event.name, wool: woolOf(event.name) });
  place(line, before);
  if (event.name !== me.name && (document.hidden || !newer.hidden)) missed++;
  tellMissed();
}

function note(text) {
  const line = element("li", "note", text);
  line.dataset.at = said.lastElementChild?.dataset.at ?? 0;
  place(line, said.lastElementChild);
}

/** Whoever reads at the end stays there; whoever reads further up is not disturbed. */
function place(line, before) {
  const atEnd = isAtEnd();
  said.insertBefore(line, before ? before.nextSibling : said.firstChild);
  if (atEnd) {
    while (said.childElementCount > MOST) said.firstElementChild.remove();
    wall.scrollTop = wall.scrollHeight;
  } else newer.hidden = false;
}

const isAtEnd = () => wall.scrollHeight - wall.scrollTop - wall.clientHeight < 80;

function tellMissed() {
  newer.textContent = missed === 1 ? "1 new message" : missed ? `${missed} new messages` : "New messages";
  document.title = missed ? `(${missed}) ${me.room}` : me.room;
}

function look() {
  if (document.hidden || !isAtEnd()) return;
  missed = 0;
  newer.hidden = true;
  tellMissed();
}

function showPeople(names) {
  find("count").textContent = names.length ? `${names.length} here` : "Nobody yet";
  find("people").replaceChildren(...names.map((name) => {
    const line = element("li", "", name);
    line.dataset.wool = woolOf(name);
    if (name === me.name) line.append(Object.assign(document.createElement("small"), { textContent: " (you)" }));
    return line;
  }));
}

function complain(text) {
  trouble.textContent = text;
}

// ---- the door

function openDoor(refusal = "") {
  find("refusal").textContent = refusal;
  find("stay").hidden = !inside;
  find("welcome").textContent = inside ? "Go elsewhere" : "Come in";
  if (door.open) return;
  find("name").value = me.name || stored("localStorage", "chat name");
  find("where").value = me.room;
  door.showModal();
  find("name").select();
}

find("entry").addEventListener("submit", (event) => {
  event.preventDefault(); // the door opens when the server says so
  me.name = find("name").value.trim();
  me.room = clean(find("where").value) || "lobby";
  find("where").value = me.room;
  find("refusal").textContent = client.state === "connected" ? "" : "Not connected yet, please wait";
  history.replaceState(null, "", `#${me.room}`);
  inside = false;
  enter();
  if (matchMedia("(hover: hover)").matches) find("text").focus();
});
door.addEventListener("cancel", (event) => inside || event.preventDefault());
find("stay").addEventListener("click", () => door.close());
find("change").addEventListener("click", () => openDoor());

addEventListener("hashchange", () => {
  me.room = roomInAddress() || "lobby";
  inside = false;
  enter();
});

find("speak").addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
find("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  speak();
});

wall.addEventListener("scroll", look, { passive: true });
document.addEventListener("visibilitychange", look);
new ResizeObserver(() => newer.hidden && (wall.scrollTop = wall.scrollHeight)).observe(wall);
newer.addEventListener("click", () => wall.scrollTo({ top: wall.scrollHeight, behavior: "smooth" }));

enter();
