"""Models in Hugging Face's conventions: `save_pretrained`, `from_pretrained` and `push_to_hub`, by huggingface_hub's own mixin.

    from sercore.inference.hub import HubModel
    HubModel("emodb").save_pretrained("folder")
    HubModel.from_pretrained("folder").predict(samples, rate)  # or "user/name", from the hub

Needs huggingface_hub; a folder alone needs nothing: `sercore.load_model("folder")`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import SercoreError
from . import models
from .prediction import Classifier

try:
    from huggingface_hub import ModelHubMixin, snapshot_download
except ImportError:
    raise SercoreError("this needs `pip install huggingface_hub`") from None


HOW = {"force_download", "token", "cache_dir", "local_files_only", "revision"}


class HubModel(Classifier, ModelHubMixin, library_name="sercore", tags=["speech-emotion-recognition"]):
    """`sercore.load_model` with the hub's methods; what they write is the folder that `sercore pack` writes."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, trim: bool | None = None, members: int | None = None, **how: Any
    ) -> HubModel:
        """The model of a folder, or of a repository `user/name` on the hub; `trim` and `members` as `sercore.load_model` has
        them, `how` as huggingface_hub has it. Raises `SercoreError` for what neither has."""
        if strange := sorted(set(how) - HOW):
            raise SercoreError(
                f"from_pretrained knows no {' and no '.join(strange)}: it takes trim, members, {', '.join(sorted(HOW))}"
            )
        name = str(pretrained_model_name_or_path)
        if not Path(name).is_dir() and (name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name):
            raise SercoreError(f"{name}: no such folder, and no repository of the hub is called so (those are user/name)")
        found: HubModel = super().from_pretrained(pretrained_model_name_or_path, trim=trim, members=members, **how)
        return found

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **how: Any) -> str | None:
        """Write the model's folder as `sercore pack` does, but for a card that is there; with `push_to_hub` to the hub too."""
        if self.model is None or os.path.realpath(save_directory) != os.path.realpath(self.model):
            return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **how)
        if not push_to_hub:  # it is there
            return None
        return str(self.push_to_hub(how.pop("repo_id", Path(save_directory).name), **how))

    def _save_pretrained(self, save_directory: Path) -> None:
        if self.members is not None:
            raise SercoreError(f"a model is saved with all of its networks, not {self.members} of them: load it without members")
        card = save_directory / models.CARD
        edited = card.read_bytes() if card.exists() else None
        models.pack(self.model, save_directory, runs=self.runs, over=True)
        if edited is not None:
            card.write_bytes(edited)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        trim: bool | None = None,
        members: int | None = None,
        **of_config: Any,  # what the mixin reads there, and the model does by itself
    ) -> HubModel:
        if Path(model_id).is_dir():
            return cls(model_id, trim=trim, members=members)
        folder = snapshot_download(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            allow_patterns=[*models.FILES, models.CARD],
        )
        return cls(folder, trim=trim, members=members)
