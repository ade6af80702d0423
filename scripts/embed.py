#!/usr/bin/python3
"""embed.py INPUT OUTPUT NAME: writes a C file with the bytes of INPUT as NAME[] and NAME_size."""
import sys
from pathlib import Path

BYTES_A_LINE = 16


def main(source, target, name):
    data = Path(source).read_bytes()
    lines = ["#include <stddef.h>\n", f"extern const char {name}[];",
             f"extern const size_t {name}_size;\n", f"const char {name}[] = {{"]
    for at in range(0, len(data), BYTES_A_LINE):
        piece = data[at:at + BYTES_A_LINE]
        lines.append("    " + " ".join(f"{byte - 256 * (byte > 127)}," for byte in piece))
    lines.append(f"}};\nconst size_t {name}_size = {len(data)};\n")
    Path(target).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
