"""Charts as Vega-Lite specifications with their data inside; one module a kind of chart."""
