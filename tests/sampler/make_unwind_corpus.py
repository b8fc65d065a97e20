#!/usr/bin/env python3
"""Writes the seeds of unwind_fuzz: a well-formed .eh_frame_hdr and .eh_frame, one file for each kind of row.

Usage: make_unwind_corpus.py DIRECTORY
"""
import pathlib
import struct
import sys

LENGTH = 64  # bytes of code that the one function has


def record(body: bytes, id_field: int) -> bytes:
    body = struct.pack("<I", id_field) + body
    body += b"\0" * (-(len(body) + 4) % 8)
    return struct.pack("<I", len(body)) + body


def module(augmentation: bytes, program: bytes) -> bytes:
    """One CIE and one FDE behind a header whose table has one entry; the function begins 4 KiB after the header."""
    header_size = 4 + 4 + 4 + 8
    cie = record(b"\x01" + augmentation + b"\0" + b"\x01\x78\x10\x01\x1b" + b"\x0c\x07\x08\x90\x01", 0)
    fde_at = header_size + len(cie)
    begin = 4096
    fde = record(struct.pack("<iI", begin - (fde_at + 8), LENGTH) + b"\0" + program, fde_at + 4 - header_size)
    header = struct.pack("<BBBBiI", 1, 0x1B, 0x03, 0x3B, header_size - 4, 1) + struct.pack("<ii", begin, fde_at)
    return header + cie + fde


PROGRAMS = {
    "leaf": (b"zR", b""),
    "push": (b"zR", b"\x41\x0e\x10\x86\x02\x43\x0d\x06\x0a\x0c\x07\x08\x0b"),
    "plt": (b"zR", b"\x0e\x10\x46\x0e\x18\x4a\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22"),
    "realigned": (b"zR", b"\x45\x0c\x0a\x00\x49\x10\x06\x02\x76\x00\x44\x0f\x03\x76\x78\x06\x10\x03\x02\x76\x68"),
    "signal": (b"zRS", b"\x0f\x04\x77\xa0\x01\x06\x10\x10\x03\x77\xa8\x01\x10\x06\x03\x77\xf8\x00"),
    "root": (b"zR", b"\x07\x10"),
    "registers": (b"zR", b"\x09\x03\x0c\x14\x06\x02\x15\x0d\x7e\x11\x0c\x7d\x05\x0f\x04\x2e\x10\x16\x0e\x02\x77\x08"),
    "arithmetic": (b"zR", b"\x0f\x10\x77\x00\x38\x08\x10\x16\x1c\x22\x23\x00\x31\x28\x01\x00\x96\x96"),
}


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    stack = b"".join(struct.pack("<Q", 0x401000 + i) for i in range(16))
    for name, (augmentation, program) in PROGRAMS.items():
        body = module(augmentation, program)
        head = struct.pack("<iHH", 4096 + LENGTH - 1, len(stack), 8)
        (directory / name).write_bytes(head + body + stack)


if __name__ == "__main__":
    main()
