"""What other programs make of our bytes: Wireshark and Kaitai Struct.

They are not of Python's world and have to be there: tshark, and Node with the packages `kaitai-struct-compiler` and
`js-yaml`. These tests run when they are asked for (`pytest tests/interop/check_*.py`), and always in CI.
"""
