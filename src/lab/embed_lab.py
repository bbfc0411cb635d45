#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn a lab file into a C array, so that the built-in lab and the file are one and the same."""
import sys


def main(source, target):
    with open(source, "rb") as file:
        data = file.read()
    with open(target, "w", encoding="ascii") as out:
        out.write("static const char BUILTIN_LAB[] = {\n")
        for start in range(0, len(data), 16):
            out.write("    " + ", ".join(f"0x{byte:02x}" for byte in data[start : start + 16]) + ",\n")
        out.write("    0};\n")


main(sys.argv[1], sys.argv[2])
