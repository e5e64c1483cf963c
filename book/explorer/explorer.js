// The explorer: two maps of the same test utterances, side by side; what is chosen in one is shown in both.
"use strict";

(() => {
  const { make } = window.sercorePage;
  const FOLDER = "explorer/";
  const COLOURS = { angry: "#d1495b", happy: "#e0a100", sad: "#3a7ca5", neutral: "#7d8597" };
  const OTHERS = ["#6a5acd", "#2a8c82", "#c8553d", "#4f8a3c", "#a05195", "#b0703c", "#0f7c9e", "#8a7400", "#b5487f", "#52606d"];
  const MARKS = ["circle", "square", "triangle", "diamond", "cross"];
  const SELDOM = 350; // milliseconds from one change of the address to the next
  const REACH = 18; // pixels within which the pointer finds a point
  const HINT = "Choose a point: by pointer, or with the arrow keys once a map has the focus. Page Down and Page Up go through them in order, "
    + "Space plays one where there is sound, Escape lets it go.";
  const ORDER = new Intl.Collator();
  const PAGES = { PageDown: 1, PageUp: -1 };
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const ONLY = { all: "all of them", left: "mistakes of the left map", right: "mistakes of the right map", both: "mistakes of both", differ: "where the two differ" };
  const CONFUSED = 8; // utterances in the list of the most confused
  const COLOURINGS = { label: "true class", predicted: "predicted class", right: "right or wrong", speaker: "speaker", gender: "women and men" };

  // ---- data: scripts that call sercoreExplorer(name, value), so that a site on a disk works as well

  const arrived = {}, waiting = {};
  window.sercoreExplorer = (name, value) => { arrived[name] = value; };

  // what fails is asked for again the next time
  function fetchScript(name) {
    return (waiting[name] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${FOLDER}${name}.js`;
      script.onload = () => resolve(arrived[name]);
      script.onerror = () => {
        delete waiting[name];
        script.remove();
        reject(new Error(`${FOLDER}${name}.js did not come: choose it once more, or build the book again where it is missing`));
      };
      document.head.append(script);
    }));
  }

  function bytes(text) {
    return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  }

  function decode(system, count) {
    const places = new Uint16Array(bytes(system.places).buffer);
    return {
      ...system,
      x: Float32Array.from({ length: count }, (_, i) => places[2 * i] / 65535),
      y: Float32Array.from({ length: count }, (_, i) => 1 - places[2 * i + 1] / 65535),
      chances: bytes(system.chances),
      attention: bytes(system.attention),
    };
  }

  // ---- small helpers for HTML

  let choices = 0;
  function choice(label, options, onchange) {
    const id = `explorer-choice-${++choices}`, select = make("select", { id, onchange: () => onchange(select.value) });
    fill(select, options);
    return { select, box: make("div", { class: "explorer-choice" }, make("label", { for: id }, label), select) };
  }

  function fill(select, options) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  }

  // ---- one explorer

  class Explorer {
    constructor(root) {
      this.root = root;
      const inline = root.querySelector("script[type='application/json']");
      this.inline = inline ? JSON.parse(inline.textContent) : null;
      this.chosen = -1;
      this.shown = [];
      this.colouring = "label";
      this.panels = [];
      this.begin().catch(error => root.append(make("p", { role: "alert" }, error.message)));
    }

    load(name) {
      return this.inline ? Promise.resolve(this.inline[name]) : fetchScript(name);
    }

    async begin() {
      const cells = await this.load("index");
      if (!cells.length) {
        this.root.append(make("p", {}, "Nothing has been published yet."));
        return;
      }
      this.cellChoice = choice("Corpus and protocol", cells.map(cell => [cell.name, cell.title]), name => this.show(name).catch(error => this.fail(error)));
      this.foldChoice = choice("Test fold", [], () => this.refresh());
      this.colourChoice = choice("Colour", Object.entries(COLOURINGS), value => { this.colouring = value; this.draw(); this.remember(); });
      this.speakerChoice = choice("Speaker", [], value => this.ofSpeaker(value));
      this.sentenceChoice = choice("Sentence", [], () => this.refresh());
      this.onlyChoice = choice("Show", Object.entries(ONLY), () => this.refresh(this.chosen));
      this.list = choice("Utterance", [], value => this.choose(Number(value)));
      this.wrong = make("button", { type: "button", onclick: () => this.nextWrong() }, "Next mistake of the left map");
      this.said = make("p", { class: "explorer-said", role: "status" });
      this.details = make("div", { class: "explorer-details" });
      this.legend = make("ul", { class: "explorer-legend", "aria-label": "Colours" });
      this.maps = make("div", { class: "explorer-maps" });
      this.confused = make("ol", { class: "explorer-confused" });
      const ranked = make("details", { class: "explorer-ranked" }, make("summary", {}, "The most confused of those shown"), this.confused);
      this.copy = make("button", { type: "button", onclick: () => this.copyLink() }, "Copy a link to this view");
      const controls = [this.cellChoice, this.foldChoice, this.speakerChoice, this.sentenceChoice, this.onlyChoice, this.colourChoice, this.list].map(each => each.box);
      this.root.append(make("div", { class: "explorer-controls" }, ...controls, this.wrong, ...(this.inline ? [] : [this.copy])),
        this.said, this.maps, this.legend, this.details, ranked);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      const addressed = () => (this.inline ? {} : Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
      const view = addressed();
      const follow = view => {
        const cell = cells.find(each => each.name === view.cell) ?? cells[0];
        this.cellChoice.select.value = cell.name;
        return this.show(cell.name, cell.name === view.cell ? view : {});
      };
      if (!this.inline) window.addEventListener("hashchange", () => { // a link to another view, followed in this page
        const view = addressed();
        if (view.cell) follow(view).catch(error => this.fail(error));
      });
      await follow(view);
      this.opened = true; // from here on the address is this view's
    }

    fail(error) {
      if (this.place) this.cellChoice.select.value = this.place;
      for (const panel of this.panels) if (panel.slug) panel.choice.select.value = panel.slug;
      this.said.textContent = error.message;
    }

    async show(name, view = {}) {
      const turn = this.turn = (this.turn ?? 0) + 1; // another choice may come before this one is there
      const cell = await this.load(this.inline ? "cell" : name);
      if (turn !== this.turn) return;
      this.shown = []; // nothing is drawn until all of it is there
      Object.assign(this, { cell, place: name });
      const speakers = fold => [...new Set(cell.fold.flatMap((each, i) => (each === fold ? [this.fact("speaker", i)] : [])))].sort();
      const folds = [...new Set(cell.fold)].sort((a, b) => a - b);
      fill(this.foldChoice.select, folds.map(fold => {
        const heard = speakers(fold);
        return [fold, heard.length > 4 ? `${fold} (${heard.length} speakers)` : `${fold} (speakers ${heard.join(", ")})`];
      }));
      const count = Math.min(2, cell.systems.length);
      if (this.panels.length !== count) {
        this.panels = Array.from({ length: count }, (_, i) => new Panel(this, i, count));
        this.maps.replaceChildren(...this.panels.map(panel => panel.box));
        this.wrong.textContent = `Next mistake of the ${count === 1 ? "" : "left "}map`;
        fill(this.onlyChoice.select, count === 1 ? [["all", ONLY.all], ["left", "its mistakes"]] : Object.entries(ONLY));
      }
      await Promise.all(this.panels.map((panel, i) => panel.offer(cell.systems, i, view[["left", "right"][i]])));
      if (turn !== this.turn) return;
      fill(this.speakerChoice.select, [["", "all"], ...cell.speaker.names.filter(Boolean).map(each => [each, each])]);
      fill(this.sentenceChoice.select, [["", "all"], ...cell.sentence.names.filter(Boolean).map(each => [each, each])]);
      for (const [each, { box }] of [["speaker", this.speakerChoice], ["sentence", this.sentenceChoice]]) box.hidden = cell[each].names.length < 2;
      const places = { fold: this.foldChoice, speaker: this.speakerChoice, sentence: this.sentenceChoice, only: this.onlyChoice, colour: this.colourChoice };
      for (const [each, { select }] of Object.entries(places)) {
        if ([...select.options].some(option => option.value === view[each])) select.value = view[each];
      }
      this.colouring = this.colourChoice.select.value;
      this.refresh(cell.ids.indexOf(view.utterance));
    }

    // a speaker who is not in this fold is in another
    ofSpeaker(name) {
      const own = this.cell.ids.flatMap((_, i) => (this.fact("speaker", i) === name ? [this.cell.fold[i]] : []));
      if (name && !own.includes(this.fold)) this.foldChoice.select.value = String(own[0]);
      this.refresh();
    }

    // the utterances of the fold that every choice leaves
    left() {
      const { cell } = this, speaker = this.speakerChoice.select.value, sentence = this.sentenceChoice.select.value;
      const wrong = (panel, i) => panel.predicted(i) !== cell.label[i], [first, second = first] = this.panels;
      const kept = {
        all: () => true, left: i => wrong(first, i), right: i => wrong(second, i), both: i => wrong(first, i) && wrong(second, i),
        differ: i => first.predicted(i) !== second.predicted(i),
      }[this.onlyChoice.select.value];
      return cell.ids.flatMap((_, i) => (cell.fold[i] === this.fold && (!speaker || this.fact("speaker", i) === speaker)
        && (!sentence || this.fact("sentence", i) === sentence) && kept(i) ? [i] : []));
    }

    // least of the probability on the true class, over both maps
    rank() {
      const { cell } = this, share = i => this.panels.reduce((sum, panel) => sum + panel.chances(i)[cell.label[i]], 0);
      const worst = this.shown.toSorted((a, b) => share(a) - share(b)).slice(0, CONFUSED);
      this.confused.replaceChildren(...worst.map(i => {
        const answers = [...new Set(this.panels.map(panel => cell.labels[panel.predicted(i)]))].join(" and ");
        const words = `${cell.ids[i]}: ${cell.labels[cell.label[i]]}, heard as ${answers} (its class has ${Math.round(share(i) / this.panels.length / 2.55)} %)`;
        return make("li", {}, make("button", { type: "button", onclick: () => this.choose(i) }, words));
      }));
    }

    // what is looked at, as the end of an address
    view() {
      const chosen = this.chosen < 0 ? "" : this.cell.ids[this.chosen];
      const facts = {
        cell: this.cellChoice.select.value, fold: this.foldChoice.select.value, left: this.panels[0]?.choice.select.value, right: this.panels[1]?.choice.select.value,
        speaker: this.speakerChoice.select.value, sentence: this.sentenceChoice.select.value, only: this.onlyChoice.select.value,
        colour: this.colouring, utterance: chosen,
      };
      const usual = { only: "all", colour: "label" };
      return new URLSearchParams(Object.entries(facts).filter(([name, value]) => value && value !== usual[name])).toString();
    }

    // not at each step of a key that is held: browsers refuse a page that changes its address too often
    remember() {
      if (this.inline || !this.opened) return;
      clearTimeout(this.remembering);
      const rest = (this.remembered ?? -Infinity) + SELDOM - performance.now();
      if (rest > 0) this.remembering = setTimeout(() => this.remember(), rest);
      else {
        this.remembered = performance.now();
        history.replaceState(null, "", `#${this.view()}`);
      }
    }

    async copyLink() {
      this.remembered = -Infinity;
      this.remember();
      try {
        await navigator.clipboard.writeText(location.href);
        this.said.textContent = "The link is copied.";
      } catch {
        this.said.textContent = "The link is the address of this page.";
      }
    }

    fact(name, i) {
      return this.cell[name].names[this.cell[name].codes[i]];
    }

    get fold() {
      return Number(this.foldChoice.select.value);
    }

    // another corpus, fold or system: other points
    refresh(chosen = -1) {
      this.shown = this.left();
      const named = this.shown.map(i => [i, `${this.cell.ids[i]}, ${this.cell.labels[this.cell.label[i]]}`]);
      fill(this.list.select, [[-1, "none"], ...named.sort((a, b) => ORDER.compare(a[1], b[1]))]);
      this.draw();
      this.rank();
      this.choose(this.shown.includes(chosen) ? chosen : -1);
    }

    choose(i) {
      this.chosen = i;
      this.remember();
      this.list.select.value = String(i);
      for (const panel of this.panels) panel.show();
      this.tell();
    }

    nextWrong() {
      const panel = this.panels[0], wrong = this.shown.filter(i => panel.predicted(i) !== this.cell.label[i]);
      if (wrong.length) this.choose(wrong.find(i => i > this.chosen) ?? wrong[0]);
    }

    // the groups of the legend, and the group of an utterance in a panel
    groups() {
      const { cell } = this;
      if (this.colouring === "right") return [["right", "#2a8c82"], ["wrong", "#c8553d"]];
      if (this.colouring === "speaker" || this.colouring === "gender") {
        const there = new Set(this.shown.map(i => cell[this.colouring].codes[i]));
        return cell[this.colouring].names.map((name, code) => [name || "not given", OTHERS[code % OTHERS.length], !there.has(code)]);
      }
      const others = cell.labels.filter(label => !(label in COLOURS));
      return cell.labels.map(label => [label, COLOURS[label] ?? OTHERS[others.indexOf(label) % OTHERS.length]]);
    }

    groupOf(panel, i) {
      if (this.colouring === "label") return this.cell.label[i];
      if (this.colouring === "predicted") return panel.predicted(i);
      if (this.colouring === "right") return panel.predicted(i) === this.cell.label[i] ? 0 : 1;
      return this.cell[this.colouring].codes[i];
    }

    draw() {
      if (!this.panels.every(panel => panel.system)) return;
      for (const panel of this.panels) panel.draw();
      this.legend.replaceChildren(...this.groups().flatMap(([name, colour, absent], code) => (absent ? [] : [
        make("li", {}, mark(code, colour), name),
      ])));
    }

    // ---- what is known of the chosen utterance

    tell() {
      const i = this.chosen, { cell } = this;
      if (i < 0) {
        this.said.classList.remove("explorer-follows"); // a hint may go out of sight
        this.said.textContent = this.told ? this.panels.map(panel => `${panel.title}: ${panel.about.textContent}`).join(". ") : HINT;
        this.told = true;
        this.details.replaceChildren();
        return;
      }
      const { shown } = this, answers = this.panels.map(panel => `${panel.title}: ${panel.verdict(i)}`);
      this.said.classList.add("explorer-follows");
      this.said.textContent = `${cell.ids[i]}, ${cell.labels[cell.label[i]]}. ${answers.join(". ")}. ${shown.indexOf(i) + 1} of ${shown.length}`;
      const facts = [
        ["Utterance", cell.ids[i]], ["True class", cell.labels[cell.label[i]]], ["Speaker", `${this.fact("speaker", i)} ${this.fact("gender", i)}`],
        ["Sentence", this.fact("sentence", i)], ["Length", `${cell.seconds[i].toFixed(1)} s`],
      ].filter(([, value]) => value.trim());
      const list = make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
      const sound = cell.sound[cell.ids[i]];
      this.player = sound?.audio ? make("audio", { controls: "", preload: "none", src: sound.audio, "aria-label": `Recording ${cell.ids[i]}` }) : null;
      const heard = this.player ?? make("p", { class: "explorer-hint" }, sound ? "No sound here: this corpus is spectra alone." : "No sound here: the audio was not at hand when the book was built, or may not be passed on.");
      this.details.replaceChildren(make("div", {}, list, heard), ...this.panels.map(panel => panel.tell(i, sound)));
    }

    play() {
      if (this.player) this.player.paused ? this.player.play() : this.player.pause();
    }
  }

  class Panel {
    constructor(explorer, number, count) {
      this.explorer = explorer;
      this.choice = choice(count === 1 ? "Map" : ["Left map", "Right map"][number], [], slug => this.take(slug).then(there => there && explorer.refresh(explorer.chosen)).catch(error => explorer.fail(error)));
      this.about = make("p", { class: "explorer-about" });
      this.canvas = make("canvas", {
        tabindex: "0", role: "application", "aria-roledescription": "map of utterances",
        onpointermove: event => this.hover(event), onpointerleave: () => this.tip.hidden = true,
        onclick: event => explorer.choose(this.nearest(event)), onkeydown: event => this.key(event),
      });
      this.tip = make("div", { class: "explorer-tip", hidden: "", "aria-hidden": "true" });
      this.box = make("div", { class: "explorer-map" }, this.choice.box, this.about, make("div", { class: "explorer-frame" }, this.canvas, this.tip));
      new ResizeObserver(() => this.system && this.draw()).observe(this.canvas);
    }

    offer(systems, number, wanted) {
      const known = slug => systems.some(each => each.slug === slug), fresh = !known(this.choice.select.value);
      fill(this.choice.select, systems.map(each => [each.slug, each.title]));
      if (known(wanted)) this.choice.select.value = wanted;
      else if (fresh) this.choice.select.value = systems[Math.min(number, systems.length - 1)].slug;
      return this.take(this.choice.select.value);
    }

    // whether it is this system that is shown now, and not another that was chosen meanwhile
    async take(slug) {
      const { explorer } = this, { cell } = explorer, entry = cell.systems.find(each => each.slug === slug);
      const turn = this.turn = (this.turn ?? 0) + 1;
      const data = await explorer.load(entry.file.replace(/\.js$/, ""));
      if (turn !== this.turn || cell !== explorer.cell) return false;
      Object.assign(this, { slug, title: entry.title, system: decode(data, cell.ids.length) });
      return true;
    }

    predicted(i) {
      const { chances } = this.system, count = this.explorer.cell.labels.length;
      let best = 0;
      for (let code = 1; code < count; code++) if (chances[i * count + code] > chances[i * count + best]) best = code;
      return best;
    }

    chances(i) {
      const count = this.explorer.cell.labels.length;
      return Array.from(this.system.chances.subarray(i * count, (i + 1) * count));
    }

    // ---- drawing

    at(i) {
      const inner = this.size - 24;
      return [12 + inner * this.system.x[i], 12 + inner * this.system.y[i]];
    }

    draw() {
      const { explorer, system } = this, scale = window.devicePixelRatio || 1;
      this.size = this.canvas.clientWidth;
      if (!this.size) return;
      const { shown } = explorer;
      this.radius = shown.length > 1500 ? 2.2 : shown.length > 400 ? 3.2 : 4.5;
      this.points = make("canvas", { width: Math.round(this.size * scale), height: Math.round(this.size * scale) });
      const pen = this.points.getContext("2d"), half = 1.4 * this.radius + 1;
      const stamps = explorer.groups().map(([, colour], code) => mark(code, colour, this.radius, half, scale));
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.globalAlpha = 0.92;
      for (const i of shown) {
        const [x, y] = this.at(i);
        pen.drawImage(stamps[explorer.groupOf(this, i)], x - half, y - half, 2 * half, 2 * half);
      }
      this.show();
      const fold = String(explorer.fold), right = shown.filter(i => this.predicted(i) === explorer.cell.label[i]).length;
      const trust = fold in system.trust ? `, trustworthiness ${system.trust[fold].toFixed(2)}` : "";
      this.about.textContent = shown.length ? `UA of the whole fold ${system.ua[fold].toFixed(1)} %${trust}; right of the ${shown.length} shown: ${right}` : "No utterance is left by these choices.";
      this.canvas.setAttribute("aria-label", `${this.title}: map of ${shown.length} test utterances. Arrow keys move to the next point that way, Page Down and Page Up in order, space plays, Escape lets go.`);
    }

    // the points as they were drawn, and a ring about the chosen one
    show() {
      if (!this.points) return;
      this.canvas.width = this.canvas.height = this.points.width; // which clears it
      const pen = this.canvas.getContext("2d"), scale = this.points.width / this.size, { chosen } = this.explorer;
      pen.drawImage(this.points, 0, 0);
      if (chosen < 0) return;
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.strokeStyle = getComputedStyle(this.canvas).color;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(...this.at(chosen), this.radius + 5, 0, 7);
      pen.stroke();
    }

    // ---- pointer and keyboard

    nearest(event) {
      const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, distance = REACH;
      for (const i of this.explorer.shown) {
        const [a, b] = this.at(i), far = Math.hypot(a - x, b - y);
        if (far < distance) [best, distance] = [i, far];
      }
      return best;
    }

    hover(event) {
      const i = this.nearest(event), { cell } = this.explorer;
      this.tip.hidden = i < 0;
      if (i < 0) return;
      const [x, y] = this.at(i);
      this.tip.textContent = `${cell.ids[i]}: ${cell.labels[cell.label[i]]}, heard as ${cell.labels[this.predicted(i)]}`;
      this.tip.style.left = `${Math.min(x, this.size - 160)}px`;
      this.tip.style.top = `${y + 14}px`;
    }

    key(event) {
      const { explorer } = this, { shown, chosen } = explorer;
      if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
      if (event.key === " ") explorer.play();
      else if (event.key === "Escape") explorer.choose(-1);
      else if (!explorer.shown.length) return;
      else if (event.key === "Home") explorer.choose(explorer.shown[0]);
      else if (event.key in PAGES && !shown.includes(chosen)) explorer.choose(shown.at(PAGES[event.key] > 0 ? 0 : -1));
      else if (event.key in PAGES) explorer.choose(shown.at((shown.indexOf(chosen) + PAGES[event.key]) % shown.length));
      else if (event.key in ARROWS) explorer.choose(this.towards(...ARROWS[event.key]));
      else return;
      event.preventDefault();
    }

    // the point that lies best in a direction: near, and not far off it
    towards(dx, dy) {
      const { chosen, shown } = this.explorer;
      if (!shown.includes(chosen)) return shown[0];
      const [x, y] = this.at(chosen);
      let best = chosen, cost = Infinity;
      for (const i of shown) {
        const [a, b] = this.at(i), along = (a - x) * dx + (b - y) * dy, across = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
        if (along > 0.5 && along + 2.5 * across < cost) [best, cost] = [i, along + 2.5 * across];
      }
      return best;
    }

    // ---- what this system says of an utterance

    verdict(i) {
      const { cell } = this.explorer, said = this.predicted(i);
      return `heard ${cell.labels[said]}, ${said === cell.label[i] ? "right" : "wrong"}`;
    }

    tell(i, sound) {
      const { cell } = this.explorer, groups = cell.labels.map(label => COLOURS[label] ?? OTHERS[cell.labels.indexOf(label) % OTHERS.length]);
      const chances = this.chances(i);
      const bars = make("ul", { class: "explorer-bars" }, ...cell.labels.map((label, code) => {
        const share = Math.round(chances[code] / 2.55);
        const bar = make("span", { class: "explorer-bar", style: `--share:${share}%;--colour:${groups[code]}` });
        return make("li", {}, make("span", {}, label), bar, make("span", { class: "explorer-share" }, `${share} %`));
      }));
      const verdict = make("p", {}, make("strong", {}, this.title), ` ${this.verdict(i)}`);
      return make("div", {}, verdict, bars, this.system.steps ? this.attention(i, sound) : this.noAttention(i, sound));
    }

    noAttention(i, sound) {
      const picture = sound ? [make("img", { src: sound.image, class: "dark-light", alt: `Log-Mel energies of ${this.explorer.cell.ids[i]}: time to the right, 40 bands upwards`, loading: "lazy" })] : [];
      return make("figure", { class: "explorer-attention" }, ...picture, make("figcaption", {}, "This network has no attention over time."));
    }

    // attention over time, above the log-Mel picture where there is one
    attention(i, sound) {
      const { steps, stepSeconds, attention } = this.system, heard = Math.min(this.explorer.cell.seconds[i], steps * stepSeconds);
      const weights = Array.from(attention.subarray(i * steps, (i + 1) * steps)), top = Math.max(...weights, 1);
      const inside = weights.filter((_, step) => step * stepSeconds < heard).reduce((sum, weight) => sum + weight, 0);
      const all = weights.reduce((sum, weight) => sum + weight, 0) || 1, share = Math.round(100 * inside / all);
      const wide = 300, width = wide / (heard / stepSeconds), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `0 0 ${wide} 60`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      const peak = (weights.indexOf(top) + 0.5) * stepSeconds;
      const words = `Attention of ${this.title} over the utterance, highest at ${peak.toFixed(1)} s`;
      svg.setAttribute("aria-label", words);
      weights.forEach((weight, step) => {
        const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        for (const [name, value] of Object.entries({ x: step * width, y: 60 - 58 * weight / top, width: Math.max(width - 1, 0.5), height: 58 * weight / top })) {
          bar.setAttribute(name, value);
        }
        svg.append(bar);
      });
      const long = `width:${100 * this.explorer.cell.seconds[i] / heard}%;max-width:none`; // what was cut off lies outside
      const picture = sound ? [make("img", { src: sound.image, class: "dark-light", style: long, alt: `Log-Mel energies of ${this.explorer.cell.ids[i]}: time to the right, 40 bands upwards`, loading: "lazy" })] : [];
      const note = share < 99 ? `; ${100 - share} % of it lies on the padding behind the utterance` : "";
      return make("figure", { class: "explorer-attention" }, svg, ...picture,
        make("figcaption", {}, `Attention over ${heard.toFixed(1)} s in steps of ${stepSeconds} s${note}`));
    }
  }

  function trace(pen, shape, x, y, r) {
    if (shape === "circle") { pen.moveTo(x + r, y); pen.arc(x, y, r, 0, 7); }
    else if (shape === "square") pen.rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r);
    else if (shape === "triangle") polygon(pen, [[x, y - 1.25 * r], [x + 1.15 * r, y + 0.8 * r], [x - 1.15 * r, y + 0.8 * r]]);
    else if (shape === "diamond") polygon(pen, [[x, y - 1.3 * r], [x + 1.3 * r, y], [x, y + 1.3 * r], [x - 1.3 * r, y]]);
    else { pen.rect(x - 1.2 * r, y - 0.4 * r, 2.4 * r, 0.8 * r); pen.rect(x - 0.4 * r, y - 1.2 * r, 0.8 * r, 2.4 * r); }
  }

  function polygon(pen, corners) {
    corners.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
  }

  // a group's mark of this radius in a square of twice `half`, at so many pixels a unit
  function mark(code, colour, radius = 8, half = 12, scale = 1) {
    const size = Math.ceil(2 * half * scale);
    const canvas = make("canvas", { width: size, height: size, class: "explorer-mark", "aria-hidden": "true" }), pen = canvas.getContext("2d");
    pen.scale(size / (2 * half), size / (2 * half));
    pen.fillStyle = colour;
    pen.beginPath();
    trace(pen, MARKS[code % MARKS.length], half, half, radius);
    pen.fill();
    return canvas;
  }

  for (const root of document.querySelectorAll(".sercore-explorer")) new Explorer(root);
})();
