// The plane of the losses: a small network whose deep feature has length two is trained while its loss is moved.
"use strict";

(() => {
  const { make } = window.sercorePage;
  const COLOURS = { angry: "#d1495b", happy: "#e0a100", sad: "#3a7ca5", neutral: "#7d8597" };
  const CENTRES = { angry: [-0.7, 0.75], happy: [0.75, 0.65], sad: [-0.65, -0.7], neutral: [0.15, -0.05] };
  const LABELS = Object.keys(CENTRES);
  const KINDS = { softmax: "Softmax", ams: "Additive margin (AMS)", focal: "Focal loss", "ams+focal": "AMS and focal loss" };
  const EACH = 70; // points of a class
  const HIDDEN = 24;
  const RATE = 0.004;
  const TINY = 1.1754943508222875e-38;

  // ---- the losses, as in sercore.network.losses: equations 1 to 3

  // scores (classes) of a feature: linear with a bias, or s times the cosine to each weight
  function scores(feature, weights, bias, loss) {
    if (!loss.kind.startsWith("ams")) return weights.map((weight, j) => weight[0] * feature[0] + weight[1] * feature[1] + bias[j]);
    const length = Math.hypot(...feature) || 1e-12;
    return weights.map(weight => loss.s * (weight[0] * feature[0] + weight[1] * feature[1]) / ((Math.hypot(...weight) || 1e-12) * length));
  }

  // the loss of one utterance, its slope by each score, the probability of its class, and the weight that the focus gives it
  function criterion(given, label, loss) {
    const { kind, m, s } = loss, gamma = kind.endsWith("focal") ? loss.gamma : 0;
    const moved = kind.startsWith("ams") ? given.map((score, j) => (j === label ? score - s * m : score)) : given;
    const top = Math.max(...moved), all = Math.log(moved.reduce((sum, score) => sum + Math.exp(score - top), 0)) + top;
    const chances = moved.map(score => Math.exp(score - all)), logP = moved[label] - all;
    const miss = Math.max(-Math.expm1(logP), TINY), focus = miss ** gamma;
    // d/d log p of -(1 - p)^gamma log p, and by the scores
    const slope = gamma ? -focus + gamma * miss ** (gamma - 1) * chances[label] * logP : -1;
    return { value: -focus * logP, slopes: chances.map((p, j) => slope * ((j === label) - p)), chance: chances[label], focus };
  }

  // the slopes by the feature and by the weights, from those by the scores
  function through(feature, weights, slopes, loss) {
    if (!loss.kind.startsWith("ams")) {
      return {
        feature: [0, 1].map(k => slopes.reduce((sum, slope, j) => sum + slope * weights[j][k], 0)),
        weights: slopes.map(slope => [slope * feature[0], slope * feature[1]]),
      };
    }
    const length = Math.hypot(...feature) || 1e-12, unit = feature.map(value => value / length), own = [0, 0];
    const turned = weights.map((weight, j) => {
      const long = Math.hypot(...weight) || 1e-12, direction = weight.map(value => value / long);
      const cosine = direction[0] * unit[0] + direction[1] * unit[1], slope = loss.s * slopes[j];
      for (const k of [0, 1]) own[k] += slope * (direction[k] - cosine * unit[k]) / length;
      return [0, 1].map(k => slope * (unit[k] - cosine * direction[k]) / long);
    });
    return { feature: own, weights: turned };
  }

  // degrees to each side of the middle between two weights that a margin keeps empty; all of it where no feature can have it
  function empty(between, margin) {
    const half = between / 2, sine = margin / (2 * Math.sin(half * Math.PI / 180));
    return sine >= 1 ? half : Math.min(half, Math.asin(sine) * 180 / Math.PI);
  }

  // ---- the network

  function random(seed) {
    let state = seed;
    return () => { // mulberry32
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function normal(next) {
    return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }

  class Network {
    constructor(seed) {
      const next = random(seed), layer = (inputs, outputs) => ({
        inputs, outputs, w: Float64Array.from({ length: inputs * outputs }, () => (2 * next() - 1) / Math.sqrt(inputs)),
        b: Float64Array.from({ length: outputs }, () => (2 * next() - 1) / Math.sqrt(inputs)),
      });
      this.layers = [layer(2, HIDDEN), layer(HIDDEN, HIDDEN), layer(HIDDEN, 2)];
      this.head = { w: Float64Array.from({ length: 2 * LABELS.length }, () => 2 * next() - 1), b: new Float64Array(LABELS.length) };
      this.tensors = [...this.layers, this.head].flatMap(each => [each.w, each.b]);
      this.moments = this.tensors.map(tensor => [new Float64Array(tensor.length), new Float64Array(tensor.length)]);
      this.steps = 0;
    }

    get weights() {
      return LABELS.map((_, j) => [this.head.w[2 * j], this.head.w[2 * j + 1]]);
    }

    // what every layer makes of a point: the last is its feature
    forward(point) {
      const outs = [point];
      this.layers.forEach(({ inputs, outputs, w, b }, depth) => {
        const x = outs[depth], y = new Float64Array(outputs);
        for (let o = 0; o < outputs; o++) {
          let sum = b[o];
          for (let i = 0; i < inputs; i++) sum += w[o * inputs + i] * x[i];
          y[o] = depth < 2 && sum < 0 ? 0 : sum;
        }
        outs.push(y);
      });
      return outs;
    }

    // one step of Adam over all points
    step(points, loss) {
      const slopes = this.tensors.map(tensor => new Float64Array(tensor.length)), { weights } = this;
      let total = 0;
      for (const { place, label } of points) {
        const outs = this.forward(place), found = criterion(scores(outs[3], weights, this.head.b, loss), label, loss);
        total += found.value;
        const back = through(outs[3], weights, found.slopes, loss);
        back.weights.forEach((pair, j) => { slopes[6][2 * j] += pair[0]; slopes[6][2 * j + 1] += pair[1]; });
        if (!loss.kind.startsWith("ams")) found.slopes.forEach((slope, j) => { slopes[7][j] += slope; });
        let above = back.feature;
        for (let depth = 2; depth >= 0; depth--) {
          const { inputs, outputs, w } = this.layers[depth], x = outs[depth], below = new Float64Array(inputs);
          for (let o = 0; o < outputs; o++) {
            if (depth < 2 && outs[depth + 1][o] <= 0) continue;
            slopes[2 * depth + 1][o] += above[o];
            for (let i = 0; i < inputs; i++) {
              slopes[2 * depth][o * inputs + i] += above[o] * x[i];
              below[i] += above[o] * w[o * inputs + i];
            }
          }
          above = below;
        }
      }
      this.steps++;
      const one = 1 - 0.9 ** this.steps, two = 1 - 0.999 ** this.steps;
      this.tensors.forEach((tensor, t) => {
        const [first, second] = this.moments[t];
        for (let i = 0; i < tensor.length; i++) {
          const slope = slopes[t][i] / points.length;
          first[i] += 0.1 * (slope - first[i]);
          second[i] += 0.001 * (slope * slope - second[i]);
          tensor[i] -= RATE * (first[i] / one) / (Math.sqrt(second[i] / two) + 1e-7);
        }
      });
      return total / points.length;
    }
  }

  // mean cosine distance of features within a class and between classes, as in sercore.evidence.geometry
  function compactness(features, labels) {
    const units = features.map(([x, y]) => [x / (Math.hypot(x, y) || 1e-12), y / (Math.hypot(x, y) || 1e-12)]);
    const sums = { within: [0, 0], between: [0, 0] };
    for (let i = 0; i < units.length; i++) {
      for (let j = 0; j < i; j++) {
        const pair = sums[labels[i] === labels[j] ? "within" : "between"];
        pair[0] += 1 - units[i][0] * units[j][0] - units[i][1] * units[j][1];
        pair[1]++;
      }
    }
    return sums.within[0] / sums.within[1] / (sums.between[0] / sums.between[1]);
  }

  // ---- the component

  class Plane {
    constructor(root) {
      this.loss = { kind: "softmax", s: 10, m: 0.4, gamma: 2 };
      this.scatter = 0.25;
      this.running = !matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.seen = false;
      this.seed = 1;
      this.compact = NaN;
      this.input = make("canvas", { role: "img" });
      this.output = make("canvas", { role: "img" });
      this.pause = make("button", { type: "button", onclick: () => { this.running = !this.running; this.tell(); this.wake(); this.say(); } });
      this.facts = make("dl", { class: "toy-facts" });
      this.said = make("p", { class: "sercore-unseen", role: "status" });
      this.sliders = {
        s: this.slider("Scale s", this.loss, "s", 1, 40, 1), m: this.slider("Margin m", this.loss, "m", 0, 1, 0.05),
        gamma: this.slider("Focus γ", this.loss, "gamma", 0, 5, 0.25), scatter: this.slider("Scatter of the points", this, "scatter", 0.05, 0.6, 0.05),
      };
      root.append(
        make("div", { class: "toy-controls" }, this.kinds(), ...Object.values(this.sliders).map(each => each.box)),
        make("div", { class: "toy-buttons" }, this.pause, make("button", { type: "button", onclick: () => { this.seed++; this.begin(); } }, "Other first weights")),
        make("div", { class: "toy-planes" },
          make("figure", {}, this.input, make("figcaption", {}, "What goes in: valence to the right, arousal upwards")),
          make("figure", {}, this.output, make("figcaption", {}, "The deep feature. Arrows: class weights. Hatched: ground that the margin keeps empty. The larger a point, the more it pulls."))),
        make("ul", { class: "toy-legend" }, ...LABELS.map(label => make("li", {}, make("span", { style: `--colour:${COLOURS[label]}` }), label))),
        this.facts, this.said);
      new IntersectionObserver(entries => { this.seen = entries.at(-1).isIntersecting; this.wake(); }).observe(root);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      new ResizeObserver(() => this.draw()).observe(this.output);
      root.toy = this; // for those who look into it
      this.begin();
      this.offer();
      this.tell();
    }

    kinds() {
      const select = make("select", { id: "toy-kind", onchange: () => { this.loss.kind = select.value; this.offer(); this.begin(); this.say(); } },
        ...Object.entries(KINDS).map(([value, text]) => make("option", { value }, text)));
      return make("div", { class: "toy-control" }, make("label", { for: "toy-kind" }, "Loss"), select);
    }

    slider(text, target, name, min, max, step) {
      const id = `toy-${name}`, shown = make("span", { class: "toy-value", "aria-hidden": "true" }, String(target[name]));
      const input = make("input", {
        type: "range", id, min, max, step, value: target[name],
        oninput: () => {
          target[name] = Number(input.value);
          shown.textContent = input.value;
          if (name === "scatter") this.scattered();
          this.wake(true);
          this.say();
        },
      });
      return { input, box: make("div", { class: "toy-control" }, make("label", { for: id }, text, shown), input) };
    }

    // only what the loss has can be moved
    offer() {
      this.sliders.s.input.disabled = this.sliders.m.input.disabled = !this.loss.kind.startsWith("ams");
      this.sliders.gamma.input.disabled = !this.loss.kind.endsWith("focal");
    }

    begin() {
      this.network = new Network(this.seed);
      this.scattered();
      this.wake(true);
    }

    scattered() {
      const next = random(7);
      this.points = LABELS.flatMap((name, label) => Array.from({ length: EACH }, () => (
        { label, place: CENTRES[name].map(middle => middle + this.scatter * normal(next)) })));
    }

    tell() {
      this.pause.textContent = this.running ? "Pause" : "Train";
    }

    // trains as long as it is in sight; what was moved is shown at once even where it stands still
    wake(moved = false) {
      if (moved) { this.value = NaN; this.draw(); }
      if (this.running && this.seen && !this.asked) {
        this.asked = requestAnimationFrame(() => {
          this.asked = 0;
          const until = performance.now() + 8; // of the sixteen milliseconds of a picture
          do this.value = this.network.step(this.points, this.loss); while (performance.now() < until && this.network.steps % 4);
          this.draw();
          this.wake();
        });
      }
    }

    draw() {
      const { weights, head } = this.network, outs = this.points.map(point => this.network.forward(point.place)[3]);
      const found = outs.map((feature, i) => {
        const given = scores(feature, weights, head.b, this.loss);
        return { ...criterion(given, this.points[i].label, this.loss), said: given.indexOf(Math.max(...given)) };
      });
      // what goes in does not move, and how it is divided moves slowly: a picture of it every fourth time is enough
      if (this.network.steps % 4 === 0 || !this.running) this.plane(this.input, 1.6, (x, y) => this.label(this.network.forward([x, y])[3]), this.points.map(point => point.place), found, 36);
      const reach = 1.12 * Math.max(...outs.map(feature => Math.hypot(...feature)), 1e-9);
      const pen = this.plane(this.output, reach, (x, y) => this.label([x, y]), outs, found, 60, () => this.ground(reach));
      this.arrows(pen, reach);
      this.told(outs, found);
    }

    // what became of it, once, a while after something was moved
    say() {
      clearTimeout(this.saying);
      this.saying = setTimeout(() => { this.said.textContent = this.words; }, 2500);
    }

    label(feature) {
      const given = scores(feature, this.network.weights, this.network.head.b, this.loss);
      return given.indexOf(Math.max(...given));
    }

    // regions, then what lies under the points, then the points, as large as they pull
    plane(canvas, reach, region, places, found, cells, under) {
      const scale = devicePixelRatio || 1, size = canvas.clientWidth || 300, pen = canvas.getContext("2d");
      canvas.width = canvas.height = Math.round(size * scale);
      pen.setTransform(scale * size / (2 * reach), 0, 0, -scale * size / (2 * reach), scale * size / 2, scale * size / 2);
      this.pixel = 2 * reach / size;
      const step = 2 * reach / cells;
      pen.globalAlpha = 0.2;
      for (let row = 0; row < cells; row++) {
        for (let column = 0, begin = 0, last = -1; column <= cells; column++) {
          const label = column < cells ? region(-reach + (column + 0.5) * step, -reach + (row + 0.5) * step) : -1;
          if (label === last) continue;
          if (last >= 0) {
            pen.fillStyle = COLOURS[LABELS[last]];
            pen.fillRect(-reach + begin * step, -reach + row * step, (column - begin) * step, step);
          }
          [begin, last] = [column, label];
        }
      }
      pen.globalAlpha = 1;
      this.pen = pen;
      under?.();
      const focused = this.loss.kind.endsWith("focal") && this.loss.gamma > 0;
      places.forEach(([x, y], i) => {
        const radius = focused ? 1 + 4 * found[i].focus : 1 + 3 * Math.sqrt(1 - found[i].chance);
        pen.fillStyle = COLOURS[LABELS[this.points[i].label]];
        pen.globalAlpha = 0.8;
        pen.beginPath();
        pen.arc(x, y, radius * this.pixel, 0, 7);
        pen.fill();
      });
      pen.globalAlpha = 1;
      return pen;
    }

    // weights in the order of their angles, each with the next
    neighbours() {
      const turns = this.network.weights.map(([x, y]) => Math.atan2(y, x)).sort((a, b) => a - b);
      return turns.map((turn, i) => [turn, (i + 1 < turns.length ? turns[i + 1] : turns[0] + 2 * Math.PI) - turn]);
    }

    ground(reach) {
      if (!this.loss.kind.startsWith("ams")) return;
      const ink = getComputedStyle(this.output).color, { pen } = this;
      for (const [turn, between] of this.neighbours()) {
        const side = empty(between * 180 / Math.PI, this.loss.m) * Math.PI / 180, middle = turn + between / 2;
        pen.save();
        pen.beginPath();
        pen.moveTo(0, 0);
        pen.arc(0, 0, 2 * reach, middle - side, middle + side);
        pen.closePath();
        pen.clip();
        pen.strokeStyle = ink;
        pen.globalAlpha = 0.35;
        pen.lineWidth = this.pixel;
        pen.beginPath();
        for (let at = -4 * reach; at < 4 * reach; at += 9 * this.pixel) { pen.moveTo(at, -2 * reach); pen.lineTo(at + 4 * reach, 2 * reach); }
        pen.stroke();
        pen.restore();
      }
    }

    arrows(pen, reach) {
      this.network.weights.forEach((weight, j) => {
        const long = Math.hypot(...weight) || 1e-12, [x, y] = weight.map(value => 0.62 * reach * value / long), head = 9 * this.pixel;
        const turn = Math.atan2(y, x);
        pen.strokeStyle = pen.fillStyle = COLOURS[LABELS[j]];
        pen.lineWidth = 3 * this.pixel;
        pen.beginPath();
        pen.moveTo(0, 0);
        pen.lineTo(x, y);
        pen.stroke();
        pen.beginPath();
        pen.moveTo(x + head * Math.cos(turn), y + head * Math.sin(turn));
        for (const side of [2.4, -2.4]) pen.lineTo(x + head * Math.cos(turn + side), y + head * Math.sin(turn + side));
        pen.fill();
      });
    }

    told(outs, found) {
      const labels = this.points.map(point => point.label), right = found.filter(({ said }, i) => said === labels[i]).length;
      const value = found.reduce((sum, each) => sum + each.value, 0) / found.length, now = performance.now();
      if (!(now - this.last < 250)) this.compact = compactness(outs, labels);
      const angles = this.neighbours().map(([, between]) => 2 * empty(between * 180 / Math.PI, this.loss.m));
      const facts = [["Steps", String(this.network.steps)], ["Loss", value.toPrecision(3)], ["Right", `${(100 * right / found.length).toFixed(0)} %`],
        ["Within over between", this.compact.toFixed(3)]];
      if (this.loss.kind.startsWith("ams")) facts.push(["Kept empty", `${Math.round(angles.reduce((sum, angle) => sum + angle, 0))}° of 360°`]);
      if (this.loss.kind.endsWith("focal")) {
        const sorted = found.map(each => each.focus).sort((a, b) => b - a), all = sorted.reduce((sum, each) => sum + each, 0);
        facts.push(["Of the weight, on a tenth", `${Math.round(100 * sorted.slice(0, sorted.length / 10).reduce((sum, each) => sum + each, 0) / all)} %`]);
      }
      this.facts.replaceChildren(...facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))));
      if (now - this.last < 250) return;
      this.last = now;
      const words = facts.map(([name, text]) => `${name} ${text}`).join(", ");
      this.input.setAttribute("aria-label", `Points of four classes by valence and arousal, ${KINDS[this.loss.kind]}`);
      this.output.setAttribute("aria-label", `Their deep features under ${KINDS[this.loss.kind]}. ${words}`);
      this.words = words;
    }
  }

  window.sercoreLosses = { scores, criterion, through, empty, compactness };
  for (const root of document.querySelectorAll(".sercore-plane")) new Plane(root);
})();
