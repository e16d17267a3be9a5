"""The numbers of `chat/1`, each with its reason."""

from __future__ import annotations

from typing import Final

# --- Limits --------------------------------------------------------------------------------------------------------

MAX_LINE: Final = 1000
"""bytes of a line: what people type, and not what programs send."""

MAX_SEEN: Final = 100
"""lines acknowledged at a time."""
