"""Sound to features: `audio` reads recordings of any format as one channel at 16 kHz, `log_mel` makes 40 log-Mel energies of
every 10 ms and keeps them in the cache, `torchaudio_shim` imports torchaudio beside a PyTorch that it was not built for."""

from .audio import SAMPLE_RATE, read
