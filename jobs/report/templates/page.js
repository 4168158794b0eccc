"use strict";
// The charts of the page. They are drawn when they come near the view or are printed, and again when
// the reader changes between light and dark. Names of files and labels only ever become text.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const byId = (id) => document.getElementById(id);
  const drawn = new Map(); // element of a chart: function that draws it
  const ends = new Map(); // element of a chart: function that ends what listens in it
  const format = (value) => (value === null ? "" : String(Number(value.toPrecision(4))));

  function rowsOf(columns) {
    const names = Object.keys(columns);
    return columns[names[0]].map((_, i) => Object.fromEntries(names.map((n) => [n, columns[n][i]])));
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  // The colours of the groups: those of the labels, then grey for all others.
  function colours(chart) {
    return chart.groups.map((_, i) => colour(i < chart.n_labels ? `c${i}` : "other"));
  }

  function theme(category) {
    const [ink, soft, line, grid] = ["ink", "soft", "line", "grid"].map(colour);
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      axis: {
        labelColor: ink, titleColor: soft, tickColor: line, domainColor: line, gridColor: grid,
        labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
      },
      legend: { labelColor: ink, titleColor: soft, titleFontWeight: "normal", labelFontSize: 12 },
      mark: { color: colour("accent"), tooltip: null },
      text: { color: ink },
      range: {
        category: category || [colour("accent")],
        diverging: [colour("negative"), colour("zero"), colour("positive")],
        ramp: [colour("panel"), colour("ramp")],
        heatmap: [colour("panel"), colour("ramp")],
      },
    };
  }

  // Replace names of colours in a specification by those of the theme, and give the labels of an
  // axis less room on a narrow page.
  function fitted(value) {
    if (Array.isArray(value)) return value.map(fitted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => {
      if (key === "value" && (inner === "ink" || inner === "faint")) return [key, colour(inner)];
      if (key === "axis" && inner?.minExtent && innerWidth < 640) {
        return [key, { ...inner, minExtent: 84, maxExtent: 84, labelLimit: 80 }];
      }
      return [key, fitted(inner)];
    }));
  }

  async function draw(element, spec, rows, category) {
    const options = {
      ast: true, // no eval: expressions are interpreted
      actions: false,
      defaultStyle: false,
      renderer: "canvas",
      tooltip: { disableDefaultStyle: true },
      config: theme(category),
    };
    const canvas = document.createElement("div");
    ends.get(element)?.();
    ends.delete(element);
    element.replaceChildren(canvas);
    try {
      const complete = { ...fitted(spec), data: { name: "rows", values: rows } };
      const { view, finalize } = await vegaEmbed(canvas, complete, options);
      if (canvas.isConnected) ends.set(element, finalize);
      else finalize(); // it was drawn once more meanwhile
      return view;
    } catch (error) {
      const note = document.createElement("p");
      note.className = "failed";
      note.textContent = `The chart cannot be drawn: ${error.message}`;
      element.replaceChildren(note);
      throw error;
    }
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) first(target);
    }
  }, { rootMargin: "400px" });

  function first(element) {
    watcher.unobserve(element);
    element.dataset.state = "drawing";
    drawn.get(element)().then(() => { element.dataset.state = "drawn"; });
  }

  function later(id, paint) {
    const element = byId(`chart-${id}`);
    const waiting = document.createElement("p");
    waiting.className = "waiting";
    waiting.textContent = "The chart is drawn when it comes into view.";
    element.append(waiting);
    drawn.set(element, () => paint(element));
    watcher.observe(element);
  }

  function again(element) {
    if (element.dataset.state) drawn.get(element)();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawn.forEach((_, element) => again(element));
  });

  // Paper is light, and has all charts and all that was found.
  let opened = [];
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("print");
    opened = [...document.querySelectorAll("#health details:not([open]), #errors details:not([open])")];
    for (const details of opened) details.open = true;
    drawn.forEach((_, element) => (element.dataset.state ? again(element) : first(element)));
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("print");
    for (const details of opened) details.open = false;
    drawn.forEach((_, element) => again(element));
  });

  function cell(tag, text, name) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    if (tag === "th") made.scope = "row";
    return made;
  }

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }

  function showControls(id) {
    byId(id).closest(".controls").hidden = false;
  }

  for (const id of ["durations", "confusion", "correlations", "throughput"]) {
    if (data[id]) later(id, (element) => draw(element, data[id].spec, rowsOf(data[id].columns)));
  }

  if (data.map) startMap(data.map);
  if (data.features) startFeatures(data.features);

  function startMap(map) {
    const [pick, query] = [byId("map-pick"), byId("map-query")];
    const most = 200;
    let view = null;
    const rows = rowsOf(map.columns).map((row) => ({
      ...row, label: map.labels[row.label_id] ?? "", group: map.groups[row.group_id],
    }));
    pick.append(option(-1, "all"));
    map.labels.forEach((name, i) => pick.append(option(i, `${name} (${map.counts[i]})`)));
    byId("map-legend").append(...map.groups.map((name, i) => {
      const item = document.createElement("li");
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      svg.setAttribute("viewBox", "0 0 10 10");
      svg.setAttribute("aria-hidden", "true");
      for (const name of ["cx", "cy", "r"]) dot.setAttribute(name, "5");
      dot.setAttribute("class", i < map.n_labels ? `g${i}` : "other");
      svg.append(dot);
      item.append(svg, name);
      return item;
    }));

    function list() {
      if (!byId("map-list").open) return;
      const wanted = query.value.toLowerCase();
      const found = rows.filter((row) =>
        (pick.value < 0 || row.label_id === Number(pick.value)) &&
        row.path.toLowerCase().includes(wanted));
      byId("map-count").textContent = found.length > most
        ? `The first ${most} of ${found.length} tracks:` : `${found.length} tracks:`;
      byId("map-rows").replaceChildren(...found.slice(0, most).map((row) => {
        const line = document.createElement("tr");
        line.append(cell("th", row.path, "path"), cell("td", row.label), cell("td", row.duration));
        return line;
      }));
    }

    function follow() {
      list();
      if (view) {
        view.signal("pick", Number(pick.value)).signal("query", query.value.toLowerCase());
        view.runAsync();
      }
    }

    async function paint(element) {
      view = await draw(element, map.spec, rows, colours(map));
      follow();
    }

    later("map", paint);
    pick.addEventListener("change", follow);
    query.addEventListener("input", follow);
    byId("map-list").addEventListener("toggle", list);
    byId("map-reset").addEventListener("click", () => {
      pick.value = "-1";
      query.value = "";
      again(byId("chart-map"));
    });
    showControls("map-pick");
  }

  function startFeatures(all) {
    const pick = byId("feature-pick");
    const has = all.features.some((one) => one.separation !== null);
    all.features.forEach((one, i) => {
      const note = one.separation === null ? "" : ` (${one.separation.toFixed(2)})`;
      pick.append(option(i, one.name + note));
    });
    const best = document.querySelector("[data-feature]");
    pick.value = has && best ? best.dataset.feature : "0";

    function chosen() {
      return all.features[Number(pick.value)];
    }

    function boxes(element) {
      const one = chosen();
      const rows = all.groups.map((group, i) => {
        const [q05, q25, q50, q75, q95] = one.quantiles[i];
        return { group, n: one.counts[i], q05, q25, q50, q75, q95 };
      });
      return draw(element, titled(all.boxes, one), rows.filter((row) => row.n), colours(all));
    }

    function bins(one) {
      const [low, high] = one.edges;
      const width = (high - low) / one.bins.length;
      return one.bins.map((n, i) => ({ low: low + i * width, high: low + (i + 1) * width, n }));
    }

    function histogram(element) {
      const one = chosen();
      return draw(element, titled(all.histogram, one), bins(one));
    }

    // Both charts have the same axis of values, with the name of the feature and its unit.
    function titled(spec, one) {
      const copy = structuredClone(spec);
      const unit = one.unit && one.unit !== "1" ? ` [${one.unit}]` : "";
      const values = [...one.edges, ...one.quantiles.flat()].filter((value) => value !== null);
      for (const { encoding: { x } } of copy.layer ?? [copy]) {
        if (!x.axis) continue;
        x.axis.title = one.name + unit;
        x.scale.domain = [Math.min(...values), Math.max(...values)];
      }
      return copy;
    }

    function describe() {
      const one = chosen();
      const parts = [one.definition && `${one.definition[0].toUpperCase()}${one.definition.slice(1)}.`];
      if (one.unit && one.unit !== "1") parts.push(`Unit: ${one.unit}.`);
      if (one.missing) parts.push(`${one.missing} tracks have no value.`);
      if (one.separation !== null) parts.push(`Separation of the labels: ${one.separation.toFixed(2)}.`);
      byId("feature-definition").textContent = parts.filter(Boolean).join(" ");
      byId("feature-outside").textContent = one.outside
        ? ` ${one.outside} tracks are beyond the axis.` : "";
      byId("feature-rows").replaceChildren(...all.groups.map((group, i) => {
        const line = document.createElement("tr");
        line.append(cell("th", group), cell("td", one.counts[i], "n"));
        line.append(...one.quantiles[i].map((value) => cell("td", format(value), "n")));
        return line;
      }));
      byId("feature-bins").replaceChildren(...bins(one).filter(({ n }) => n).map((bin) => {
        const line = document.createElement("tr");
        line.append(cell("td", format(bin.low), "n"), cell("td", format(bin.high), "n"));
        line.append(cell("td", bin.n, "n"));
        return line;
      }));
    }

    function change() {
      describe();
      again(byId("chart-boxes"));
      again(byId("chart-histogram"));
    }

    function step(by) {
      const n = all.features.length;
      pick.value = String((Number(pick.value) + by + n) % n);
      change();
    }

    describe();
    later("boxes", boxes);
    later("histogram", histogram);
    pick.addEventListener("change", change);
    byId("feature-back").addEventListener("click", () => step(-1));
    byId("feature-on").addEventListener("click", () => step(1));
    document.querySelectorAll("[data-feature]").forEach((link) => {
      link.addEventListener("click", () => {
        pick.value = link.dataset.feature;
        change();
      });
    });
    showControls("feature-pick");
  }
})();
