#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn schema.sql into a C string; the line /*METRICS*/ becomes the columns of base/metrics.h."""
import sys

MARKER = "/*METRICS*/"


def main(source, target):
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if sum(line.strip() == MARKER for line in lines) != 1:
        sys.exit(f"{source}: expected exactly one line {MARKER}")
    with open(target, "w", encoding="utf-8") as out:
        out.write("static const char STORE_SCHEMA[] =\n")
        for line in lines:
            if line.strip() == MARKER:
                out.write("    METRIC_LIST(STORE_METRIC_COLUMN)\n")
            else:
                text = line.replace("\\", "\\\\").replace('"', '\\"')
                out.write(f'    "{text}\\n"\n')
        out.write("    ;\n")


main(sys.argv[1], sys.argv[2])
