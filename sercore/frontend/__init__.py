"""Sound to features: `audio` reads recordings of any format as one channel at 16 kHz, `log_mel` makes 40 log-Mel energies of
every 10 ms, `front_ends` names these and those of earlier systems, `inputs` keeps what they make in the cache, and
`torchaudio_shim` imports torchaudio beside a PyTorch that it was not built for."""

from .audio import SAMPLE_RATE, read
