// cometd.js behind the common verbs, in node and in the browser.
// As its manual asks, the application subscribes again after every handshake.

import { CometD } from "cometd";

export default function verbs(url, transports) {
    const client = new CometD();
    for (const type of client.getTransportTypes()) {
        if (!transports.includes(type)) {
            client.unregisterTransport(type);
        }
    }
    client.configure({ url, logLevel: "warn", backoffIncrement: 250 });

    const arrived = [];
    const received = [];
    const wanted = new Map();
    let connected = false;
    const subscribe = (channel, callback) => {
        const deliver = (message) => received.push([message.channel, message.data]);
        wanted.set(channel, client.subscribe(channel, deliver, callback));
    };
    client.registerExtension("arrived", {
        incoming: (message) => {
            if (message.data !== undefined) {
                arrived.push([message.channel, message.data]);
            }
        },
    });
    client.addListener("/meta/handshake", (reply) => {
        if (reply.successful) {
            client.batch(() => [...wanted.keys()].forEach((channel) => subscribe(channel)));
        }
    });
    client.addListener("/meta/connect", (reply) => {
        connected = reply.successful;
    });

    const answered = (send) => new Promise((resolve, reject) => {
        send((reply) => (reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)))));
    });
    return {
        connect: () => new Promise((resolve, reject) => {
            const once = client.addListener("/meta/connect", (reply) => {
                client.removeListener(once);
                reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)));
            });
            client.handshake();
        }),
        subscribe: (channel) => answered((callback) => subscribe(channel, callback)),
        unsubscribe: (channel) => answered((callback) => {
            const subscription = wanted.get(channel);
            wanted.delete(channel);
            client.unsubscribe(subscription, callback);
        }),
        publish: (channel, data) => answered((callback) => client.publish(channel, data, callback)),
        arrived: () => arrived,
        received: () => received,
        disconnect: () => answered((callback) => {
            wanted.clear();
            client.clearSubscriptions();
            client.disconnect(callback);
        }),
        state: () => {
            if (client.isDisconnected()) {
                return "disconnected";
            }
            return connected ? "connected" : "connecting";
        },
    };
}
