"""SQL over a store: the views `runs`, `curves` and `measures`, which are the store's frames of these names.

What is nan in a frame, a failed evaluation among it, is NULL. DuckDB reads the Parquet curves of ended runs where they
stand, and of them only what a query needs; those of runs under way come from their journals. One SELECT is all that may
be asked: nothing is written, and no file but these curves can be read.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dfo_bench.errors import InputError
from dfo_bench.store.filenames import CURVE
from dfo_bench.store.store import Store

if TYPE_CHECKING:
    import duckdb

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_MAYBE_NAN = ("loss", "task_seconds", "optimizer_seconds")


def query(store: Store, sql: str) -> Iterator[tuple[Any, ...]]:
    """Yield the names of the columns, then the rows; raise InputError in one line for what cannot be answered."""
    try:
        import duckdb
    except ImportError as error:
        raise InputError("dfo-bench sql needs duckdb; install it with: pip install 'dfo-bench[sql]'") from error

    try:
        connection = duckdb.connect(config=_CLOSED)
        statements = connection.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise InputError(f"{sql!r} is not one SELECT, which is all that a store answers; write one")
        _add_views(connection, store)
        connection.execute(statements[0])
        yield tuple(name for name, *_ in connection.description)
        while rows := connection.fetchmany(10_000):
            yield from rows
    except duckdb.Error as error:
        raise InputError(f"{' '.join(str(error).split())}; the views are runs, curves and measures") from error


def _add_views(connection: "duckdb.DuckDBPyConnection", store: Store) -> None:
    """Make the views, then close the connection to everything else."""
    runs = store.runs()
    paths = {key: (store.path / key / CURVE).resolve() for key in runs["key"]}
    ended = [str(path) for path in paths.values() if path.exists()]
    under_way = store.curves([key for key, path in paths.items() if not path.exists()])
    for name, frame in {"runs": runs, "measures": store.measures(), "under_way": under_way}.items():
        connection.register(name, pa.Table.from_pandas(frame, preserve_index=False))
    union = "from under_way"
    if ended:
        connection.read_parquet(ended, filename=True).create_view("ended")
        # Parquet's statistics pass over nan, and so would a filter: DuckDB finds nothing where isnan(loss).
        null = ", ".join(f"nullif({name}, 'nan'::double) as {name}" for name in _MAYBE_NAN)
        columns = f"parse_path(filename)[-2] as key, * exclude (filename) replace ({null})"
        union += f" union all by name select {columns} from ended"
    connection.execute(f"create view curves as {union}")
    connection.execute("set allowed_paths = $1", [ended])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
