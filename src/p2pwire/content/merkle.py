"""Hash trees of files, in one place: hashing content, checking proofs, and the trees from which proofs are made."""

from __future__ import annotations

from p2pwire.content.hashing import (
    BLOCK,
    HASH,
    NO_ROOT,
    PADDING,
    SUBTREE_LEAVES,
    Leaves,
    TreeBuilder,
    block_count,
    block_length,
    leaf_hash,
    root_of_leaves,
    tree_height,
)
from p2pwire.content.proofs import ProofChecker, ProofError, Proved, proof_count
from p2pwire.content.tree import LeafPage, Tree, UnknownNodeError, leaf_page

__all__ = [
    "BLOCK",
    "HASH",
    "NO_ROOT",
    "PADDING",
    "SUBTREE_LEAVES",
    "block_count",
    "block_length",
    "tree_height",
    "leaf_hash",
    "root_of_leaves",
    "Leaves",
    "TreeBuilder",
    "proof_count",
    "Proved",
    "ProofError",
    "ProofChecker",
    "LeafPage",
    "leaf_page",
    "Tree",
    "UnknownNodeError",
]
