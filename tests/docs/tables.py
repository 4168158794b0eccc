"""The tables of columns in docs/table-format.md.

    python -m tests.docs.tables

writes them as the code has them; the tests compare.
"""

from __future__ import annotations

import re

import pyarrow as pa

import featurelib
from jobs.images.style import image_style
from jobs.table.metadata import RecordedSpec
from jobs.table.schema import error_schema, feature_schema, row_schema
from tests.docs.markdown import TOP

DOCUMENT = TOP / "docs" / "table-format.md"


def schemas() -> dict[str, pa.Schema]:
    """Return the schemas of parts, without columns of a spec's own."""
    spec = featurelib.get_spec("genre-v1")
    carried = pa.schema([])
    found = feature_schema(RecordedSpec.of(spec).schema, carried)
    fixed = [field for field in found if field.name not in featurelib.feature_names(spec)]
    own = [row_schema([column]).field(0) for column in image_style().columns]
    images = pa.schema([field for field in own if field.name not in featurelib.SIGNAL_COLUMNS])
    return {"features": pa.schema(fixed), "errors": error_schema(carried), "images": images}


def markdown(schema: pa.Schema) -> str:
    """Return the columns of a schema as a Markdown table."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for field in schema:
        unit, meaning = (field.metadata[key].decode() for key in (b"unit", b"description"))
        meaning = meaning.replace("|x|", "abs(x)")  # a bar ends a cell
        lines.append(f"| `{field.name}` | {field.type} | {unit} | {meaning} |")
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """Return the document with the tables as they are to be."""
    for name, schema in schemas().items():
        begin, end = rf"(<!-- {name}: [^\n]* -->\n)", r"(<!-- end -->)"
        table = markdown(schema).replace("\\", r"\\")
        text, n = re.subn(f"{begin}.*?{end}", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
        assert n == 1, name
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
