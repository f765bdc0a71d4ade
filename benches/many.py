"""Bars of many keys as one CSV: many.py KEYS MONTHS ROWS, so many rows a month, from 2017-01 on."""
import sys

keys, months, rows = map(int, sys.argv[1:])
out = sys.stdout
out.write("key,time,close\n")
for key in range(keys):
    for month in range(months):
        day = f"{2017 + month // 12}-{month % 12 + 1:02}-03"
        for row in range(rows):
            close = 100 + (key * 7 + month * 13 + row * row) % 97 / 100
            out.write(f"k{key:05},{day} {row // 60:02}:{row % 60:02}:00,{close}\n")
