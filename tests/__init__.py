"""The monitor's tests; run them with ``python -m tests`` or ``python -m twisted.trial tests``."""

import os
from pathlib import Path

from hypothesis import settings

# Trial changes the folder for every run. Hypothesis keeps what makes it fast, and the examples
# that failed, where the next run finds them.
_STORAGE = Path(__file__).parents[1] / ".hypothesis"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(_STORAGE))

# Whether something holds does not depend on how long it takes on a busy machine.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")
