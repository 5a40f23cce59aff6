"use strict";

const SMALLEST_LABELLED = 34; // pixels: in narrower cells a value is not written

// A table comes by columns: numbers, or the numbers of names in a list of names.
function decoded(column) {
  return column.values ?? column.codes.map((code) => column.names[code]);
}

function rowsOf(columns) {
  const names = Object.keys(columns);
  const values = names.map((name) => decoded(columns[name]));
  return (values[0] ?? []).map((_, row) => Object.fromEntries(names.map((name, column) => [name, values[column][row]])));
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

function saveAs(name, content, type) {
  const href = typeof content === "string" && content.startsWith("data:") ? content : URL.createObjectURL(new Blob([content], { type }));
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function csvOf(headings, rows) {
  const quoted = (value) => {
    const text = String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [headings, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function fileName(...parts) {
  return parts.join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 80) || "chart";
}

// ---- charts -------------------------------------------------------------------------------

function encodingsOf(specification) {
  const inner = specification.spec ?? specification;
  return (inner.layer ?? [inner]).map((layer) => layer.encoding).filter((encoding) => encoding?.x);
}

// Draws the horizontal axis as chosen; a logarithmic one has no zero.
function setAxis(specification, axis, logarithmic) {
  encodingsOf(specification).forEach((encoding) => {
    if (encoding.x.field !== "x" || encoding.x.type !== "quantitative") return;
    encoding.x.title = axis.title;
    encoding.x.axis.labelExpr = axis.label;
    if (logarithmic) encoding.x.scale = { type: "log", nice: false };
    (encoding.tooltip ?? []).forEach((shown) => { if (shown.field === "x") shown.title = axis.name; });
  });
}

function embed(place, specification, config, renderer = "svg") {
  return vegaEmbed(place, specification, {
    renderer, actions: false, ast: true, logLevel: 1, config, tooltip: { disableDefaultStyle: true },
  });
}

// The data of a figure: of the arms shown, and of places that its axis has.
function datasetsOf(figure, state, arms) {
  const tables = figure.tables[state.axis] ?? Object.values(figure.tables)[0];
  return Object.fromEntries(Object.entries(tables).map(([name, columns]) => [name, rowsOf(columns).filter((row) =>
    (row.arm === undefined || arms.includes(row.arm)) && (!state.logarithmic || row.x === undefined || row.x > 0))]));
}

function axisKeyOf(figure, state) {
  return state.axis in figure.tables ? state.axis : Object.keys(figure.tables)[0];
}

function specificationOf(figure, study, state, arms) {
  const specification = structuredClone(figure.specification);
  const logarithmic = state.logarithmic && figure.key !== "order-of-steps";
  setAxis(specification, study.axes[axisKeyOf(figure, state)], logarithmic);
  specification.datasets = datasetsOf(figure, { ...state, logarithmic }, arms);
  return specification;
}

// As it stands on the page: as wide as its place, without the legend and titles around it.
function onPage(specification) {
  const inner = specification.spec ?? specification;
  const drawn = { ...inner, $schema: specification.$schema, datasets: specification.datasets, width: "container" };
  if (specification.spec) drawn.data = { name: "steps" };
  encodingsOf(drawn).forEach((encoding) => {
    encoding.y.title = null;
    if (!encoding.color) return;
    encoding.color.legend = null;
    if (encoding.color.scale.range?.map) encoding.color.scale.range = encoding.color.scale.range.map((_, step) => `var(--step-${step})`);
  });
  if (drawn.height?.step) drawn.height = drawn.height.step * drawn.encoding.y.scale.domain.length;
  return drawn;
}

// For paper: with the legend of the arms shown, in the order of the study.
function onPaper(specification, arms) {
  encodingsOf(specification).forEach((encoding) => {
    if (encoding.color?.field === "arm") encoding.color.scale.domain = arms;
  });
  return specification;
}

class Chart {
  constructor(study, place, state) {
    Object.assign(this, { study, place, state, drawn: [] });
    this.figures = place.dataset.figures.split(" ").map((number) => study.figures[number]);
    this.figure = this.figures[0];
    this.canvas = place.querySelector(".chart, .multiples");
    place.querySelector(".which")?.addEventListener("change", (event) => {
      this.figure = this.figures[event.target.value];
      place.querySelector("h4").textContent = this.figure.title;
      this.draw();
    });
    place.querySelectorAll("[data-download]").forEach((button) =>
      button.addEventListener("click", () => this.download(button.dataset.download)));
  }

  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const arms = this.state.shown();
    this.drawn.forEach((chart) => chart.finalize());
    this.drawn = [];
    if (!this.figure.eachArm) return this.embedIn(this.canvas, arms, turn);
    this.canvas.replaceChildren(...this.steps());
    for (const arm of arms) {
      await new Promise((resolve) => { setTimeout(resolve); });
      if (turn !== this.turn) return;
      const chart = element("div", { class: "chart", role: "group", "aria-label": `${this.figure.title}: ${arm}` });
      this.canvas.append(element("div", {}, element("p", {}, arm), chart));
      await this.embedIn(chart, [arm], turn);
    }
  }

  async embedIn(place, arms, turn) {
    const specification = onPage(specificationOf(this.figure, this.study, this.state, arms));
    const chart = await embed(place, specification, this.study.config);
    if (turn !== this.turn) return chart.finalize();
    this.drawn.push(chart);
  }

  // The legend of the steps, for the charts that each have all of them.
  steps() {
    const scale = encodingsOf(this.figure.specification)[0].color.scale;
    if (!scale.range) return [];
    const items = scale.domain.map((step, place) =>
      element("li", {}, element("span", { class: "swatch", style: `--colour: var(--step-${place})` }), step));
    return [element("ul", { class: "key wide-figure" }, ...items)];
  }

  highlight(arms) {
    if (this.figure.eachArm) return;
    this.drawn.forEach((chart) => chart.view.signal("highlighted", arms).runAsync());
  }

  paper() {
    const arms = this.state.shown();
    const config = structuredClone(this.study.paper);
    config.range.category = arms.map((arm) => this.state.paperColour(arm));
    return [onPaper(specificationOf(this.figure, this.study, this.state, arms), arms), config];
  }

  async download(kind) {
    const name = fileName(this.study.name, this.figure.key);
    const [specification, config] = this.paper();
    if (kind === "csv") {
      const rows = specification.datasets[this.figure.main];
      const headings = Object.keys(rows[0] ?? {}).filter((heading) => heading !== "hover");
      return saveAs(`${name}.csv`, csvOf(headings, rows.map((row) => headings.map((heading) => row[heading]))), "text/csv");
    }
    const chart = await embed(element("div"), specification, config, kind === "png" ? "canvas" : "svg");
    if (kind === "png") saveAs(`${name}.png`, await chart.view.toImageURL("png", 3), "image/png");
    else saveAs(`${name}.svg`, await chart.view.toSVG(), "image/svg+xml");
    chart.finalize();
  }
}

// A cell for each pair of values of two fields; arms that differ in a third are taken together
// unless one of its values is chosen.
class PhaseDiagram extends Chart {
  constructor(study, place, state) {
    super(study, place, state);
    this.phase = study.phase;
    [this.across, this.up] = this.phase.axes;
    this.quantity = this.phase.quantities[0];
    this.held = {};
    this.controls = place.querySelector(".phase-controls");
    this.control();
  }

  choice(label, options, chosen, choose) {
    const select = element("select", {}, ...options.map(([value, name]) => element("option", { value }, name)));
    select.value = chosen;
    select.addEventListener("change", () => { choose(select.value); this.control(label); this.draw(); });
    return element("label", { "data-choice": label }, label, select);
  }

  control(focused) {
    const fields = Object.keys(this.phase.fields);
    const named = fields.map((field) => [field, field]);
    const swap = (mine, other) => (field) => {
      if (field === this[other]) this[other] = this[mine];
      this[mine] = field;
    };
    const others = fields.filter((field) => field !== this.across && field !== this.up);
    this.controls.replaceChildren(
      this.choice("across", named, this.across, swap("across", "up")),
      this.choice("up", named, this.up, swap("up", "across")),
      this.choice("colour", this.phase.quantities.map(({ key, name }) => [key, name]), this.quantity.key,
        (key) => { this.quantity = this.phase.quantities.find((quantity) => quantity.key === key); }),
      ...others.map((field) => this.choice(field, [["", "any"], ...this.phase.order[field].map((value) => [`=${value}`, value])],
        this.held[field] ?? "", (value) => { this.held[field] = value; })),
    );
    if (focused) this.controls.querySelector(`[data-choice="${CSS.escape(focused)}"] select`)?.focus();
  }

  cells() {
    const { fields, values, arms } = this.phase;
    const isHeld = (arm) => Object.entries(this.held).every(([field, value]) =>
      !value || field === this.across || field === this.up || `=${fields[field][arm]}` === value);
    return arms.map((name, arm) => ({ arm, name, x: fields[this.across][arm], y: fields[this.up][arm], value: values[this.quantity.key][arm] }))
      .filter((cell) => cell.value !== null && isHeld(cell.arm))
      .map(({ arm, ...cell }) => cell);
  }

  specification() {
    const specification = structuredClone(this.figure.specification);
    const across = this.phase.order[this.across];
    const up = [...this.phase.order[this.up]].reverse();
    const { format, domain, slow, name } = this.quantity;
    specification.layer.forEach(({ encoding }) => {
      Object.assign(encoding.x, { scale: { domain: across }, title: this.across });
      Object.assign(encoding.y, { scale: { domain: up }, title: this.up });
      if (encoding.color?.field) {
        encoding.color.scale = { scheme: "viridis", ...(domain ? { domain } : {}), ...(slow ? { type: "log", reverse: true, nice: false } : {}) };
        encoding.color.legend.format = format;
      }
      if (encoding.text?.field) encoding.text.format = format;
      const titles = { x: this.across, y: this.up, value: name };
      (encoding.tooltip ?? []).forEach((shown) => {
        shown.title = titles[shown.field] ?? shown.title;
        if (shown.field === "value") shown.format = format;
      });
    });
    specification.datasets = { cells: this.cells() };
    return specification;
  }

  paper() {
    return [this.specification(), this.study.paper];
  }

  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const specification = this.specification();
    const columns = this.phase.order[this.across].length;
    const room = (this.canvas.clientWidth - 190) / columns;
    specification.width = { step: Math.max(14, Math.min(56, room)) };
    if (room < SMALLEST_LABELLED) specification.layer = specification.layer.filter(({ encoding }) => !encoding.text);
    if (room < 48) specification.layer.forEach(({ encoding }) => { encoding.x.axis = { labelAngle: -60 }; });
    const chart = await embed(this.canvas, specification, this.study.config);
    this.drawn.forEach((before) => before.finalize());
    this.drawn = turn === this.turn ? [chart] : [];
  }

  highlight() {}
}

// ---- arms ---------------------------------------------------------------------------------

// Which arms are shown, in which colours. Where there are more arms than colours that can be
// told apart, an arm that is shown takes a free one of those, as long as they last.
class Arms {
  constructor(study, section, changed, highlight) {
    Object.assign(this, { study, section, changed, slots: study.slots.map(() => null) });
    this.buttons = [...section.querySelectorAll("button.arm")];
    this.buttons.forEach((button, arm) => {
      button.addEventListener("click", () => this.show([arm], !this.isShown(arm)));
      const point = () => this.isShown(arm) && highlight([study.arms[arm]]);
      ["pointerenter", "focus"].forEach((event) => button.addEventListener(event, point));
      ["pointerleave", "blur"].forEach((event) => button.addEventListener(event, () => highlight([])));
    });
    this.search = section.querySelector(".arms-shown input");
    this.search?.addEventListener("input", () => this.buttons.forEach((button) => { button.hidden = !this.isFound(button); }));
    section.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => this.showMany(button.dataset.show)));
    this.colour();
  }

  isShown(arm) { return this.buttons[arm].getAttribute("aria-pressed") === "true"; }
  isFound(button) { return button.textContent.toLowerCase().includes(this.search.value.toLowerCase()); }
  numbers() { return this.buttons.map((_, arm) => arm).filter((arm) => this.isShown(arm)); }
  names() { return this.numbers().map((arm) => this.study.arms[arm]); }

  showMany(which) {
    const wanted = { all: (arm) => this.isFound(this.buttons[arm]), none: () => false, first: (arm) => this.study.shown.includes(this.study.arms[arm]) }[which];
    this.buttons.forEach((button, arm) => button.setAttribute("aria-pressed", wanted(arm)));
    this.colour();
    this.changed();
  }

  show(arms, shown) {
    arms.forEach((arm) => this.buttons[arm].setAttribute("aria-pressed", shown));
    this.colour();
    this.changed();
  }

  colour() {
    if (!this.slots.length) return;
    const shown = this.numbers();
    this.slots = this.slots.map((arm) => (shown.includes(arm) ? arm : null));
    const enough = shown.length <= this.slots.length;
    if (enough) shown.filter((arm) => !this.slots.includes(arm)).forEach((arm) => { this.slots[this.slots.indexOf(null)] = arm; });
    this.study.arms.forEach((_, arm) => {
      const slot = this.slots.indexOf(arm);
      if (enough && slot >= 0) this.section.style.setProperty(`--arm-${arm}`, `var(--slot-${slot})`);
      else if (enough) this.section.style.setProperty(`--arm-${arm}`, "var(--line)");
      else this.section.style.removeProperty(`--arm-${arm}`);
    });
    this.enough = enough;
  }

  paperColour(name) {
    const arm = this.study.arms.indexOf(name);
    const slot = this.slots.indexOf(arm);
    return this.enough && slot >= 0 ? this.study.slots[slot] : this.study.paper.range.category[arm];
  }
}

// ---- tables -------------------------------------------------------------------------------

class SortedTable {
  constructor(content, place, name) {
    Object.assign(this, { content, place, name, rows: 20, sortedBy: null });
    this.columns = content.columns.map((column) => ({
      ...column, text: decoded(column.text), note: column.note && decoded(column.note), link: column.link && decoded(column.link),
    }));
    this.order = (this.columns[0]?.text ?? []).map((_, row) => row);
    this.headings = [...place.querySelectorAll("thead th")];
    this.headings.forEach((heading, column) => {
      const button = element("button", { type: "button" }, heading.textContent);
      button.addEventListener("click", () => this.sort(column));
      heading.replaceChildren(button);
    });
    this.tools = place.querySelector(".table-tools");
    this.tools.hidden = this.order.length < 2;
    this.filter = this.tools.querySelector("input");
    this.filter.addEventListener("input", () => this.draw());
    this.tools.querySelector("[data-download]").addEventListener("click", () => this.download());
    this.more = place.querySelector(".more");
    this.more.querySelector("button").addEventListener("click", () => { this.rows += 200; this.draw(); });
    this.addStates();
    this.draw();
  }

  // Where runs are in different states, one of them can be picked.
  addStates() {
    this.states = this.columns.find((column) => column.title === "state")?.text;
    const different = [...new Set(this.states)];
    if (different.length < 2) return;
    this.state = element("select", {}, element("option", { value: "" }, "any"), ...different.map((state) => element("option", { value: state }, state)));
    this.state.addEventListener("change", () => this.draw());
    this.filter.parentElement.after(element("label", {}, "state", this.state));
  }

  sort(column) {
    const rising = !(this.sortedBy === column && this.rising);
    Object.assign(this, { sortedBy: column, rising });
    const { rank, text } = this.columns[column];
    const sign = rising ? 1 : -1;
    this.order.sort((a, b) => {
      if (!rank) return sign * text[a].localeCompare(text[b], "en", { numeric: true });
      if (rank[a] === null || rank[b] === null) return (rank[a] === null) - (rank[b] === null);
      return sign * (rank[a] - rank[b]);
    });
    this.headings.forEach((heading, number) => {
      if (number === column) heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
    this.draw();
  }

  found() {
    const words = this.filter.value.toLowerCase();
    return this.order.filter((row) => (!this.state?.value || this.states[row] === this.state.value)
      && (!words || this.columns.some((column) => `${column.text[row]} ${column.note?.[row] ?? ""}`.toLowerCase().includes(words))));
  }

  draw() {
    const found = this.found();
    const shown = found.slice(0, this.rows);
    this.place.querySelector("tbody").replaceChildren(...shown.map((row) =>
      element("tr", {}, ...this.columns.map((column, place) => this.cell(column, row, place)))));
    this.more.hidden = found.length <= shown.length;
    const all = this.order.length;
    this.tools.querySelector("[role=status]").textContent =
      found.length < all ? `${found.length.toLocaleString("en")} of ${all.toLocaleString("en")} rows` : `${all.toLocaleString("en")} rows`;
  }

  cell(column, row, place) {
    const arm = column.arm?.[row];
    const made = place ? element("td") : element("th", { scope: "row", class: arm === undefined ? "" : "armed" });
    if (arm !== null && arm !== undefined) made.append(element("span", { class: "swatch", style: `--colour: var(--arm-${arm})` }));
    let text = place ? column.text[row] : element("span", { class: "name" }, column.text[row]);
    if (column.is_code) text = element("code", {}, text);
    if (column.link?.[row]) text = element("a", { href: column.link[row] }, text);
    made.append(text);
    if (column.note?.[row]) made.append(element("small", {}, column.note[row]));
    if (column.is_number) made.className = "number";
    return made;
  }

  download() {
    const value = (column, row) => column.rank?.[row] ?? column.text[row];
    const rows = this.found().map((row) => this.columns.map((column) => value(column, row)));
    saveAs(`${fileName(this.name, this.content.key)}.csv`, csvOf(this.columns.map((column) => column.title), rows), "text/csv");
  }
}

// ---- the page -----------------------------------------------------------------------------

// Draws charts as they come near the window, one after the other, so that the page stays awake.
class Drawing {
  constructor(charts) {
    this.charts = charts;
    this.observer = new IntersectionObserver((entries) => {
      entries.forEach((entry) => { charts.find((chart) => chart.place === entry.target).near = entry.isIntersecting; });
      this.go();
    }, { rootMargin: "300px" });
    charts.forEach((chart) => this.observer.observe(chart.place));
    window.addEventListener("beforeprint", () => { charts.forEach((chart) => { chart.near = true; }); this.go(); });
  }

  changed() {
    this.charts.forEach((chart) => { chart.isDrawn = false; });
    this.go();
  }

  async go() {
    if (this.isGoing) return;
    this.isGoing = true;
    for (let next; (next = this.charts.find((chart) => chart.near && !chart.isDrawn)); ) {
      next.isDrawn = true;
      await new Promise((resolve) => { setTimeout(resolve); });
      await next.draw();
    }
    this.isGoing = false;
  }
}

function start(study, number) {
  const section = document.getElementById(`study-${number + 1}`);
  study.tables.forEach((content) => {
    const place = section.querySelector(`[data-table="${content.key}"]`);
    if (place) new SortedTable(content, place, study.name);
  });
  const charts = [];
  const arms = new Arms(study, section, () => drawing.changed(), (names) => charts.forEach((chart) => chart.highlight(names)));
  const chosen = (name) => section.querySelector(`.${name} input:checked`)?.value;
  const state = {
    get axis() { return chosen("axes"); },
    get logarithmic() { return chosen("scale") === "log"; },
    shown: () => arms.names(),
    paperColour: (arm) => arms.paperColour(arm),
  };
  section.querySelectorAll("figure[data-figures]").forEach((place) =>
    charts.push(new (place.classList.contains("phase") ? PhaseDiagram : Chart)(study, place, state)));
  const drawing = new Drawing(charts);
  section.querySelectorAll(".axes input, .scale input").forEach((input) => input.addEventListener("change", () => drawing.changed()));
}

JSON.parse(document.getElementById("report-data").textContent).forEach(start);
document.documentElement.dataset.ready = "yes";
