"""The corpus of a target in one file: each input behind its length, four bytes, the least first. Ordered, so that it differs little."""

from pathlib import Path


def pack(folder: Path, file: Path) -> int:
    """Packs all inputs of a folder; how many."""
    inputs = sorted({path.read_bytes() for path in folder.iterdir()}, key=lambda one: (len(one), one))
    file.write_bytes(b"".join(len(one).to_bytes(4, "little") + one for one in inputs))
    return len(inputs)


def unpack(file: Path, folder: Path) -> int:
    """Writes each input into a file of its own; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    packed, at, count = file.read_bytes(), 0, 0
    while at < len(packed):
        length = int.from_bytes(packed[at : at + 4], "little")
        (folder / f"packed-{count:05}").write_bytes(packed[at + 4 : at + 4 + length])
        at, count = at + 4 + length, count + 1
    return count
