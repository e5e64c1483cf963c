"""`python -m sercore.lab FILE.bundle`: train from a bundle, where there is no audio and little software."""

import sys

from .bundle import main

sys.exit(main())
