#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Put the page's files into a C header: embed.py TARGET NAME=PATH...

Each becomes a row of PAGE_FILES: its name, its type, its bytes, and its ETag (of its SHA-256)."""
import hashlib
import sys
from pathlib import Path

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


def numbers(data):
    for start in range(0, len(data), 24):
        yield ",".join(map(str, data[start:start + 24])) + ","


def main(target, *files):
    rows = []
    with open(target, "w", encoding="ascii") as out:
        out.write("struct page_file {\n    const char *name, *type, *tag;\n    const unsigned char *data;\n"
                  "    size_t length;\n};\n")
        for number, (name, path) in enumerate(file.split("=", 1) for file in files):
            data = Path(path).read_bytes()
            out.write(f"static const unsigned char PAGE_FILE_{number}[] = {{\n")
            out.writelines(line + "\n" for line in numbers(data))
            out.write("};\n")
            tag = hashlib.sha256(data).hexdigest()[:32]
            rows.append(f'    {{"{name}", "{TYPES[Path(name).suffix]}; charset=utf-8", "\\"{tag}\\"", PAGE_FILE_{number}, '
                        f"{len(data)}}},\n")
        out.write("static const struct page_file PAGE_FILES[] = {\n" + "".join(rows) + "};\n")


main(*sys.argv[1:])
