"""Data sets made here, as CSV of key, time and close, for the benchmarks that need partitions of another size than the reference ones; and the
reference workload twice, for those that need more of them."""

import shutil


def copy_twice(bars, directory):
    """The files of bars, and the same once more as those of other keys."""
    for pair in sorted(bars.glob("pair=*")):
        shutil.copytree(pair, directory / pair.name, dirs_exist_ok=True)
        shutil.copytree(pair, directory / f"{pair.name}_2", dirs_exist_ok=True)


def write_oversized(out):
    """Twenty-four keys of one month of 40,000 bars, a second apart, and one, the last, of sixteen times as many."""
    write_keys(out, [(f"key{at:02}", 40_000) for at in range(24)] + [("last", 640_000)])


def write_heavy(out):
    """Twenty-four such keys, and a last one whose partition takes more memory than all that came before."""
    write_keys(out, [(f"key{at:02}", 40_000) for at in range(24)] + [("last", 2_000_000)])


def write_short(out):
    """Twelve keys of five years of months of 1,344 bars, half an hour apart."""
    out.write("key,time,close\n")
    for key in range(12):
        for month in range(60):
            for bar in range(1344):
                stamp = f"{2013 + month // 12}-{month % 12 + 1:02}-{bar // 48 + 1:02} {bar // 2 % 24:02}:{bar % 2 * 30:02}:00"
                out.write(f"k{key:02},{stamp},{close(key, month * 1344 + bar)}\n")


def write_keys(out, keys):
    out.write("key,time,close\n")
    for at, (key, rows) in enumerate(keys):
        for row in range(rows):
            day, second = divmod(row, 86_400)
            stamp = f"2017-01-{day + 2:02} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
            out.write(f"{key},{stamp},{close(at, row)}\n")


def close(key, row):
    return 100 + (key * 7 + row * row % 9973) % 997 / 100


DATA = {"oversized": write_oversized, "heavy": write_heavy, "short": write_short}
