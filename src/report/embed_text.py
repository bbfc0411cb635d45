#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn a text file into a C string: embed_text.py SOURCE TARGET NAME"""
import sys


def main(source, target, name):
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    with open(target, "w", encoding="utf-8") as out:
        out.write(f"static const char {name}[] =\n")
        for line in lines:
            text = line.replace("\\", "\\\\").replace('"', '\\"')
            out.write(f'    "{text}\\n"\n')
        out.write("    ;\n")


main(*sys.argv[1:])
