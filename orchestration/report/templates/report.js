"use strict";
// Charts, drawn as the reader comes near and the rest in idle time; then filters.js.
const root = document.documentElement;
const part = (id) => document.getElementById(id);
const options = { mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, ast: true };
const charts = { data: null, waiting: new Set(), near: new Set(), drawn: new Map() };

async function unpacked(id) {
    const bytes = Uint8Array.from(atob(part(id).textContent.trim()), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
}

// A chart of the chosen segment; undefined where it does not follow, and is of all cases.
function variantOf(id) {
    return choice.segment ? charts.data?.variants[id]?.[choice.segment] : undefined;
}

const isShown = (id) => part(id).getClientRects().length > 0;

function clear(id) {
    charts.drawn.get(id)?.result?.finalize();
    charts.drawn.delete(id);
    part(id).replaceChildren();
}

async function draw(id) {
    charts.waiting.delete(id);
    clear(id);
    const place = part(id);
    const variant = variantOf(id);
    const drawn = { result: null, segment: variant ? choice.segment : "" };
    charts.drawn.set(id, drawn);
    if (variant?.empty) {
        place.textContent = variant.empty;
        return;
    }
    try {
        drawn.result = await vegaEmbed(place, variant?.spec ?? charts.data.specs[id], options);
    } catch (error) {
        place.textContent = "This chart could not be drawn; its data are below.";
        console.error(id, error);
    }
    if (!root.dataset.charts) {
        performance.mark("first-chart");
        root.dataset.charts = "drawing";
    }
}

// Charts that show something else than what was chosen; what is hidden waits until it is shown,
// since nothing has a width before.
function drawChosen() {
    if (!charts.data) return;
    for (const id of Object.keys(charts.data.specs)) {
        const segment = variantOf(id) ? choice.segment : "";
        if (!isShown(id)) clear(id);
        if (charts.drawn.get(id)?.segment !== segment) charts.waiting.add(id);
    }
    root.dataset.charts = "drawing";
    schedule();
}

const idle = window.requestIdleCallback
    ? (step) => requestIdleCallback(step, { timeout: 300 })
    : (step) => setTimeout(step, 1);
const awaited = { soon: false, idle: false };
let running = 0;

function schedule() {
    const isNear = [...charts.waiting].some((id) => charts.near.has(id) && isShown(id));
    const when = isNear ? "soon" : "idle";
    if (awaited[when]) return;
    awaited[when] = true;
    // One a task, so that the page can be read and scrolled between them.
    (isNear ? (step) => setTimeout(step, 0) : idle)(async () => {
        awaited[when] = false;
        const shown = [...charts.waiting].filter(isShown);
        const next = shown.find((id) => charts.near.has(id)) ?? shown[0];
        if (next !== undefined) {
            running += 1;
            await draw(next);
            running -= 1;
            schedule();
        } else if (!running) {
            performance.mark("charts-drawn");
            root.dataset.charts = "drawn";
        }
    });
}

async function startCharts() {
    const script = document.createElement("script");
    const [data, vega] = await Promise.all([unpacked("data"), unpacked("vega")]);
    charts.data = JSON.parse(data);
    script.textContent = vega;
    document.head.append(script);
    const watch = new IntersectionObserver((entries) => {
        for (const entry of entries) {
            const id = entry.target.firstElementChild.id;
            if (entry.isIntersecting) charts.near.add(id);
            else charts.near.delete(id);
        }
        schedule();
    }, { rootMargin: "400px 0px" });
    // In the order of the page.
    for (const place of document.querySelectorAll(".chart > [id]")) {
        charts.waiting.add(place.id);
        watch.observe(place.parentElement);
    }
}

// On paper every chart that is not hidden, as wide as the paper.
function fit() {
    for (const { result } of charts.drawn.values()) {
        const width = result?.view.container().clientWidth;
        if (width) result.view.width(width).run();
    }
}
window.addEventListener("beforeprint", () => {
    root.classList.add("on-paper");
    for (const id of charts.waiting) if (charts.data && isShown(id)) draw(id);
    fit();
});
window.addEventListener("afterprint", () => {
    root.classList.remove("on-paper");
    fit();
});
