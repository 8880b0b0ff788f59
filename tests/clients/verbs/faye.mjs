// Faye's client behind the common verbs, in node and in the browser.

export default function verbs(Faye, url, { disable = "" }) {
    const disabled = disable.split(",").filter(Boolean);
    const arrived = [];
    const received = [];
    let subscriptions = new Map();
    let client = null;
    let state = "disconnected";
    let unsubscribed = () => {};

    return {
        connect: () => new Promise((resolve) => {
            client = new Faye.Client(url, { retry: 1 });
            disabled.forEach((type) => client.disable(type));
            const mine = client;
            const turn = (next) => () => { state = client === mine ? next : state; };
            client.on("transport:down", turn("connecting"));
            client.on("transport:up", turn("connected"));
            client.addExtension({
                incoming: (message, callback) => {
                    if (message.data !== undefined) {
                        arrived.push([message.channel, message.data]);
                    }
                    if (message.channel === "/meta/unsubscribe") {
                        unsubscribed(message);  // which has no promise
                    }
                    callback(message);
                },
            });
            client.connect(resolve);
        }),
        subscribe: (channel) => {
            const deliver = (concrete, data) => received.push([concrete, data]);
            const subscription = client.subscribe(channel).withChannel(deliver);
            subscriptions.set(channel, subscription);
            return subscription.then(() => null);
        },
        unsubscribe: (channel) => new Promise((resolve, reject) => {
            unsubscribed = (reply) => {
                reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)));
            };
            subscriptions.get(channel).cancel();
            subscriptions.delete(channel);
        }),
        publish: (channel, data) => client.publish(channel, data).then(() => null),
        arrived: () => arrived,
        received: () => received,
        clientId: () => client._dispatcher.clientId,
        carrier: () => client._dispatcher.connectionType,
        disconnect: () => {
            const done = client.disconnect();
            client = null;
            state = "disconnected";
            subscriptions = new Map();
            return done.then(() => null);
        },
        state: () => state,
    };
}
