import { init } from "/bayeux/client.js";

const client = init("/bayeux");
const find = (id) => document.getElementById(id);
const stage = find("stage");
const STATES = { connecting: "Connecting", connected: "Live", reconnecting: "Reconnecting", disconnected: "Disconnected" };

let wanted; // the address of the slide that should be seen

client.addEventListener("state", ({ detail: { state } }) => {
  find("state").textContent = STATES[state];
  find("state").dataset.state = state;
  if (state === "connected") ask(); // we may have missed a slide, or all of them
});

client.subscribe("/slideshow/current", show);
client.subscribe("/service/slideshow/current", show);

function ask() {
  client.publish("/service/slideshow/current").catch(() => client.state === "connected" && setTimeout(ask, 2000));
}

/** The slide that is seen stays until the new one is there, so that nothing flickers. */
async function show({ address, number, total, words }) {
  if (address === wanted) return;
  wanted = address;
  const slide = Object.assign(new Image(), { src: address, alt: "" });
  try {
    await slide.decode();
  } catch {
    if (address === wanted) wanted = null; // the next event, or the next connection, brings a better one
    return;
  }
  if (address !== wanted) return; // overtaken
  const old = [...stage.children];
  stage.append(slide);
  find("words").textContent = words;
  find("place").textContent = `${number} of ${total}`;
  document.title = words.split("\n")[0];
  setTimeout(() => old.forEach((image) => image.remove()), 400);
}

find("full").hidden = !document.fullscreenEnabled;
find("full").addEventListener("click", turn);
addEventListener("keydown", (event) => {
  if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) turn();
});

function turn() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.body.requestFullscreen?.();
}
