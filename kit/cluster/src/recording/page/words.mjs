// How times, amounts and objects are written and read.

/** A span as Go and kubectl print it: 355000 is "5m55s", 1284 is "1.284s". */
export function span(ms) {
    if (ms < 0) return "-" + span(-ms);
    if (ms < 1000) return ms === 0 ? "0s" : `${Math.round(ms)}ms`;
    const seconds = ((ms % 60000) / 1000).toFixed(3).replace(/\.?0+$/, "");
    const minutes = Math.floor(ms / 60000);
    if (minutes === 0) return `${seconds}s`;
    return minutes < 60 ? `${minutes}m${seconds}s` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}s`;
}

/** Reads what `span` writes, and a bare number as seconds. Undefined if it is neither. */
export function parseSpan(text) {
    const units = { h: 3600000, m: 60000, s: 1000, ms: 1 };
    const clean = text.trim().replace(/^t=/, "");
    if (/^-?\d+(\.\d+)?$/.test(clean)) return Number(clean) * 1000;
    const sign = clean.startsWith("-") ? -1 : 1;
    const parts = [...clean.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
    if (parts.length === 0 || parts.map((part) => part[0]).join("") !== clean.replace(/^-/, "")) return undefined;
    return sign * parts.reduce((sum, part) => sum + Number(part[1]) * units[part[2]], 0);
}

/** The wall time of a virtual time, "2026-01-01 00:05:55". */
export function wall(epoch, ms) {
    const start = Date.parse(epoch);
    return Number.isNaN(start) ? "" : new Date(start + ms).toISOString().slice(0, 19).replace("T", " ");
}

const mebi = 1024 * 1024;

/** Millicores as kubectl prints them. */
export const cpu = (millis) => (millis % 1000 === 0 ? `${millis / 1000}` : `${Math.round(millis)}m`);

/** Bytes in the largest binary unit that leaves three digits. */
export function bytes(amount) {
    if (amount >= 10 * 1024 * mebi) return `${Math.round(amount / 1024 / mebi)}Gi`;
    if (amount >= mebi) return `${Math.round(amount / mebi)}Mi`;
    return amount >= 1024 ? `${Math.round(amount / 1024)}Ki` : `${amount}`;
}

/** "1 pod", "3 pods". */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** `pod/web-1`, `pod/shop/web-1` outside of the default namespace: how links and logs name an object. */
export function label(object) {
    const namespace = object.namespace && object.namespace !== "default" ? `${object.namespace}/` : "";
    return `${object.kind.toLowerCase()}/${namespace}${object.name}`;
}

/** An order in which node-2 comes before node-10. */
export const natural = new Intl.Collator("en", { numeric: true }).compare;

/** The first index in a sorted list whose time is later than `t`. */
export function after(list, t, timeOf = (item) => item) {
    let low = 0;
    let high = list.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (timeOf(list[middle]) <= t) low = middle + 1;
        else high = middle;
    }
    return low;
}

/** Makes an element; text children are text, so nothing that was recorded is ever read as markup. */
export function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
        else if (value === true) node.setAttribute(name, "");
        else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
    return node;
}

/** Sets an element's text only where it changed, which spares the browser layout. */
export function say(node, text) {
    if (node.textContent !== text) node.textContent = text;
}
