"""What the page "Try your voice" needs beside it: the package's model as ONNX, and onnxruntime-web to run it.

Both are written as scripts, because a browser that reads a site from a disk may load scripts but fetch nothing else.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path

from .. import corpora, places
from ..corpora import demo
from ..errors import SercoreError
from ..frontend import audio

FOLDER = "voice"
VERSION = "1.30.0"
URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
SAMPLES = 4
MADE_BY = (
    *("config.py", "corpora/demo.py", "corpora/espeak.py", "frontend/log_mel.py"),
    *("network/losses.py", "network/model.py", "network/pooling.py"),
    *("inference/export.py", "inference/models.py", "inference/pretrained", "publishing/voice.py"),
)
"""Files of this package, and folders of them, that decide what is written."""


def write(folder: Path) -> list[Path]:
    """Write `model.js` and `runtime.js` into `folder` where they are not up to date; the files.

    Raises `SercoreError` where onnxruntime-web is not in the cache and cannot be brought either.
    """
    package = Path(__file__).parents[1]
    decisive = [path for name in MADE_BY for path in (package / name, *sorted((package / name).rglob("*"))) if path.is_file()]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in decisive)).hexdigest()[:16]
    makers = {folder / "model.js": (key, _model), folder / "runtime.js": (VERSION, _runtime)}
    folder.mkdir(parents=True, exist_ok=True)
    for path, (mark, make) in makers.items():
        head = f"// {mark}\n"
        if not path.exists() or path.open(encoding="utf-8").readline() != head:
            partial = path.with_suffix(".partial")
            partial.write_text(f"{head}sercoreVoice.{path.stem} = {json.dumps(make())};\n", encoding="utf-8")
            partial.replace(path)
    return list(makers)


def html() -> str:
    """The component for the page."""
    return (
        f'<link rel="stylesheet" href="{FOLDER}/voice.css">'
        '<div class="sercore-voice"><noscript>This page needs JavaScript.</noscript></div>'
        f'<script src="{FOLDER}/voice.js" defer></script>'
    )


def _model() -> dict:
    # PyTorch is loaded where there is something to write
    from ..frontend.log_mel import clip_frames
    from ..inference import export, models

    trained = models.load()
    with tempfile.TemporaryDirectory() as temporary:
        onnx = export.export(Path(temporary) / "model.onnx", framed=True).read_bytes()
    return {
        "onnx": _packed(onnx),
        "classes": list(trained.classes),
        "frames": clip_frames(trained.config.clip_seconds),
        "samples": _samples(),
    }


def _samples() -> list[dict[str, str]]:
    """Synthetic recordings to begin with, one of each emotion, of different voices."""
    table = corpora.load("demo").sort_values(["label", "speaker", "sentence"])
    voices = table["speaker"].unique()
    chosen = [own[own["speaker"] == voices[3 * index]].iloc[index] for index, (_, own) in enumerate(table.groupby("label"))]
    return [
        {
            "name": f"made {row['label']}: “{demo.SENTENCES[int(row['sentence']) - 1]}”",
            "audio": base64.b64encode(Path(row["path"]).read_bytes()).decode(),
        }
        for row in chosen[:SAMPLES]
    ]


def _runtime() -> dict[str, str]:
    module, wasm = (path.read_bytes() for path in runtime_files())
    return {"module": module.decode(), "wasm": _packed(wasm)}


def runtime_files() -> list[Path]:
    """onnxruntime-web's module and its WebAssembly in the cache, brought from npm the first time."""
    from filelock import FileLock

    from ..corpora.fetch import download

    folder = places.made(places.cache_folder() / f"onnxruntime-web-{VERSION}")
    files = [folder / name for name in RUNTIME]
    with FileLock(folder / "lock"):
        if not all(path.exists() for path in files):
            archive = folder / "package.tgz"
            download(URL, archive, progress=False)
            if audio.digest(archive) != SHA256:
                archive.unlink()
                raise SercoreError(f"{URL} is not the file that was expected: its SHA-256 is another")
            with tarfile.open(archive) as opened:
                for path in files:
                    member = opened.extractfile(f"package/dist/{path.name}")
                    assert member is not None, path.name
                    partial = path.with_suffix(".partial")
                    partial.write_bytes(member.read())
                    partial.replace(path)
            archive.unlink()
    return files


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
