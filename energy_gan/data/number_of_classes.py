"""How many classes a user's own data have, for a config that is composed before they are read."""

from pathlib import Path

from energy_gan.data.folder import find_images
from energy_gan.data.partly_labelled import with_labels
from energy_gan.data.table_files import read_table
from energy_gan.data.text import Text

UNKNOWN = 10  # of data without labels, of which nobody asks


def of_table(path: str, label_column: int | str | None) -> int:
    """Of a table's column of labels."""
    if label_column is None:
        return UNKNOWN
    return len(with_labels(read_table(path), label_column, path).classes)


def of_text(path: str, label_column: int | str | None, text_column: int | str | None, header: int) -> int:
    """Of a text's."""
    if label_column is None:
        return UNKNOWN
    text = Text(path, [1], label_column=label_column, text_column=text_column, header=header)
    return len({label for label in text.sentences()[0].labels if label is not None})


def of_folder(root: str, outside: bool) -> int:
    """The folders of the first level that hold images."""
    names = find_images(Path(root), outside)[0] if Path(root).is_dir() else []
    return len({name.partition("/")[0] for name in names if "/" in name}) or UNKNOWN
