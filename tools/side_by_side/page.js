"use strict";

const search = document.getElementById("search");
const results = document.getElementById("results");
const stacked = matchMedia("(max-width: 1000px)");
const MOST = 40;

// ---- search ----

const plain = (text) => text.toLowerCase().replace(/^ngx_/, "");
const entries = INDEX.map(([name, other, id, note]) => ({
    name, other, id, note,
    keys: [plain(name), ...other.toLowerCase().split(/[ ,]+/)].filter(Boolean),
    text: `${name} ${other}`.toLowerCase(),
}));
let found = [];
let chosen = 0;

// Returns the rank of a match: lower is better, Infinity is no match.
function rank(entry, wanted, words) {
    if (!words.every((word) => entry.text.includes(word))) return Infinity;
    if (entry.keys.includes(wanted)) return 0;
    if (entry.keys.some((key) => key.startsWith(wanted))) return 1;
    return 2;
}

function find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const wanted = plain(words.join(" "));
    return entries
        .map((entry) => [rank(entry, wanted, words), entry])
        .filter(([value]) => value < Infinity)
        .sort((a, b) => a[0] - b[0] || a[1].name.length - b[1].name.length)
        .slice(0, MOST)
        .map(([, entry]) => entry);
}

function element(tag, text) {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
}

function item(entry, i) {
    const li = element("li", "");
    li.id = `result-${i}`;
    li.setAttribute("role", "option");
    li.append(element("span", entry.name));
    if (entry.other) li.append(element("small", ` | ${entry.other}`));
    li.append(element("small", ` · ${entry.note}`));
    li.addEventListener("mousedown", (event) => {
        event.preventDefault();
        go(entry);
    });
    return li;
}

function show() {
    found = find(search.value);
    results.replaceChildren(...found.map(item));
    if (found.length === 0 && search.value.trim()) {
        results.append(element("li", "nothing of that name"));
    }
    results.hidden = !search.value.trim();
    search.setAttribute("aria-expanded", String(!results.hidden));
    choose(0);
}

function choose(i) {
    chosen = Math.max(0, Math.min(i, found.length - 1));
    [...results.children].forEach((li, n) => li.setAttribute("aria-selected", n === chosen));
    if (found.length > 0) {
        search.setAttribute("aria-activedescendant", `result-${chosen}`);
        results.children[chosen].scrollIntoView({ block: "nearest" });
    } else {
        search.removeAttribute("aria-activedescendant");
    }
}

function hide() {
    results.hidden = true;
    search.setAttribute("aria-expanded", "false");
}

function go(entry) {
    hide();
    search.blur();
    const hash = `#${encodeURIComponent(entry.id)}`;
    if (location.hash === hash) jump();
    else location.hash = hash;
}

search.addEventListener("input", show);
search.addEventListener("focus", () => search.value && show());
search.addEventListener("blur", hide);
search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" && found[chosen]) go(found[chosen]);
    else if (event.key === "Escape") search.blur();
    else return;
    event.preventDefault();
});
document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search) return;
    event.preventDefault();
    search.focus();
    search.select();
});

// ---- both panes scroll together ----

// The shorter text of a row moves along with the longer one. If it fits into the window, it stays
// in view; otherwise its end comes into view together with the end of the other text.
function align(row) {
    const top = document.querySelector("header").offsetHeight + 32;
    const view = innerHeight - top;
    const box = row.getBoundingClientRect();
    const passed = Math.max(0, top - box.top);
    const panes = [...row.querySelectorAll(".pane")];
    for (const pane of panes) {
        const text = pane.firstElementChild;
        const spare = pane.clientHeight - text.offsetHeight;
        let shift = 0;
        if (!stacked.matches && spare > 0) {
            const share = Math.min(1, passed / Math.max(1, box.height - view));
            shift = text.offsetHeight <= view ? Math.min(passed, spare) : spare * share;
        }
        text.style.transform = shift > 0 ? `translateY(${shift}px)` : "";
    }
}

const visible = new Set();
const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
        if (isIntersecting) visible.add(target);
        else visible.delete(target);
    }
    visible.forEach(align);
});
document.querySelectorAll(".row.both").forEach((row) => watcher.observe(row));

let waiting = false;
function scrolled() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
        waiting = false;
        visible.forEach(align);
    });
}
addEventListener("scroll", scrolled, { passive: true });
addEventListener("resize", scrolled);

// ---- link targets ----

function target() {
    return document.getElementById(decodeURIComponent(location.hash.slice(1)));
}

// The position of a text depends on how far its row is scrolled and on which rows above are already
// drawn, so a few steps are needed.
function settle(place, steps) {
    const row = place.closest(".row");
    for (let i = 0; i < 4; i++) {
        place.scrollIntoView();
        if (row) align(row);
    }
    if (steps > 0) requestAnimationFrame(() => settle(place, steps - 1));
}

function jump() {
    const place = target();
    if (!place) return;
    for (let closed = place.closest("details:not([open])"); closed;) {
        closed.open = true;
        closed = place.closest("details:not([open])");
    }
    settle(place, 3);
    if (place.tabIndex === -1) place.focus({ preventScroll: true });
}
addEventListener("hashchange", jump);
addEventListener("load", jump);

const files = document.getElementById("files");
const fold = () => { files.open = !stacked.matches; };
stacked.addEventListener("change", fold);
fold();
