"""Profile likelihood of every parameter (Bates et al. 2015, section 5.1)."""

from __future__ import annotations

from mixeff.inference.profile.result import Profile
from mixeff.inference.profile.run import profile, profile_intervals

__all__ = ["Profile", "profile", "profile_intervals"]
