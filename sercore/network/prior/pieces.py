"""What several of the earlier systems are made of."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..model import time_mask


def counted(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The frames (batch,) of x (batch, frames, bands) that count: `lengths` within it, or all."""
    if lengths is None:
        return torch.full((len(x),), x.shape[1], device=x.device)
    return lengths.clamp(1, x.shape[1])


def recurrent(layer: nn.LSTM, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, frames, channels) through `layer`, each as long as it is: states (batch, frames, ...), and the last (batch,
    ...)."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, (last, _) = layer(packed)
    both = 2 if layer.bidirectional else 1
    return pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])[0], torch.cat(list(last[-both:]), dim=-1)


def attend(scores: Tensor, lengths: Tensor) -> Tensor:
    """Softmax over the frames that count: (batch, frames) -> the same, each row summing to 1."""
    return scores.masked_fill(~time_mask(lengths, scores.shape[1]), -torch.inf).softmax(1)


def even_segments(lengths: Tensor, longest: int) -> list[tuple[int, int, int]]:
    """Each utterance in equal parts of at most `longest` frames: (utterance, begin, end)."""
    found = []
    for number, length in enumerate(lengths.tolist()):
        parts = -(-length // longest)
        edges = [round(part * length / parts) for part in range(parts + 1)]
        found += [(number, begin, end) for begin, end in itertools.pairwise(edges)]
    return found


def cut(x: Tensor, segments: list[tuple[int, int, int]], longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `segments` of x (batch, frames, ...): (segments, longest, ...) with zeros behind, whose they are and how long."""
    out = x.new_zeros(len(segments), longest, *x.shape[2:])
    for row, (number, begin, end) in enumerate(segments):
        out[row, : end - begin] = x[number, begin:end]
    owner, sizes = ([segment[0] for segment in segments], [end - begin for _, begin, end in segments])
    return out, torch.tensor(owner, device=x.device), torch.tensor(sizes, device=x.device)


def mean_by_owner(values: Tensor, owner: Tensor, batch: int) -> Tensor:
    """The mean of values (segments, ...) over the segments of each utterance: (batch, ...)."""
    total = values.new_zeros(batch, *values.shape[1:]).index_add(0, owner, values)
    count = torch.bincount(owner, minlength=batch).to(values.dtype)
    return total / count.view(-1, *(1,) * (values.dim() - 1))


def log_of_mean(scores: Tensor, owner: Tensor, batch: int) -> Tensor:
    """Scores (batch, classes) whose softmax is the mean of that of the segments' scores (segments, classes)."""
    return mean_by_owner(scores.float().softmax(-1), owner, batch).clamp_min(torch.finfo(torch.float32).tiny).log()


def reduced(x: Tensor, precision: str) -> torch.autocast:
    """Where convolutions and matrices read and write bfloat16, if the configuration says so."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def mean_over(x: Tensor, lengths: Tensor) -> Tensor:
    """The mean over the frames that count: (batch, frames, channels) -> (batch, channels)."""
    mask = time_mask(lengths, x.shape[1])[:, :, None]
    return (x * mask).sum(1) / lengths[:, None]
