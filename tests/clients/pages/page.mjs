// What every page shares: the verbs for the test, and what went wrong.

window.errors = [];
window.addEventListener("error", (event) => {
    if (event.message) {  // not a script or image that failed to load
        window.errors.push(`${event.message} at ${event.filename}:${event.lineno}`);
    }
});
window.addEventListener("unhandledrejection", (event) => {
    window.errors.push(`unhandled: ${event.reason?.stack ?? event.reason}`);
});

export const { url, ...parameters } = Object.fromEntries(new URLSearchParams(location.search));

export function serve(verbs) {
    window.verbs = verbs;
}
