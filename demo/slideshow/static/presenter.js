import { init } from "/bayeux/client.js";

const client = init("/bayeux");
const find = (id) => document.getElementById(id);
const STATES = { connecting: "Connecting", connected: "Live", reconnecting: "Reconnecting", disconnected: "Disconnected" };

let key = keyInAddress(); // which shows that we may present
let slides = [];
let shown = 0; // the number of the slide that everybody sees, as the server says
let aim = 0; // the one that we have asked for

client.addEventListener("state", ({ detail: { state } }) => {
  find("state").textContent = STATES[state];
  find("state").dataset.state = state;
  if (state === "connected") ask(); // a restarted server has new addresses
  draw();
});

client.subscribe("/service/slideshow/deck", (deck) => {
  slides = deck.slides;
  shown = aim = deck.shown;
  find("list").replaceChildren(...slides.map(entry));
  draw();
});

client.subscribe("/slideshow/current", ({ number }) => {
  shown = number;
  draw();
});

addEventListener("hashchange", () => {
  key = keyInAddress();
  ask();
});

function keyInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // a lonely % sign
  }
}

async function ask() {
  if (client.state !== "connected") return; // we shall be called again
  try {
    await client.publish("/service/slideshow/deck", { key });
    admit(true);
  } catch (error) {
    if (error.code === 403) admit(false);
    else setTimeout(ask, 2000);
  }
}

function admit(admitted) {
  document.body.classList.toggle("locked", !admitted);
  find("lock").hidden = admitted;
  if (admitted) return;
  find("why").textContent = key ? "This is not the key that the server has now." : "There is no key in this link.";
  slides = [];
  fill(find("stage"));
  fill(find("preview"));
  find("list").replaceChildren();
  find("text").textContent = find("place").textContent = "";
}

async function go(number) {
  if (!slides[number - 1] || client.state !== "connected") return;
  aim = number;
  draw();
  try {
    await client.publish("/service/slideshow/show", { key, number });
    find("trouble").textContent = "";
  } catch (error) {
    if (error.code === 403) return admit(false);
    find("trouble").textContent = error.code === "network" ? "No answer from the server" : error.text;
    aim = shown;
    draw();
  }
}

const title = (slide) => slide.words.split("\n")[0];

function picture(slide) {
  return Object.assign(new Image(), { src: slide.address, alt: title(slide), draggable: false });
}

function entry(slide) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(Object.assign(picture(slide), { alt: "" }), `${slide.number}. ${title(slide)}`);
  button.addEventListener("click", () => go(slide.number));
  const line = document.createElement("li");
  line.append(button);
  return line;
}

function fill(place, slide) {
  if (place.dataset.address === (slide?.address ?? "")) return;
  place.dataset.address = slide?.address ?? "";
  place.replaceChildren(...(slide ? [picture(slide)] : []));
}

function draw() {
  const live = client.state === "connected";
  find("back").disabled = !live || aim <= 1;
  find("forward").disabled = !live || aim >= slides.length;
  if (!shown || !slides.length) return;
  const slide = slides[shown - 1];
  fill(find("stage"), slide);
  fill(find("preview"), slides[shown]);
  find("text").textContent = slide.notes;
  find("place").textContent = `${shown} of ${slides.length}`;
  for (const [index, { firstChild: button }] of [...find("list").children].entries()) {
    if (index + 1 !== shown) button.removeAttribute("aria-current");
    else if (!button.hasAttribute("aria-current")) {
      button.setAttribute("aria-current", "true");
      if (matchMedia("(min-width: 48rem)").matches) button.scrollIntoView({ block: "nearest" });
    }
  }
}

find("back").addEventListener("click", () => go(aim - 1));
find("forward").addEventListener("click", () => go(aim + 1));

const KEYS = {
  ArrowRight: () => aim + 1, PageDown: () => aim + 1, " ": () => aim + 1,
  ArrowLeft: () => aim - 1, PageUp: () => aim - 1,
  Home: () => 1, End: () => slides.length,
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (event.key === " " && event.target.closest("button")) return; // it presses the button
  event.preventDefault();
  go(KEYS[event.key]());
});

let start = null;
find("stage").addEventListener("touchstart", ({ touches }) => (start = touches.length === 1 ? touches[0] : null),
  { passive: true });
find("stage").addEventListener("touchend", ({ changedTouches: [end] }) => {
  if (!start) return;
  const [right, down] = [end.clientX - start.clientX, end.clientY - start.clientY];
  start = null;
  if (Math.abs(right) > 40 && Math.abs(right) > 1.5 * Math.abs(down)) go(aim + (right < 0 ? 1 : -1));
}, { passive: true });
