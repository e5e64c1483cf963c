"""The laboratory: `systems` by their names, `experiment` for one run and `training` inside it, `sweep` for many, `records` that
they leave, `study` for those that the plan asks for, `bundle` to train without audio, `pilot` that is to choose the rule,
`metrics`, `yardstick` for what linear models do, and `equal_weights` for whether the roads that compute a network agree."""

from .records import RunName
