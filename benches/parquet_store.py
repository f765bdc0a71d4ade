"""Runs into the Parquet store of ./bench.sh, and the same bytes written by the floor, measured alike."""

import statistics

from measured import MB, bytes_of, forget, measure


class ParquetStore:
    """The store fx below a directory that also holds rollfit.toml, and the program that writes bytes and does nothing else."""

    def __init__(self, directory, floor):
        self.config, self.floor = directory / "rollfit.toml", floor
        self.features, self.scratch = directory / "fx" / "features", directory / "floor"

    def run(self, program, *options, **environment):
        """A run into the store without features, after the disk has come to rest."""
        forget(self.features, self.scratch)
        measured = measure([program, "run", "--json", "--quiet", "--config", self.config, *options], **environment)
        told = measured.json()
        assert told["written"] == told["partitions"] > 0, measured.output
        return {
            "wall_s": measured.wall_s,
            "rows_per_s": told["rows"] / measured.wall_s,
            "processor_s": measured.processor_s / told["partitions"],
            "peak_bytes": measured.peak_bytes,
            "bytes": bytes_of(self.features),
            "workers": told["workers"],
            "rows": told["rows"],
        }

    def write_floor(self, held, rows, how, *sizes):
        """The files of `held`, or as many of its bytes as there are sizes, written by the floor."""
        forget(self.features, self.scratch)
        measured = measure([self.floor, held, self.scratch, how, *sizes])
        told = measured.json()
        return {
            "wall_s": told["seconds"],
            "rows_per_s": rows / told["seconds"],
            "processor_s": told["processor_s"] / told["partitions"],
            "peak_bytes": measured.peak_bytes,
            "bytes": told["bytes"],
            "workers": 2,
        }


def print_medians(blocks):
    """A table in Markdown: medians over the blocks, of seconds also the least and the most."""
    print("| | s | least to most | rows/s | processor time a partition | peak memory | written | workers |\n|---|---|---|---|---|---|---|---|")
    for name in blocks[0]:
        values = {key: [block[name][key] for block in blocks] for key in blocks[0][name]}
        median = {key: statistics.median(found) for key, found in values.items()}
        print(
            f"| {name} | {median['wall_s']:.2f} | {min(values['wall_s']):.2f} to {max(values['wall_s']):.2f} | {median['rows_per_s']:,.0f} "
            f"| {median['processor_s'] * 1e3:.1f} ms | {median['peak_bytes'] / MB:.0f} MB | {median['bytes'] / MB:,.0f} MB | {median['workers']:.0f} |"
        )
