"""The laboratory: `systems` by their names, `experiment` for one run and `training` inside it, `sweep` for many, `records` that
they leave, `bundle` to train without audio, `pilot` that chose the rule, `metrics`, and `yardstick` for what linear models do."""

from .records import RunName
