"""All cases, entered in `CASES` when this package is imported."""

from __future__ import annotations

from p2pwire_conformance.cases import cl as cl
from p2pwire_conformance.cases import dialling as dialling
from p2pwire_conformance.cases import en as en
from p2pwire_conformance.cases import extensions as extensions
from p2pwire_conformance.cases import fc as fc
from p2pwire_conformance.cases import fetching as fetching
from p2pwire_conformance.cases import fr as fr
from p2pwire_conformance.cases import fs as fs
from p2pwire_conformance.cases import hello as hello
from p2pwire_conformance.cases import hs as hs
from p2pwire_conformance.cases import identities as identities
from p2pwire_conformance.cases import ka as ka
from p2pwire_conformance.cases import keeping as keeping
from p2pwire_conformance.cases import own_record as own_record
from p2pwire_conformance.cases import pf as pf
from p2pwire_conformance.cases import pv as pv
from p2pwire_conformance.cases import px as px
from p2pwire_conformance.cases import rb as rb
from p2pwire_conformance.cases import sa as sa
from p2pwire_conformance.cases import several as several
from p2pwire_conformance.cases import st as st
from p2pwire_conformance.cases import telling as telling
from p2pwire_conformance.cases import tm as tm
from p2pwire_conformance.cases import topics as topics
from p2pwire_conformance.cases import tp as tp
from p2pwire_conformance.cases import tr as tr
from p2pwire_conformance.cases import transfer as transfer
from p2pwire_conformance.cases import ur as ur
from p2pwire_conformance.cases import vn as vn
