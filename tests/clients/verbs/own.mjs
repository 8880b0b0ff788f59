// Our own client behind the common verbs, in node and in the browser.

export default function verbs(init, url, WebSocket, { transports = "websocket,long-polling" }) {
    const arrived = [];
    const received = [];
    const subscriptions = new Map();
    let client = null;
    let clientId = null;
    let carrier = null;
    let carried = () => {};
    const observe = (messages, type) => {
        for (const message of messages) {
            if (message.data !== undefined) {
                arrived.push([message.channel, message.data]);
            }
            if (message.channel === "/meta/connect" && message.successful) {
                clientId = message.clientId;
                carrier = type;
                carried();
            }
        }
    };
    const observedFetch = async (...request) => {
        const response = await fetch(...request);
        if (!response.ok) {
            return response;
        }
        const messages = await response.json();
        observe(messages, "long-polling");
        return { ok: true, json: async () => messages };  // now: what has arrived is not given up any more
    };
    class ObservedWebSocket extends WebSocket {
        constructor(...parameters) {
            super(...parameters);
            this.addEventListener("message", ({ data }) => observe(JSON.parse(data), "websocket"));
        }
    }

    return {
        // connected, and by the transport that it likes best: it begins with the one that always works
        connect: () => new Promise((resolve) => {
            const types = transports.split(",");
            carried = () => types[0] === carrier && resolve();
            client = init(url, {
                transports: types, maxBackoff: 250, fetch: observedFetch, WebSocket: ObservedWebSocket,
            });
        }),
        subscribe: (channel) => {
            const deliver = (data, message) => received.push([message.channel, data]);
            const subscription = client.subscribe(channel, deliver);
            subscriptions.set(channel, subscription);
            return subscription.ready.then(() => null);
        },
        unsubscribe: (channel) => {
            const subscription = subscriptions.get(channel);
            subscriptions.delete(channel);
            return subscription.cancel();
        },
        publish: (channel, data) => client.publish(channel, data).then(() => null),
        arrived: () => arrived,
        received: () => received,
        clientId: () => clientId,
        carrier: () => carrier,
        disconnect: () => client.disconnect(),
        state: () => client?.state ?? "disconnected",
    };
}
