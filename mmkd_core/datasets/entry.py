"""What a named data set is: where it comes from, on what terms, which files it has, and what reads them.

Nothing heavy is imported here, nor by the files of the data sets, so that what only lists them does so at once.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A named data set; `title` is its name in prose.

    `forms` are the sets of files (name -> sha256) that it is known in; any one of them is the whole data set, and
    the first names what to put into a folder by hand. `layout` is that of the first form. A single form is read by it;
    of several the files tell the layout. A data set without forms is made, not read. `download` fills a folder with one
    of the forms; without it, each file of the first is fetched from below `source`, which then is an address.
    `loader` names the function of this package that gives the `Dataset`; it is called without arguments for one that is
    made, else with the folder and the data set's name. Its keyword-only parameters are the options of `load`. `folders`
    are names of folders, beside the data set's own, in which its files may lie: those of another made of the same.
    """

    title: str
    summary: str
    source: str
    terms: str
    layout: str
    forms: tuple[Mapping[str, str], ...] = ()
    download: Callable[[Path], None] | None = None
    loader: str = "layouts.load_folder"
    folders: tuple[str, ...] = ()

    @property
    def reader(self) -> Callable[..., Any]:
        """The function that `loader` names, imported when it is first asked for."""
        module, function = self.loader.split(".")
        return getattr(import_module(f"{__package__}.{module}"), function)

    @property
    def sums(self) -> dict[str, str]:
        """The sha256 of every known file."""
        return {file: sha256 for form in self.forms for file, sha256 in form.items()}

    def missing(self, folder: Path) -> list[str]:
        """What `folder` lacks of a form: of one that it holds whole nothing, else of the one it holds most of."""

        def held(form: Collection[str]) -> int:
            return sum((folder / file).is_file() for file in form)

        form = max(self.forms, key=lambda form: (held(form) == len(form), held(form)), default=())
        return [file for file in form if not (folder / file).is_file()]

    def present(self, folder: Path) -> list[str]:
        """The known files that `folder` holds."""
        return [file for file in self.sums if (folder / file).is_file()]
