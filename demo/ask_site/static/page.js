const { user, port } = document.getElementById("script").dataset;
const find = (id) => document.getElementById(id);

// The same host, so that the browser sends the site's cookie there too; another port, and so another origin.
const live = `${location.protocol}//${location.hostname}:${port}/bayeux`;

const STATES = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  disconnected: "You are logged out here. Reload the page.",
};

function show({ from, text }) {
  const note = document.createElement("li");
  note.append(Object.assign(document.createElement("b"), { textContent: from }), ` ${text}`);
  find("notes").append(note);
}

const { init } = await import(`${live}/client.js`);
const client = init(live, { credentials: "include" });
client.addEventListener("state", ({ detail: { state } }) => {
  find("state").textContent = STATES[state];
  find("state").dataset.state = state;
});
client.subscribe(`/private/${user}`, show);

find("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [to, text] = [find("to").value, find("text").value];
  try {
    await client.publish(`/private/${to}`, { from: user, text });
    find("said").textContent = `Sent to ${to}.`;
    find("text").value = "";
  } catch (error) {
    find("said").textContent = `Not sent: ${error.text}.`;
  }
});
