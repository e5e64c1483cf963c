"""Explanatory drawings of the losses: a margin as an angle, a focus as a curve, and what both make of a toy problem.

The toy problem has invented points on the plane of valence and arousal, and a small network with a deep feature of
length 2, so that what a loss does to features can be seen. Its losses are those of `sercore.network.losses`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Arc, Circle, Wedge
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parameters_to_vector

from ...config import Config
from ...corpora.base import LABELS
from ...evidence import geometry
from ...lab import systems
from ...network.engines.adam import Adam
from ...network.losses import LOSSES, AdditiveMargin, Softmax, focal_loss
from ...network.model import SERModel
from .plots import CLASS_COLOURS, MUTED

CENTRES = {"angry": (-0.7, 0.75), "happy": (0.75, 0.65), "sad": (-0.65, -0.7), "neutral": (0.15, -0.05)}
"""Where the toy problem puts each class: (valence, arousal)."""

STEPS, RATE = 300, 0.004
SHADES = ("#f0b429", "#d9822b", "#d1495b", "#9a5fb0")


@dataclass(frozen=True)
class Toy:
    """A trained toy: its deep features (points, 2), their classes (points,), its accuracy and its logits layer."""

    features: Tensor
    labels: Tensor
    accuracy: float
    head: Softmax | AdditiveMargin

    @property
    def geometry(self) -> dict[str, float]:
        """Cosine distance `within` and `between` classes, and their `ratio`."""
        return geometry.within_between(self.features.numpy(), self.labels.numpy())


def points(scatter: float, number: int = 70) -> tuple[Tensor, Tensor]:
    """The toy problem: (points, 2) valence and arousal, (points,) classes; `number` invented points a class."""
    labels = torch.arange(len(LABELS)).repeat_interleave(number)
    centres = torch.tensor([CENTRES[label] for label in LABELS])
    return centres[labels] + scatter * torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(0)), labels


def train_toy(system: str, scatter: float = 0.18, seed: int = 0) -> Toy:
    """Train the toy network (two hidden layers of 32, a feature of 2) under the loss of a system, by its slug."""
    x, labels = points(scatter)
    config = systems.config(system)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
        head = cast("Softmax | AdditiveMargin", LOSSES[config.loss](2, len(LABELS), config))
    optimiser = Adam([*body.parameters(), *head.parameters()], RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        head(body(x), labels).backward()
        optimiser.step()
    with torch.inference_mode():
        deep = body(x)
        accuracy = (head.scores(deep).argmax(-1) == labels).float().mean().item()
    return Toy(deep, labels, accuracy, head.requires_grad_(False))


def toy_table(named: Mapping[str, str], scatters: Sequence[float], seeds: int = 3) -> pd.DataFrame:
    """Toys of each loss (name -> slug) and scatter, averaged over seeds: `accuracy` (%), `within`, `between`, `ratio`."""
    rows = []
    for scatter, (name, slug) in itertools.product(scatters, named.items()):
        toys = [train_toy(slug, scatter, seed) for seed in range(seeds)]
        measured = pd.DataFrame([{"accuracy": 100 * toy.accuracy, **toy.geometry} for toy in toys]).mean()
        rows.append({"loss": name, "scatter": scatter, **measured})
    return pd.DataFrame(rows)


def toy_problem(scatters: Sequence[float]) -> Figure:
    """The invented points of the toy problem on the plane of valence and arousal, one panel a scatter."""
    figure, panels = plt.subplots(1, len(scatters), figsize=(5.1, 2.9), sharex=True, sharey=True, layout="constrained")
    for axes, scatter in zip(panels, scatters, strict=True):
        x, labels = points(scatter)
        for index, label in enumerate(LABELS):
            axes.plot(*x[labels == index].T, "o", color=CLASS_COLOURS[label], markersize=3.6, alpha=0.75, markeredgewidth=0)
        axes.set(title=f"scatter {scatter:g}", xlabel="valence", aspect="equal")
        axes.grid(False)
    panels[0].set_ylabel("arousal")
    _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], marker="o", linestyle="", color=CLASS_COLOURS[label], label=label) for label in LABELS]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handletextpad=0.1, columnspacing=1.4)


def loss_plane(toys: Mapping[str, Toy]) -> Figure:
    """Deep features of each trained toy (name -> toy) in the regions that its logits layer decides on.

    Arrows are the class weights; the ticks on the rim are the features' directions alone.
    """
    rows = -(-len(toys) // 2)
    figure, panels = plt.subplots(rows, 2, figsize=(5.1, 2.75 * rows), squeeze=False, layout="constrained")
    for axes, (name, toy) in zip(panels.flat, toys.items(), strict=True):
        rim = 1.04 * toy.features.norm(dim=-1).max()
        grid = torch.linspace(-1.1, 1.1, 241) * rim
        regions = toy.head.scores(torch.cartesian_prod(grid, grid)).argmax(-1).reshape(len(grid), len(grid)).T
        for index, label in enumerate(LABELS):
            style = dict(color=CLASS_COLOURS[label], alpha=0.75)
            region = axes.contourf(grid, grid, regions == index, levels=[0.5, 1.5], colors=[CLASS_COLOURS[label]], alpha=0.2)
            region.set_clip_path(Circle((0, 0), 1.06 * rim, transform=axes.transData))
            own = toy.features[toy.labels == index]
            axes.plot(*own.T, "o", markersize=3, markeredgewidth=0, clip_on=False, **style)
            ends = rim * torch.tensor([1.0, 1.06, torch.nan])
            axes.plot(*(normalize(own, dim=-1)[:, None] * ends[:, None]).reshape(-1, 2).T, linewidth=0.8, **style)
            tip = 0.6 * rim * normalize(toy.head.weight[index], dim=0)
            arrow = dict(arrowstyle="-|>", color=CLASS_COLOURS[label], linewidth=2, shrinkA=0, shrinkB=0)
            axes.annotate("", tuple(tip.tolist()), (0, 0), arrowprops=arrow)
        axes.set(xlim=(-1.1 * rim, 1.1 * rim), ylim=(-1.1 * rim, 1.1 * rim), aspect="equal", title=name)
        axes.axis("off")
    _legend(figure)
    return figure


def margin(margins: Sequence[float] = (0.1, 0.2, 0.4), between: float = 90.0) -> Figure:
    """AMS between two classes whose weights stand `between` degrees apart: the ground that each margin keeps empty."""
    figure, axes = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
    half = np.radians(between / 2)
    for label, side in (("angry", 1), ("happy", -1)):
        angle = np.pi / 2 + side * half
        tip = np.cos(angle), np.sin(angle)
        style = dict(arrowstyle="-|>", color=CLASS_COLOURS[label], linewidth=2.4, shrinkA=0, shrinkB=0)
        axes.annotate("", tip, (0, 0), arrowprops=style)
        axes.text(
            1.1 * tip[0],
            1.06 * tip[1],
            f"$W_{{\\rm {label}}}$",
            parse_math=True,
            ha="center",
            va="bottom",
            color=CLASS_COLOURS[label],
            fontsize=13,
        )
    for number, m in enumerate(sorted(margins, reverse=True)):
        # cos(half - t) - cos(half + t) = 2 sin(half) sin(t) = m at t from the bisector
        edge = np.degrees(np.arcsin(m / (2 * np.sin(half))))
        reach = 0.95 - 0.2 * number
        axes.add_patch(Wedge((0, 0), reach, 90 - edge, 90 + edge, color=MUTED, alpha=0.3, linewidth=0))
        axes.text(
            0, reach - 0.03, f"m = {m:g}\n{2 * edge:.0f}°", ha="center", va="top", fontsize=9, fontweight="bold", linespacing=1.1
        )
    axes.add_patch(Arc((0, 0), 2, 2, theta1=90 - between / 2, theta2=90 + between / 2, color=MUTED, linewidth=1))
    axes.set(xlim=(-1.0, 1.0), ylim=(-0.06, 1.16), aspect="equal")
    axes.axis("off")
    return figure


def margin_curves(scales: Sequence[float] = (10.0, 30.0), margins: Sequence[float] = (0.0, 0.1, 0.2, 0.4)) -> Figure:
    """The AMS loss of one utterance against the angle to its class's weight, two classes 90 degrees apart."""
    figure, panels = plt.subplots(1, len(scales), figsize=(5.1, 2.7), sharey=True, layout="constrained")
    degrees = torch.linspace(0, 90, 181)
    feature = torch.stack([degrees.deg2rad().cos(), degrees.deg2rad().sin()], dim=-1)
    for axes, scale in zip(panels, scales, strict=True):
        for m, shade in zip(margins, SHADES, strict=True):
            head = AdditiveMargin(2, 2, Config(loss="ams", scale=scale, margin=m))
            with torch.no_grad():
                head.weight.copy_(torch.eye(2))
                scores = head.margin_scores(feature, torch.zeros(len(feature), dtype=torch.long))
            axes.plot(degrees, -scores.log_softmax(-1)[:, 0], color=shade, label=f"m = {m:g}")
        axes.axvline(45, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(title=f"s = {scale:g}", xlabel="angle to own class (°)", ylim=(0, 12), xticks=(0, 30, 45, 60, 90))
    panels[0].set_ylabel("loss")
    panels[0].legend()
    return figure


def focal_curves(gammas: Sequence[float] = (0.0, 2.0, 5.0)) -> Figure:
    """The focal loss of one utterance, and the size of its gradient, against the probability of its true class."""
    figure, panels = plt.subplots(1, 2, figsize=(5.1, 2.7), layout="constrained")
    p = torch.linspace(0.005, 0.995, 199)
    for gamma, shade in zip(gammas, (MUTED, "#d9822b", "#9a5fb0"), strict=False):
        score = torch.logit(p).requires_grad_()
        scores = torch.stack([score, torch.zeros_like(score)], dim=-1)
        labels = torch.zeros(1, dtype=torch.long)
        losses = torch.stack([focal_loss(row[None], labels, gamma) for row in scores])
        (gradient,) = torch.autograd.grad(losses.sum(), score)
        name = f"γ = {gamma:g}"
        panels[0].plot(p, losses.detach(), color=shade, label=name)
        panels[1].plot(p, gradient.abs(), color=shade)
    panels[0].set(title="loss", ylim=(0, 5))
    panels[1].set(title="gradient", ylim=(0, None))
    for axes in panels:
        axes.set_xlabel("probability of own class")
    panels[0].legend()
    return figure


def scaled_steps(
    models: Sequence[SERModel], x: Tensor, labels: Tensor, optimiser: str, steps: int = 8, rate: float = 1e-4
) -> pd.DataFrame:
    """Train copies of one network side by side on one batch, and compare their paths to that of the first.

    Each model starts with equal weights and draws the same dropout. Columns: `step`, `model` (its index), `moved` (the
    length of the way from the start) and `apart` (the distance to the first model's weights). `optimiser` is "Adam" (as
    in training) or "SGD".
    """
    makers: dict[str, Callable[[list[nn.Parameter]], Any]] = {
        "Adam": lambda weights: Adam(weights, rate, eps=1e-7),
        "SGD": lambda weights: torch.optim.SGD(weights, rate),
    }
    optimisers = [makers[optimiser](_trained(model)) for model in models]
    start, rows = parameters_to_vector(_trained(models[0])).detach().clone(), []
    with torch.random.fork_rng(devices=[]):
        for step in range(1, steps + 1):
            for model, stepper in zip(models, optimisers, strict=True):
                torch.manual_seed(step)
                stepper.zero_grad()
                model.train().loss(x, labels).backward()
                stepper.step()
            places = [parameters_to_vector(_trained(model)).detach() for model in models]
            for index, place in enumerate(places):
                moved, apart = (place - start).norm().item(), (place - places[0]).norm().item()
                rows.append({"step": step, "model": index, "moved": moved, "apart": apart})
    return pd.DataFrame(rows)


def _trained(model: SERModel) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
