"""Where blocks rest: downloads into a directory or into memory, and files and folders that are shared.

`FileSystemStorage` and `MemoryStorage` are places for downloads; `scan`, `share_bytes` and `share_folder` make objects
of content. `interface` says what all of them have in common.
"""

from __future__ import annotations

from p2pwire.storage.errors import StorageError, StorageErrorKind
from p2pwire.storage.filesystem import FileSystemDownload, FileSystemStorage
from p2pwire.storage.interface import (
    BlockWrite,
    CachedContent,
    Content,
    Download,
    Progress,
    PromptDownload,
    ProvedBlock,
    ProvedRun,
    RecallingStorage,
    RunWrite,
    Shared,
    Skipped,
    Storage,
)
from p2pwire.storage.memory import MemoryFile, MemoryStorage, SharedMemory, share_bytes, share_folder
from p2pwire.storage.names import MACOS_NAMES, POSIX_NAMES, WINDOWS_NAMES, NameRules
from p2pwire.storage.scan import SharedFiles, scan
from p2pwire.storage.verify import Difference, Verification, verify

__all__ = [
    "Storage",
    "Download",
    "Content",
    "Shared",
    "ProvedBlock",
    "ProvedRun",
    "BlockWrite",
    "RunWrite",
    "Progress",
    "RecallingStorage",
    "CachedContent",
    "PromptDownload",
    "Skipped",
    "StorageError",
    "StorageErrorKind",
    "FileSystemStorage",
    "FileSystemDownload",
    "NameRules",
    "POSIX_NAMES",
    "WINDOWS_NAMES",
    "MACOS_NAMES",
    "MemoryStorage",
    "MemoryFile",
    "SharedMemory",
    "SharedFiles",
    "scan",
    "share_bytes",
    "share_folder",
    "verify",
    "Verification",
    "Difference",
]
