"""Explanatory drawings of the network and of the pooling. They need no records.

Every function returns a matplotlib figure of what the package itself computes, or a table of it.
`sercore.report.figures.data_drawings` draws the data and the front end, `sercore.report.figures.loss_drawings` the losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from ...config import POOLED
from ...corpora.base import LABELS
from ...evidence.claims import GAIN
from ...frontend import log_mel
from ...network import pooling
from ...network.model import FILTERS, SERModel
from ..tables import title
from .plots import CLASS_COLOURS, COOL, HEAT, MUTED, WARM, family_colour

SIGNED = LinearSegmentedColormap.from_list("signed", [COOL, "#f2efe9", WARM])


def example(samples: np.ndarray, clip_seconds: float) -> tuple[Tensor, Tensor]:
    """One waveform (samples,) as the network's input: (1, frames, mels) cut or padded, (1,) frames before the padding."""
    mels = log_mel.log_mel(samples)
    x = np.full((1, log_mel.clip_frames(clip_seconds), log_mel.MELS), log_mel.PADDING, dtype=np.float32)
    length = min(len(mels), x.shape[1])
    x[0, :length] = mels[:length]
    return torch.from_numpy(x), torch.tensor([length])


# ---- the network


@torch.inference_mode()
def activations(model: SERModel, x: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
    """What each stage hands on for x (1, frames, mels), without the batch: stage -> tensor, in the model's order."""
    caught = {"input": x[0]}
    hooks = [
        block.register_forward_hook(lambda _module, _given, made, name=f"CNN {number}": caught.update({name: made[0][0]}))
        for number, block in enumerate(model.blocks, start=1)
    ]
    model.eval()
    try:
        hidden, last, mask = model.hidden(x, lengths)
    finally:
        for hook in hooks:
            hook.remove()
    deep = model.pooling(hidden, last, mask)
    weights = model.pooling.weights(hidden, last, mask)
    return caught | {"BLSTM": hidden[0], "attention": weights[0], "deep feature": deep[0], "scores": model(x, lengths)[0]}


def layers(model: SERModel, x: Tensor, lengths: Tensor | None = None) -> pd.DataFrame:
    """One row a stage: `stage`, `operations`, `output` (shape for x), `step_ms` (one step in time) and `parameters`."""
    caught, config = activations(model, x, lengths), model.config
    rows: list[tuple[str, str, str, nn.Module | None]] = [("input", "log-Mel energies", "frames × mels", None)]
    for number, (block, filters) in enumerate(zip(model.blocks, FILTERS, strict=True), start=1):
        does = f"3 × 3 convolution, {filters} filters" + (", 2 × 2 pooling" if block.pool else "")
        rows.append((f"CNN {number}", does, "channels × frames × mels", block))
    merge = {"concat": "side by side", "sum": "summed"}[config.lstm_merge]
    pooled = {"attentive": "weighted mean (eq. 4)", "combined": "weighted mean and deviation (eq. 4, 5)"}[config.pooling]
    scores = "scaled cosines" if config.loss.startswith("ams") else "linear layer"
    rows += [
        ("BLSTM", f"{config.lstm_cells} cells in each direction, {merge}", "steps × channels", model.blstm),
        ("attention", f"{config.score} score with the last hidden state, softmax over time", "steps", model.pooling),
        ("deep feature", pooled, "features", None),
        ("scores", scores, "classes", model.head),
    ]
    table = []
    for stage, operations, axes, module in rows:
        shape = tuple(caught[stage].shape)
        sizes = dict(zip(axes.split(" × "), shape, strict=True))
        steps = sizes.get("frames", sizes.get("steps"))
        output = " × ".join(f"{size} {name}" for name, size in sizes.items())
        step = x.shape[1] // steps * 1000 // log_mel.FRAMES_PER_SECOND if steps else None
        table.append((stage, operations, output, step, 0 if module is None else _trainable(module)))
    frame = pd.DataFrame(table, columns=["stage", "operations", "output", "step_ms", "parameters"])
    return frame.astype({"step_ms": "Int64"})


def _trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def network(model: SERModel, x: Tensor, lengths: Tensor | None = None, labels: Sequence[str] = LABELS) -> Figure:
    """The paper's Figure 1 from the model itself: shape, content for x (1, frames, mels) and parameters of each stage."""
    caught, table = activations(model, x, lengths), layers(model, x, lengths)
    picture = {stage: 0.14 + 0.015 * content.shape[-1] for stage, content in caught.items()}
    picture |= {"BLSTM": 0.7, "attention": 0.42, "deep feature": 0.18, "scores": 0.3}
    pitch = {stage: max(height, 0.5) + 0.28 for stage, height in picture.items()}
    bottom = sum(pitch.values()) - 0.2
    figure = plt.figure(figsize=(5.0, bottom), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 5.0), ylim=(bottom, 0))
    axes.axis("off")
    left, right, text, edge = 0.05, 2.2, 2.55, 4.95
    ends = np.cumsum([pitch[stage] for stage in table["stage"]]) - 0.2
    widest, end = table["parameters"].max(), 0.0
    for row, below in zip(table.itertuples(), ends, strict=True):
        height, middle = picture[row.stage], below + 0.06 - pitch[row.stage] / 2
        if row.stage != "input":
            points = ((left + right) / 2, middle - height / 2 - 0.1), ((left + right) / 2, end + 0.03)
            axes.annotate("", *points, arrowprops=dict(arrowstyle="-|>", color=MUTED, shrinkA=0, shrinkB=0))
        end = middle + height / 2
        _draw_stage(axes, row.stage, caught, (left, right), (middle - height / 2, end), model, labels)
        sizes = row.output.replace(" × ", ", ", 1) if row.stage.startswith("CNN") else row.output
        axes.text(text, middle - 0.14, row.stage, fontweight="bold", fontsize=12, va="center")
        axes.text(text, middle + 0.07, sizes.replace(" frames", "").replace(" mels", ""), fontsize=10.5, va="center")
        if row.parameters:
            axes.text(edge, middle - 0.14, f"{row.parameters:,}", fontsize=10.5, va="center", ha="right")
            axes.add_patch(
                Rectangle((text, middle + 0.2), (edge - text) * row.parameters / widest, 0.05, color=COOL, linewidth=0)
            )
    return figure


def _draw_stage(
    axes: Axes,
    stage: str,
    caught: dict[str, Tensor],
    x: tuple[float, float],
    y: tuple[float, float],
    model: SERModel,
    labels: Sequence[str],
) -> None:
    """One stage's content between x and y (inches): channels as sheets, states and features as colours, weights as bars."""
    content, (left, right), (top, bottom) = caught[stage].numpy(), x, y
    place, width = np.linspace(left, right, len(content) + 1)[:-1], (right - left) / len(content)
    if stage == "BLSTM":
        halves = np.split(content.T, 2) if model.config.lstm_merge == "concat" else [content.T]
        edges = np.linspace(top, bottom, len(halves) + 1)
        for half, start, end, arrow in zip(halves, edges, edges[1:], ("-|>", "<|-"), strict=False):
            _image(axes, half, (left, right - 0.22), (start + 0.02, end - 0.02), SIGNED)
            ends = (right + 0.04, (start + end) / 2), (right - 0.2, (start + end) / 2)
            axes.annotate("", *ends, arrowprops=dict(arrowstyle=arrow, color=MUTED, shrinkA=0, shrinkB=0))
    elif stage == "attention":
        axes.bar(place, -content / content.max() * (bottom - top), 0.8 * width, bottom, align="edge", color=WARM, linewidth=0)
    elif stage == "deep feature":
        _image(axes, content[None], x, y, SIGNED)
    elif stage == "scores":
        for start, label in zip(place, labels, strict=True):
            colour = CLASS_COLOURS.get(label, MUTED)
            axes.add_patch(Rectangle((start + 0.02, top), width - 0.04, bottom - top, color=colour, linewidth=0))
            axes.text(start + width / 2, (top + bottom) / 2, label, ha="center", va="center", color="white", fontsize=9)
    else:
        sheets = 1 if stage == "input" else content.shape[0] // 32
        for sheet in range(sheets - 1, 0, -1):
            corner = left + 0.035 * sheet, top - 0.035 * sheet
            axes.add_patch(
                Rectangle(corner, right - left - 0.11, bottom - top, facecolor="#4a2c6b", edgecolor="#d9c2ea", linewidth=0.5)
            )
        image = content.T if stage == "input" else content.mean(0).T
        _image(axes, image, (left, right - 0.11 if sheets > 1 else right), y, HEAT)


def _image(axes: Axes, values: np.ndarray, x: tuple[float, float], y: tuple[float, float], colours: str | Colormap) -> None:
    """(rows, columns) as coloured cells that fill x and y, the first row at the bottom."""
    low, high = np.percentile(values, (1, 99))
    if colours is SIGNED:
        low, high = -np.abs(values).max(), np.abs(values).max()
    image = axes.pcolorfast(np.array(x), np.array(y[::-1]), values, cmap=colours, vmin=low, vmax=high)
    image.set_zorder(2)


def readings(counts: Mapping[str, int], stated: Mapping[str, int]) -> Figure:
    """Parameter counts of the readings of the paper (name -> trainable parameters) beside the counts that it states."""
    figure, axes = plt.subplots(figsize=(5.1, 0.9 + 0.36 * len(counts)), layout="constrained")
    low = 0.97 * min([*counts.values(), *stated.values()])
    for row, count in enumerate(counts.values()):
        axes.plot([low, count], [row, row], color=MUTED, linewidth=1)
        axes.plot(count, row, "o", color=COOL, markersize=8)
        axes.annotate(f"{count:,}", (count, row), (7, 0), textcoords="offset points", va="center", fontsize="small")
    for name, count in stated.items():
        axes.axvline(count, color=WARM, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(name, (count, -0.75), (4, 0), textcoords="offset points", color=WARM, fontsize="small", va="center")
    axes.set(xlim=(low, 1.06 * max(counts.values())), ylim=(len(counts) - 0.4, -1.1))
    axes.set_yticks(range(len(counts)), list(counts))
    axes.set_xlabel("trainable parameters")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f}K")
    axes.grid(False, axis="y")
    return figure


def reported(table: pd.DataFrame, counts: Sequence[int]) -> Figure:
    """The paper's Table 2 (`paper.table_2`), with what chance alone does to a UA over so many utterances of each class.

    The bands are 95 % intervals of the mean of equal recalls; another seed would move a dot further still.
    """
    figure, axes = plt.subplots(figsize=(5.1, 5.2), layout="constrained")
    baseline = table.loc[table["slug"] == "baseline", "ua"].item()
    for row in table.itertuples():
        colour = family_colour(row.slug)
        share = row.ua / 100
        error = 196 * np.sqrt(share * (1 - share) * (1 / np.asarray(counts)).sum()) / len(counts)
        axes.plot([row.ua - error, row.ua + error], [row.Index] * 2, color=colour, linewidth=7, alpha=0.22)
        axes.plot(row.ua, row.Index, "o", color=colour, markersize=7)
        axes.plot(row.wa, row.Index, "d", color=colour, markerfacecolor="none", markersize=6)
    axes.axvline(baseline, color=MUTED, linewidth=1)
    axes.axvline(baseline + GAIN, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(f"+{GAIN:g}", (baseline + GAIN, -0.9), ha="center", va="bottom", fontsize="small", annotation_clip=False)
    axes.annotate("baseline", (baseline, -0.9), ha="center", va="bottom", fontsize="small", annotation_clip=False)
    axes.set_yticks(range(len(table)), [title(slug).partition(" (")[0] for slug in table["slug"]])
    axes.set_ylim(len(table) - 0.4, -0.8)
    axes.set_xlabel("on IEMOCAP (%): ● UA with its band, ◇ WA")
    axes.grid(False, axis="y")
    return figure


def learning(history: pd.DataFrame) -> Figure:
    """One training, epoch by epoch (`records.read_history`): losses and the accuracy on the part that chooses."""
    figure, (losses, accuracy) = plt.subplots(1, 2, figsize=(5.1, 2.6), layout="constrained")
    losses.plot(history["epoch"], history["train_loss"], "-o", color=MUTED, label="training")
    losses.plot(history["epoch"], history["chooser_loss"], "-s", color=COOL, label="validation")
    losses.legend()
    accuracy.plot(history["epoch"], 100 * history["chooser_wa"], "-s", color=COOL)
    best = history.loc[history["chooser_wa"].idxmax()]
    accuracy.plot(best["epoch"], 100 * best["chooser_wa"], "o", markersize=13, markerfacecolor="none", color=WARM)
    accuracy.annotate(
        "kept", (best["epoch"], 100 * best["chooser_wa"]), (0, 10), textcoords="offset points", ha="center", color=WARM
    )
    accuracy.set_ylim(0, 100)
    for axes, name in ((losses, "loss"), (accuracy, "accuracy (%)")):
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


# ---- the pooling


def attention(models: Mapping[str, SERModel], x: Tensor, lengths: Tensor) -> Figure:
    """Log-Mel energies x (1, frames, mels), and under them the attention weights of each model (by name) over time."""
    count = len(models)
    figure, panels = plt.subplots(
        1 + count, figsize=(5.1, 2 + 1.3 * count), sharex=True, height_ratios=[1.5] + [1] * count, layout="constrained"
    )
    seconds, step = x.shape[1] / log_mel.FRAMES_PER_SECOND, 2**POOLED / log_mel.FRAMES_PER_SECOND
    panels[0].imshow(
        x[0].T, origin="lower", aspect="auto", extent=(0, seconds, 0, log_mel.MELS), cmap=HEAT, interpolation="nearest"
    )
    panels[0].set(title="log-Mel energies", yticks=[])
    for axes, (name, model) in zip(panels[1:], models.items(), strict=True):
        with torch.inference_mode():
            weights = model.eval().attention(x, lengths)[0].numpy()
        place = np.arange(len(weights)) * step
        speech = place < lengths.item() / log_mel.FRAMES_PER_SECOND
        axes.bar(place, 100 * weights, 0.92 * step, align="edge", color=np.where(speech, WARM, MUTED), linewidth=0)
        axes.axhline(100 / len(weights), color=COOL, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set(title=name, ylabel="weight (%)")
    panels[-1].set_xlabel("time (s)")
    return figure


def spread(sequences: Mapping[str, Sequence[float]]) -> Figure:
    """One hidden channel over time for each name, with what eq. 4 and eq. 5 make of it under equal weights."""
    figure, panels = plt.subplots(1, len(sequences), figsize=(5.1, 2.5), sharey=True, layout="constrained")
    for axes, (name, sequence), colour in zip(panels, sequences.items(), (COOL, WARM), strict=False):
        hidden = torch.tensor(sequence, dtype=torch.float32)[None, :, None]
        weights = torch.full((1, hidden.shape[1]), 1 / hidden.shape[1])
        mean = pooling.weighted_mean(hidden, weights)
        mu, sigma = mean.item(), pooling.weighted_deviation(hidden, weights, mean).item()
        axes.axhspan(mu - sigma, mu + sigma, color=colour, alpha=0.18, linewidth=0)
        axes.axhline(mu, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.plot(hidden[0, :, 0], "-o", color=colour, markersize=4)
        axes.set_title(f"{name}\nμ = {mu:.2f}   σ = {sigma:.2f}")
        axes.set_xlabel("step")
    panels[0].set_ylabel("hidden state")
    return figure


@torch.inference_mode()
def padding_effect(models: Mapping[str, SERModel], samples: np.ndarray, clip_seconds: Sequence[float]) -> pd.DataFrame:
    """What padding one waveform (samples,) to other lengths changes: one row a model (by name) and length.

    `padding_share` of the attention lies on steps without speech; `feature_change` is the cosine distance of the deep
    feature to that of the first length; `probability_change` is the largest change of a class probability since then.
    """
    rows = []
    for name, model in models.items():
        first = None
        for seconds in clip_seconds:
            x, length = example(samples, seconds)
            weights, deep = model.eval().attention(x, length)[0], model.features(x, length)
            probabilities = model(x, length).softmax(-1)
            first = first or (deep, probabilities)
            speech = -(-length.item() // 2**POOLED)
            rows.append(
                {
                    "model": name,
                    "clip_seconds": seconds,
                    "padding_share": weights[speech:].sum().item(),
                    "feature_change": 1 - torch.cosine_similarity(deep, first[0]).item(),
                    "probability_change": (probabilities - first[1]).abs().max().item(),
                }
            )
    return pd.DataFrame(rows)


def padding(effect: pd.DataFrame) -> Figure:
    """Draw `padding_effect`: the attention that padding takes, and how far the class probabilities move."""
    figure, panels = plt.subplots(1, 2, figsize=(5.1, 2.7), layout="constrained")
    shown = {"padding_share": "attention on padding (%)", "probability_change": "change in points"}
    for axes, (column, label) in zip(panels, shown.items(), strict=True):
        for (name, rows), colour, marker in zip(effect.groupby("model", sort=False), (WARM, COOL), "os", strict=False):
            axes.plot(rows["clip_seconds"], 100 * rows[column], "-", marker=marker, color=colour, label=name)
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("padded to (s)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
