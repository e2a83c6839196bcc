const specs = JSON.parse(document.getElementById("specs").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, ast: true };
Promise.all(Object.entries(specs).map(([id, spec]) => {
    const place = document.getElementById(id);
    return vegaEmbed(place, spec, options).catch((error) => {
        place.textContent = "This chart could not be drawn; its data are below.";
        console.error(id, error);
    });
})).then(() => { document.documentElement.dataset.charts = "drawn"; });
