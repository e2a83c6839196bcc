// What the reader chose, kept in the address: #journey=…&segment=…, then the anchor as &at=….
const choice = { journey: "", segment: "" };
const selects = { journey: part("filter-journey"), segment: part("filter-segment") };
const segments = [...(selects.segment?.options ?? [])].filter((option) => option.value).map((option) => ({
    key: option.value,
    value: option.text,
    dimension: option.parentElement.label,
    sections: option.dataset.sections.split(" "),
}));
const whole = new Map();

const optionOf = (select, value) => [...(select?.options ?? [])].find((option) => option.value === value);
const sectionOf = (journey) => optionOf(selects.journey, journey)?.dataset.section ?? "";
const segmentOf = (key) => segments.find((segment) => segment.key === key);
const titleOf = (segment) => `${segment.dimension}: ${segment.value}`;

function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
}

// The segments of the chosen journey.
function offerSegments() {
    if (!selects.segment) return;
    const section = sectionOf(choice.journey);
    const offered = segments.filter((segment) => !section || segment.sections.includes(section));
    if (!offered.some((segment) => segment.key === choice.segment)) choice.segment = "";
    const groups = new Map();
    for (const segment of offered) {
        if (!groups.has(segment.dimension)) {
            const group = element("optgroup");
            group.label = segment.dimension;
            groups.set(segment.dimension, group);
        }
        groups.get(segment.dimension).append(new Option(segment.value, segment.key));
    }
    selects.segment.replaceChildren(selects.segment.options[0], ...groups.values());
}

function tableOf(table, name) {
    const made = element("table", undefined, "data");
    const rowOf = (tag, cells) => {
        const row = element("tr");
        row.append(...cells.map((cell, index) => {
            const built = element(tag, cell, index < table.texts ? "text" : "");
            if (tag === "th") built.scope = "col";
            return built;
        }));
        return row;
    };
    const head = element("thead");
    const body = element("tbody");
    head.append(rowOf("th", table.columns));
    body.append(...table.rows.map((row) => rowOf("td", row)));
    made.append(element("caption", name, "unseen"), head, body);
    return made;
}

// A chart's name, caption and table; the picture is drawn by report.js.
function showFigure(figure) {
    const id = figure.dataset.chart;
    const [image, caption, table] = [".chart", "figcaption", "details table"].map((part) => figure.querySelector(part));
    if (!image) return;
    if (!whole.has(id)) {
        whole.set(id, { label: image.getAttribute("aria-label"), caption: caption.textContent, table });
    }
    const variant = variantOf(id);
    const shown = variant ?? whole.get(id);
    image.setAttribute("aria-label", shown.label || shown.empty);
    caption.textContent = shown.caption;
    figure.querySelector("details").hidden = !shown.table;
    if (!shown.table) return;
    table.replaceWith(variant ? tableOf(shown.table, whole.get(id).table.caption.textContent) : shown.table);
}

function showGaps() {
    const table = document.querySelector("#gaps-table table");
    if (!table) return;
    const note = part("gaps-note");
    if (!whole.has("gaps")) whole.set("gaps", { body: table.tBodies[0], note: note.textContent });
    const gaps = charts.data?.gaps;
    const view = gaps?.views[`${sectionOf(choice.journey)}\n${choice.segment}`];
    const body = view ? element("tbody", undefined, "gt_table_body") : whole.get("gaps").body;
    const columns = [...table.tHead.querySelectorAll("th")];
    for (const [title, rows] of view?.groups ?? []) {
        const heading = element("th", title, "gt_group_heading");
        heading.colSpan = columns.length;
        heading.scope = "colgroup";
        const group = element("tr", undefined, "gt_group_heading_row");
        group.append(heading);
        body.append(group);
        for (const number of rows) {
            const [verdict, cells] = gaps.rows[number];
            const row = element("tr");
            row.append(...cells.map((cell, index) => {
                const side = columns[index].classList.contains("gt_right") ? "gt_right" : "gt_left";
                const isVerdict = columns[index].id.endsWith("-verdict");
                return element("td", cell, `gt_row ${side}${isVerdict ? ` verdict ${verdict}` : ""}`);
            }));
            body.append(row);
        }
    }
    if (view && !view.groups.length) {
        const row = element("tr");
        const cell = element("td", view.note, "gt_row gt_left");
        cell.colSpan = columns.length;
        row.append(cell);
        body.append(row);
    }
    table.tBodies[0].replaceWith(body);
    note.textContent = !view ? whole.get("gaps").note : view.groups.length ? view.note : "";
}

// What does not follow the choice says so.
function showScopes() {
    for (const badge of document.querySelectorAll("[data-scope]")) {
        const follows = variantOf(badge.closest("figure")?.dataset.chart);
        const words = [];
        if (choice.journey && !badge.closest("[data-section]") && badge.dataset.scope !== "journey") words.push("all journeys");
        if (choice.segment) words.push(follows ? titleOf(segmentOf(choice.segment)) : "all cases");
        badge.textContent = words.join(", ");
        badge.hidden = !words.length;
        badge.classList.toggle("follows", Boolean(follows));
    }
}

function said() {
    if (!choice.journey && !choice.segment) return "";
    const journey = choice.journey && optionOf(selects.journey, choice.journey).text;
    const shown = [journey, choice.segment && titleOf(segmentOf(choice.segment))].filter(Boolean).join(" · ");
    if (!choice.segment) return `Shown: ${shown}.`;
    const follow = [...document.querySelectorAll(".scope.follows")].filter((badge) => !badge.closest("[hidden]")).length;
    return `Shown: ${shown}. ${follow} ${follow === 1 ? "chart" : "charts"} and the comparisons follow the segment; the rest says “all cases”.`;
}

function show() {
    offerSegments();
    const section = sectionOf(choice.journey);
    for (const [name, select] of Object.entries(selects)) if (select) select.value = choice[name];
    for (const each of document.querySelectorAll("[data-section]:not(option)")) {
        each.hidden = Boolean(section) && each.dataset.section !== section;
    }
    for (const each of document.querySelectorAll("[data-of-all]")) each.hidden = Boolean(section);
    const cards = [...document.querySelectorAll(".card")];
    const note = part("no-card");
    if (note) {
        note.hidden = cards.some((card) => !card.hidden);
        note.textContent = note.hidden ? "" : optionOf(selects.journey, choice.journey).dataset.note;
    }
    document.querySelectorAll("figure[data-chart]").forEach(showFigure);
    showGaps();
    showScopes();
    drawChosen();
}

function say() {
    part("filter-reset").hidden = !choice.journey && !choice.segment;
    part("filter-status").textContent = said();
}

function writeAddress(anchor) {
    const words = new URLSearchParams(Object.entries(choice).filter(([, value]) => value));
    if (anchor && words.size !== 0) words.set("at", anchor);
    history.replaceState(null, "", `#${words.toString() || anchor || ""}`);
}

function choose(journey, segment) {
    choice.journey = optionOf(selects.journey, journey) ? journey : "";
    choice.segment = segmentOf(segment) ? segment : "";
    show();
    say();
}

// A link of the page goes to an anchor: what was chosen stays, and what it hides is shown.
function followAddress() {
    const address = decodeURIComponent(location.hash.slice(1));
    if (location.hash.includes("=")) {
        const words = new URLSearchParams(location.hash.slice(1));
        choose(words.get("journey") ?? "", words.get("segment") ?? "");
        if (words.has("at")) part(words.get("at"))?.scrollIntoView();
    } else if (address && (choice.journey || choice.segment)) {
        if (part(address)?.closest("[hidden]")) choose("", choice.segment);
        writeAddress(address);
        part(address)?.scrollIntoView();
    }
}

async function start() {
    if (part("filters")) {
        part("filters").hidden = false;
        for (const [name, select] of Object.entries(selects)) {
            select?.addEventListener("change", () => {
                choose(...Object.keys(choice).map((each) => (each === name ? select.value : choice[each])));
                writeAddress();
            });
        }
        part("filter-reset").addEventListener("click", () => {
            choose("", "");
            writeAddress();
            (selects.journey ?? selects.segment).focus();
        });
    }
    const canDraw = "DecompressionStream" in window;
    if (canDraw) {
        await startCharts();
    } else {
        part("no-charts").hidden = false;
        root.dataset.charts = "none";
        if (selects.segment) selects.segment.disabled = true;
    }
    if (part("filters")) {
        window.addEventListener("hashchange", followAddress);
        followAddress();
    }
    if (canDraw) schedule();
}
start();
