"""Evaluates an encrypted block by SQL through PySpark's Connect client: URL TOKEN_FILE FUNCTION BLOCK RESULT."""

import sys
from pathlib import Path

from pyspark.sql import SparkSession

url, token_file, function, block, result = sys.argv[1:]
token = Path(token_file).read_text().splitlines()[0].strip()
spark = SparkSession.builder.remote(f"{url}/;token={token}").create()
blocks = spark.createDataFrame([(1, bytearray(Path(block).read_bytes())), (2, None)], "number int, block binary")
blocks.createOrReplaceTempView("blocks")
rows = spark.sql(f"SELECT number, fhe.{function}(block) AS block FROM blocks ORDER BY number").collect()
assert rows[1].block is None, rows[1]
Path(result).write_bytes(rows[0].block)
header = spark.sql("SELECT d.* FROM (SELECT fhe.describe(block) AS d FROM blocks WHERE number = 1)").collect()[0]
print(header.kind, header.circuit, header.key, header.records)
print(*(row.function for row in spark.sql("CALL fhe.list()").collect()))
spark.stop()
