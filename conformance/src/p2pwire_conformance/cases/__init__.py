"""All cases, entered in `CASES` when this package is imported."""

from __future__ import annotations

from p2pwire_conformance.cases import sa as sa
from p2pwire_conformance.cases import vn as vn
from p2pwire_conformance.cases import hs as hs
from p2pwire_conformance.cases import en as en
