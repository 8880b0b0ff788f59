// Our own client behind the common verbs; browser only.

export default function verbs(init, url) {
    const arrived = [];
    const received = [];
    const subscriptions = new Map();
    let client = null;
    const observed = async (...request) => {
        const response = await fetch(...request);
        for (const message of await response.clone().json()) {
            if (message.data !== undefined) {
                arrived.push([message.channel, message.data]);
            }
        }
        return response;
    };

    return {
        connect: () => new Promise((resolve) => {
            client = init(url, { fetch: observed });
            client.addEventListener("state", (event) => {
                if (event.detail.state === "connected") {
                    resolve();
                }
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
        disconnect: () => client.disconnect(),
        state: () => client?.state ?? "disconnected",
    };
}
