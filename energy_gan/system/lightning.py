"""Lightning as a base that comes late: to load a run and to use it takes no Trainer, and seconds less."""

import sys
from functools import cache
from typing import Any, ClassVar


class TakesTrainer:
    """Where Lightning has been imported before, an instance is also of the class that a Trainer asks for.

    Attributes:
        of_lightning: that class's name in `lightning`.
        alone: the base in its place where Lightning has not been imported.
    """

    of_lightning: ClassVar[str]
    alone: ClassVar[type] = object

    def __new__(cls, *args: Any, **kwargs: Any):
        lightning = sys.modules.get("lightning")
        return super().__new__(_joined(cls, getattr(lightning, cls.of_lightning) if lightning else cls.alone))

    def __reduce__(self) -> tuple:
        """Pickled by the class that has a name, and made anew with Lightning or without."""
        return _blank, (vars(type(self)).get("named", type(self)),), self.__getstate__()


def _blank(cls: type) -> Any:
    return cls.__new__(cls)


@cache
def _joined(cls: type, base: type) -> type:
    """The class with one base more, behind its own."""
    if issubclass(cls, base):
        return cls
    return type(cls)(cls.__name__, (cls, base), {"__module__": cls.__module__, "named": cls})
