// Try your voice: the model in this browser, on a recording that goes nowhere.
"use strict";

(() => {
  const { make } = window.sercorePage;
  const FOLDER = "voice/";
  const RATE = 16000, WINDOW = 400, HOP = 160, FFT = 512, EDGE = (FFT - HOP) / 2; // as in sercore.frontend.log_mel
  const COLOURS = { angry: "#d1495b", happy: "#e0a100", sad: "#3a7ca5", neutral: "#7d8597" };
  const POINTS = 24; // at most so many in the curve over time
  const LONGEST = 60; // seconds of a recording made here; a file is heard whole, and no longer one is trimmed
  // as in sercore.frontend.audio and sercore.inference.prediction
  const SILENT = 1e-3, CANCELLED = 1e-2, SHORT_SECONDS = 0.3, UNSCALED = 10, AUDIBLE = 40, STEADY = 4, LOWEST = -120, EDGE_DECIBELS = 30, EDGE_SECONDS = 0.1;
  const root = document.querySelector(".sercore-voice");
  if (!root) return;
  const loaded = (window.sercoreVoice = {});

  function shape(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  // ---- the model

  // what fails is asked for again the next time
  const coming = {};
  function script(name) {
    return (coming[name] ??= new Promise((resolve, reject) => {
      const element = make("script", { src: `${FOLDER}${name}.js`, onload: resolve });
      element.onerror = () => {
        delete coming[name];
        element.remove();
        reject(new Error(`${FOLDER}${name}.js did not come: try once more. Where this copy of the site does not have it, build the book once with a network`));
      };
      document.head.append(element);
    }));
  }

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  let starting = null;
  function start() {
    return (starting ??= (async () => {
      await Promise.all([script("model"), script("runtime")]);
      const address = URL.createObjectURL(new Blob([loaded.runtime.module], { type: "text/javascript" }));
      const ort = await import(address).finally(() => URL.revokeObjectURL(address));
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = await unpack(loaded.runtime.wasm);
      ort.env.logLevel = "error";
      const session = await ort.InferenceSession.create(await unpack(loaded.model.onnx), { executionProviders: ["wasm"] });
      return async samples => {
        const out = await session.run({ samples: new ort.Tensor("float32", samples, [1, samples.length]) });
        const classes = loaded.model.classes.length, every = Array.from(out.spread.data);
        const networks = Array.from({ length: every.length / classes }, (_, i) => every.slice(i * classes, (i + 1) * classes));
        return { probabilities: Array.from(out.probabilities.data), attention: Array.from(out.attention.data), networks };
      };
    })().catch(error => {
      starting = null;
      throw error;
    }));
  }

  // ---- from samples to windows, as sercore.predict does

  const frameCount = samples => Math.ceil((samples + (WINDOW - HOP) / 2) / HOP);

  function framed(samples) {
    const padded = new Float32Array((frameCount(samples.length) - 1) * HOP + FFT);
    padded.set(samples.subarray(0, padded.length - EDGE), EDGE);
    return padded;
  }

  // the sound without the silence around it, as sercore predict takes it, and the seconds that were cut off before
  function trimmed(samples) {
    if (samples.length > LONGEST * RATE) return { sound: samples, begin: 0 };
    const step = RATE / 50, margin = Math.round(EDGE_SECONDS * RATE), powers = [];
    for (let from = 0; from + step <= samples.length; from += step) {
      let power = 0;
      for (let i = from; i < from + step; i++) power += samples[i] * samples[i];
      powers.push(power / step);
    }
    const least = Math.max(0, ...powers) * 10 ** (-EDGE_DECIBELS / 10), first = powers.findIndex(power => power > least);
    if (first < 0) return { sound: samples, begin: 0 };
    const begin = Math.max(0, first * step - margin);
    return { sound: samples.subarray(begin, (powers.findLastIndex(power => power > least) + 1) * step + margin), begin: begin / RATE };
  }

  const piece = (padded, from, to) => padded.slice(from * HOP, (to - 1) * HOP + FFT);

  async function predict(run, samples, report) {
    const padded = framed(samples), frames = frameCount(samples.length), clip = loaded.model.frames, half = Math.floor(clip / 2), starts = [];
    if (frames <= clip + 1) starts.push(0); // the last frame is centred on the end: it is half silence
    else {
      for (let from = 0; from < frames - clip; from += half) starts.push(from);
      starts.push(frames - clip);
    }
    const windows = [];
    for (const from of starts) {
      if (windows.length) await report(windows.length, starts.length);
      windows.push(await run(piece(padded, from, Math.min(from + clip, frames))));
    }
    const over = get => loaded.model.classes.map((_, code) => windows.reduce((sum, each) => sum + get(each)[code], 0) / windows.length);
    const mean = over(each => each.probabilities), best = mean.indexOf(Math.max(...mean));
    const networks = windows[0].networks.map((_, i) => over(each => each.networks[i]));
    const agree = networks.filter(own => own.indexOf(Math.max(...own)) === best).length;
    return { mean, networks, agree, windows: windows.length, attention: windows.length === 1 ? windows[0].attention : null };
  }

  // ---- sound in

  // one channel at 16 kHz in [-1, 1], as sercore reads a file; what it refuses is refused in the same words
  async function decode(data, name) {
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(data).catch(() => { throw new Error(`${name} is no sound that this browser reads`); });
    if (!sound.length) throw new Error(`${name} holds no samples`);
    const samples = new Float32Array(sound.length);
    let there = 0, heard = 0, peak = 0;
    for (let channel = 0; channel < sound.numberOfChannels; channel++) {
      const own = sound.getChannelData(channel);
      for (let i = 0; i < own.length; i++) {
        samples[i] += own[i] / sound.numberOfChannels;
        there += own[i] * own[i] / sound.numberOfChannels;
        peak = Math.max(peak, Math.abs(own[i]));
      }
    }
    if (!Number.isFinite(peak)) throw new Error(`${name} holds samples that are not finite numbers`);
    if (peak > UNSCALED) throw new Error(`${name} has float samples far beyond [-1, 1], up to ${Math.round(peak)}: scale them`);
    for (let i = 0; i < samples.length; i++) {
      heard += samples[i] * samples[i];
      samples[i] = Math.min(Math.max(samples[i], -1), 1);
    }
    if (heard < CANCELLED ** 2 * there) throw new Error(`${name}: its channels cancel each other, their average is silence; keep one of them in the file`);
    return samples;
  }

  // why a label means nothing, or ""
  function doubt(samples) {
    if (samples.length / RATE < SHORT_SECONDS) return ` Only ${(samples.length / RATE).toFixed(2)} s: its label means nothing.`;
    if (samples.every(value => Math.abs(value) < SILENT)) return " Silent: its label means nothing.";
    const step = RATE / 50, levels = [];
    for (let from = 0; from + step <= samples.length; from += step) {
      let power = 0;
      for (let i = from; i < from + step; i++) power += samples[i] * samples[i];
      levels.push(Math.max(Math.round(10 * Math.log10(power / step + 1e-12)), LOWEST));
    }
    levels.sort((a, b) => a - b);
    const sound = levels.filter(level => level >= levels.at(-1) - AUDIBLE).length / 50;
    if (sound < SHORT_SECONDS) return ` Next to no speech, only ${sound.toFixed(2)} s of it are sound: its label means nothing.`;
    const quantile = share => levels[Math.max(Math.ceil(share * levels.length) - 1, 0)];
    return quantile(0.9) - quantile(0.1) < STEADY ? " Steady, as noise is and speech is not: its label means nothing." : "";
  }

  let recorder = null, asking = false;
  async function record() {
    if (recorder) return recorder.stop();
    if (asking) return; // the browser still asks for the microphone
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("browsers give the microphone only to pages that come over https, or from this machine. Record a file with another program and choose it here.");
    }
    asking = true;
    const parts = [];
    let stream;
    const leave = () => stream?.getTracks().forEach(track => track.stop());
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      const own = new MediaRecorder(stream);
      own.ondataavailable = event => parts.push(event.data);
      own.onstop = () => {
        leave();
        recorder = null;
        recordButton.textContent = "Record";
        hear(new Blob(parts, { type: own.mimeType }), "your recording");
      };
      own.start();
      setTimeout(() => own.state === "recording" && own.stop(), LONGEST * 1000);
      recorder = own;
    } catch (error) {
      leave();
      throw error;
    } finally {
      asking = false;
    }
    recordButton.textContent = "Stop";
    say(`Recording. Speak for two to five seconds, then stop; after ${LONGEST} seconds it stops by itself.`);
  }

  // ---- the page

  const status = make("p", { class: "voice-status", role: "status" });
  const result = make("div", { class: "voice-result" });
  const recordButton = make("button", { type: "button", onclick: () => record().catch(error => say(`No recording: ${error.message}`)) }, "Record");
  // arrow keys pass through a closed list: only the voice that they stop at is heard
  let pending;
  const settle = then => { clearTimeout(pending); pending = setTimeout(then, 400); };
  const input = make("input", { type: "file", accept: "audio/*,.flac,.wav,.ogg,.mp3,.m4a,.opus", id: "voice-file", "aria-label": "Audio file", onchange: () => input.files[0] && hear(input.files[0], input.files[0].name) });
  const samples = make("select", { id: "voice-sample", onchange: () => settle(() => choose(samples.value)) }, make("option", { value: "" }, "load the list …"));
  const drop = make("div", { class: "voice-drop" },
    make("div", {}, recordButton),
    make("div", {}, make("label", { for: "voice-file" }, "or choose a file, or drop it here"), input),
    make("div", {}, make("label", { for: "voice-sample" }, "or take a synthetic voice"), samples));
  drop.addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) hear(file, file.name);
  });
  samples.addEventListener("focus", list);
  samples.addEventListener("pointerdown", list);
  root.append(drop, status, result);

  const say = text => { status.textContent = text; };

  function list() {
    return script("model").then(() => {
      if (samples.options.length > 1) return;
      samples.replaceChildren(make("option", { value: "" }, "choose …"), ...loaded.model.samples.map((each, i) => make("option", { value: i }, each.name)));
    }).catch(error => say(error.message));
  }

  function choose(value) {
    if (value === "") return;
    const sample = loaded.model.samples[value], data = Uint8Array.from(atob(sample.audio), letter => letter.charCodeAt(0));
    hear(new Blob([data]), `synthetic voice, ${sample.name}`);
  }

  let turn = 0, playing = "";
  async function hear(blob, name) {
    const own = ++turn;
    result.replaceChildren();
    URL.revokeObjectURL(playing);
    delete result.dataset.done;
    try {
      say(`Loading the model (once) and listening to ${name} …`);
      const data = await blob.arrayBuffer();
      const heard = await decode(data, name), cut = trimmed(heard);
      const run = await start(), began = performance.now();
      const found = await predict(run, cut.sound, async (done, all) => {
        await new Promise(resolve => setTimeout(resolve)); // let the page breathe
        if (own !== turn) throw new Error("another recording is listened to");
        say(`Listening to ${name}: ${done} of ${all} windows …`);
      });
      if (own !== turn) return;
      const took = (performance.now() - began) / 1000;
      const view = show(name, blob, heard, found);
      const order = found.mean.map((chance, i) => [chance, loaded.model.classes[i]]).sort((a, b) => b[0] - a[0]);
      const shares = order.map(([chance, label]) => `${label} ${Math.round(100 * chance)} %`).join(", ");
      say(`${name}: ${(heard.length / RATE).toFixed(1)} s, answered in ${took.toFixed(1)} s by this browser: ${shares}.${doubt(heard)}`);
      await follow(run, cut, view, () => own === turn);
    } catch (error) {
      if (own === turn) say(error.message);
    }
  }

  function show(name, blob, heard, found) {
    const { classes } = loaded.model, best = found.mean.indexOf(Math.max(...found.mean)), seconds = heard.length / RATE;
    const shares = classes.map(() => make("span", { class: "voice-share" })), fills = classes.map(label => make("span", { class: "voice-bar", style: `--colour:${COLOURS[label] ?? "#6a5acd"}` }));
    const bars = make("ul", { class: "voice-bars" }, ...classes.map((label, i) => make("li", {}, make("span", {}, label), fills[i], shares[i])));
    const fill = values => values.forEach((value, i) => {
      fills[i].style.setProperty("--share", `${100 * value}%`);
      shares[i].textContent = `${(100 * value).toFixed(1)} %`;
    });
    fill(found.mean);
    playing = URL.createObjectURL(blob);
    const player = make("audio", { controls: "", src: playing, "aria-label": name });
    const chart = shape("svg", { viewBox: "0 0 600 180", role: "img", preserveAspectRatio: "none", class: "voice-chart" });
    const head = shape("line", { x1: 0, x2: 0, y1: 0, y2: 180, class: "voice-head" });
    chart.append(head);
    const frame = make("div", { class: "voice-axes" }, make("span", { "aria-hidden": "true" }, "100 %"), chart, make("span", { "aria-hidden": "true" }, `${seconds.toFixed(1)} s`));
    const caption = make("figcaption", {}, "What the model would say of everything up to each moment, at most a clip's length back.");
    const many = found.networks.length, said = many > 1 ? [`${found.agree} of ${many} networks say so`] : [];
    if (found.windows > 1) said.push(`mean of ${found.windows} windows`);
    const whole = said.length ? ` (${said.join(", ")})` : "";
    result.replaceChildren(
      make("p", { class: "voice-answer" }, "Heard as ", make("strong", {}, classes[best]), whole),
      bars, player, make("figure", {}, frame, caption));
    result.dataset.probabilities = JSON.stringify(found.mean); // for tests, at full precision
    return { chart, head, player, fill, whole: found.mean, seconds, classes };
  }

  // the curve over time: drawn as it is computed, followed as the clip plays
  async function follow(run, { sound, begin }, view, current) {
    const padded = framed(sound), frames = frameCount(sound.length), clip = loaded.model.frames;
    const step = Math.max(25, Math.ceil(frames / POINTS)), ends = [];
    for (let end = Math.min(step, frames); end < frames; end += step) ends.push(end);
    ends.push(frames);
    const times = [], rows = [];
    const lines = view.classes.map(label => shape("polyline", { fill: "none", stroke: COLOURS[label] ?? "#6a5acd", "stroke-width": 3, "vector-effect": "non-scaling-stroke" }));
    view.chart.append(...lines);
    const at = () => rows.findLast((_, i) => times[i] <= view.player.currentTime + 0.01) ?? rows[0];
    view.player.addEventListener("timeupdate", () => {
      const x = 600 * view.player.currentTime / view.seconds;
      view.head.setAttribute("x1", x);
      view.head.setAttribute("x2", x);
      const ended = view.player.ended || view.player.currentTime === 0;
      view.fill(ended || !rows.length ? view.whole : at());
    });
    for (const end of ends) {
      await new Promise(resolve => setTimeout(resolve)); // let the page breathe
      if (!current()) return;
      rows.push((await run(piece(padded, Math.max(0, end - clip), end))).probabilities);
      times.push(Math.min(begin + end * HOP / RATE, view.seconds));
      lines.forEach((line, code) => line.setAttribute("points", rows.map((row, i) => `${600 * times[i] / view.seconds},${176 - 172 * row[code]}`).join(" ")));
    }
    const last = rows.at(-1), order = view.classes.map((_, i) => i).sort((a, b) => last[b] - last[a]);
    view.chart.setAttribute("aria-label", `Probabilities over time; at the end ${order.map(i => `${view.classes[i]} ${Math.round(100 * last[i])} percent`).join(", ")}`);
    result.dataset.done = "true";
  }
})();
