// An utterance whose attention can be pulled: what the weighted mean and the weighted deviation make of it.
"use strict";

(() => {
  const { make } = window.sercorePage;
  const NUDGE = 0.05; // of the height of a bar, by one press of an arrow key

  // ---- equations 4 and 5, as in sercore.network.pooling

  function pooled(hidden, weights) {
    const channels = hidden[0].length, mean = new Array(channels).fill(0), variance = new Array(channels).fill(0);
    hidden.forEach((state, t) => state.forEach((value, c) => { mean[c] += weights[t] * value; }));
    hidden.forEach((state, t) => state.forEach((value, c) => { variance[c] += weights[t] * (value - mean[c]) ** 2; }));
    return { mean, deviation: variance.map(value => Math.sqrt(Math.max(value, 1e-6))) };
  }

  function shares(heights) {
    const all = heights.reduce((sum, height) => sum + height, 0);
    return heights.map(height => (all > 0 ? height / all : 1 / heights.length));
  }

  // ---- the component

  class Pull {
    constructor(root) {
      this.data = JSON.parse(root.querySelector("script").textContent);
      const { hidden, channels } = this.data, steps = hidden.length;
      this.channel = channels[0];
      const select = make("select", { id: "toy-channel", onchange: () => { this.channel = Number(select.value); this.draw(); } },
        ...channels.map(channel => make("option", { value: channel }, `${channel + 1} of ${hidden[0].length}`)));
      this.curve = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      this.curve.setAttribute("role", "img");
      this.curve.setAttribute("preserveAspectRatio", "none");
      this.bars = hidden.map((_, t) => make("div", {
        class: "toy-bar", role: "slider", tabindex: t ? "-1" : "0", "aria-label": `Attention at ${((t + 0.5) * this.data.stepSeconds).toFixed(1)} s`,
        "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100, onkeydown: event => this.key(event, t),
      }));
      this.row = make("div", { class: "toy-bars", role: "group", "aria-label": "Attention, one bar a step", "aria-describedby": "toy-note",
        onpointerdown: event => { this.row.setPointerCapture(event.pointerId); this.pull(event); },
        onpointermove: event => event.buttons && this.pull(event) }, ...this.bars);
      this.facts = make("dl", { class: "toy-facts" });
      this.said = make("p", { class: "sercore-unseen", role: "status" });
      this.strips = ["Mean (equation 4)", "Deviation (equation 5)"].map(name => ({ name, canvas: make("canvas", { role: "img", height: 1, width: hidden[0].length }) }));
      const press = (text, heights) => make("button", { type: "button", onclick: () => this.set(heights()) }, text);
      root.append(
        make("div", { class: "toy-controls" }, make("div", { class: "toy-control" }, make("label", { for: "toy-channel" }, "Channel of the BLSTM"), select)),
        make("div", { class: "toy-buttons" },
          press("As the network has it", () => this.data.attention), press("Even", () => new Array(steps).fill(1)),
          press("The last step alone", () => hidden.map((_, t) => Number(t === steps - 1)))),
        make("div", { class: "toy-time" }, make("img", { src: this.data.picture, class: "dark-light", alt: this.data.said }), this.curve, this.row),
        make("p", { id: "toy-note" }, "Pull the bars up and down, or use the arrow keys: left and right choose a step, up and down move it."),
        this.facts, make("div", { class: "toy-feature" }, ...this.strips.flatMap(({ name, canvas }) => [make("span", {}, name), canvas])), this.said);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      root.toy = this;
      this.set(this.data.attention);
    }

    // heights between 0 and 1, the largest 1; what counts is their share of the sum
    set(heights) {
      const top = Math.max(...heights);
      this.heights = heights.map(height => (top > 0 ? height / top : 0));
      this.draw();
    }

    pull(event) {
      const box = this.row.getBoundingClientRect(), t = Math.floor(this.bars.length * (event.clientX - box.left) / box.width);
      if (t < 0 || t >= this.bars.length) return;
      this.heights[t] = Math.min(1, Math.max(0, (box.bottom - event.clientY) / box.height));
      this.draw();
    }

    key(event, t) {
      if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
      const last = this.bars.length - 1, up = { ArrowUp: NUDGE, ArrowDown: -NUDGE, PageUp: 4 * NUDGE, PageDown: -4 * NUDGE }[event.key];
      const other = { ArrowLeft: Math.max(0, t - 1), ArrowRight: Math.min(last, t + 1) }[event.key];
      const whole = { Home: 0, End: 1 }[event.key];
      if (other !== undefined) {
        this.bars[t].tabIndex = -1;
        this.bars[other].tabIndex = 0;
        this.bars[other].focus();
      } else if (up !== undefined || whole !== undefined) {
        this.heights[t] = whole ?? Math.min(1, Math.max(0, this.heights[t] + up));
        this.draw();
        this.said.textContent = `mean ${this.mean.toFixed(2)}, deviation ${this.deviation.toFixed(2)}`;
      } else return;
      event.preventDefault();
    }

    draw() {
      const { hidden } = this.data, weights = shares(this.heights), found = pooled(hidden, weights);
      this.mean = found.mean[this.channel];
      this.deviation = found.deviation[this.channel];
      this.bars.forEach((bar, t) => {
        bar.style.setProperty("--share", this.heights[t]);
        bar.setAttribute("aria-valuenow", Math.round(100 * this.heights[t]));
        bar.setAttribute("aria-valuetext", `${(100 * weights[t]).toFixed(1)} % of the attention`);
      });
      this.trace(hidden.map(state => state[this.channel]), weights);
      const steps = 1 / weights.reduce((sum, weight) => sum + weight * weight, 0);
      this.facts.replaceChildren(...[["Mean", this.mean.toFixed(3)], ["Deviation", this.deviation.toFixed(3)], ["Steps that count", steps.toFixed(1)]]
        .map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))));
      this.strip(this.strips[0], found.mean, 1);
      this.strip(this.strips[1], found.deviation, 0.6);
    }

    trace(values, weights) {
      const reach = 1.05, y = value => 100 * (reach - value) / (2 * reach), x = t => t + 0.5, style = getComputedStyle(this.curve);
      const ink = style.color, teal = style.getPropertyValue("--pst-color-primary"), warm = style.getPropertyValue("--pst-color-secondary");
      const element = (name, attributes) => {
        const made = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
        return made;
      };
      const line = { "vector-effect": "non-scaling-stroke", fill: "none" };
      this.curve.setAttribute("viewBox", `0 0 ${values.length} 100`);
      this.curve.setAttribute("aria-label", `Channel ${this.channel + 1} over ${values.length} steps; weighted mean ${this.mean.toFixed(2)}, deviation ${this.deviation.toFixed(2)}`);
      const low = y(this.mean + this.deviation), high = y(this.mean - this.deviation);
      this.curve.replaceChildren(
        element("rect", { x: 0, width: values.length, y: low, height: Math.max(high - low, 0.4), fill: warm, opacity: 0.22 }),
        element("line", { ...line, x1: 0, x2: values.length, y1: y(this.mean), y2: y(this.mean), stroke: warm, "stroke-width": 2 }),
        element("line", { ...line, x1: 0, x2: values.length, y1: y(0), y2: y(0), stroke: ink, "stroke-width": 0.5, opacity: 0.5 }),
        element("polyline", { ...line, points: values.map((value, t) => `${x(t)},${y(value)}`).join(" "), stroke: ink, "stroke-width": 1.5 }),
        // where the attention lies the curve is thick
        ...values.map((value, t) => element("line", { ...line, x1: x(t), x2: x(t), y1: y(value) - 0.01, y2: y(value) + 0.01, stroke: teal,
          "stroke-width": 3 + 12 * Math.sqrt(weights[t] / Math.max(...weights)), "stroke-linecap": "round" })));
    }

    strip({ name, canvas }, values, reach) {
      const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
      const [plus, minus] = ["--pst-color-secondary", "--pst-color-primary"].map(colour => style.getPropertyValue(colour));
      pen.clearRect(0, 0, values.length, 1);
      values.forEach((value, c) => {
        pen.globalAlpha = Math.min(1, Math.abs(value) / reach);
        pen.fillStyle = value > 0 ? plus : minus;
        pen.fillRect(c, 0, 1, 1);
      });
      canvas.setAttribute("aria-label", `${name} of all ${values.length} channels`);
    }
  }

  window.sercorePooling = { pooled, shares };
  for (const root of document.querySelectorAll(".sercore-pull")) new Pull(root);
})();
