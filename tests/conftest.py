"""Hypothesis draws the same examples each time, unless HYPOTHESIS_PROFILE=explore asks for others."""

import os
import signal

from hypothesis import HealthCheck, settings

# Loaded machines are slow, and say nothing about the code: no deadlines.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that: those that tests interrupt
# have to hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
