"""How much each number of ``face/tuning.py`` and ``reprojection/tuning.py`` matters: the PSNR of faces in films with it 20 % lower and higher.

python tests/bench/sweep_tuning.py FILMS RESULTS.json [--page PAGE.md]

FILMS is a folder of videos of one person each. The first frame is the portrait, the video drives it, and four frames of its second half are
the truth, as in ``mimaface evaluate``. Motions are tracked once, with the numbers as they are; portraits are opened, and fitted, anew only for
numbers that are read then. All numbers of a name are changed together, whole numbers by one at least. RESULTS.json gets each constant as
soon as it is measured, and a run continues with those that it lacks. One process; about three minutes a film on an idle core.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from mimaface.engines.pool import EnginePool
from mimaface.evaluation.films import MARGIN, FaceMeasures, Film, as_png, box, read_film
from mimaface.evaluation.metrics import psnr_and_ssim
from mimaface.face import networks
from mimaface.face import tuning as of_faces
from mimaface.face.portrait import Portrait
from mimaface.protocol.arrays import Array
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.base import Session
from mimaface.renderers.registry import RENDERERS
from mimaface.reprojection import tuning as of_reprojection

FACTORS = 0.8, 1.2
FRAMES, REFERENCES = 4, 2
SIZE = 256  # pixels of the longer side at which frames are drawn and compared
FIT, OPEN, DRAW = "fit", "open", "draw"  # when a number is read: as the portrait is fitted, as a session opens, in every frame
ROOMS = (of_reprojection, "reprojection"), (of_faces, "face")
VIDEOS = ".mp4", ".mov", ".webm", ".mkv"


@dataclass(frozen=True, eq=False)
class Case:
    """A film with what it is compared with: its true frames at SIZE and their faces' places; ``references`` of its portrait."""

    film: Film
    truths: list[Array]
    faces: list[tuple[slice, slice] | None]
    references: int
    portrait: Portrait
    session: Session

    @classmethod
    def of(cls, film: Film, references: int) -> Case:
        scale = SIZE / max(film.portrait.shape[:2])
        size = round(film.portrait.shape[1] * scale), round(film.portrait.shape[0] * scale)
        truths = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BOX)) for each in film.truth]
        found = [FaceMeasures.of(each) for each in film.truth]
        faces = [None if each is None else box(each.points * scale, MARGIN) for each in found]
        portrait = fitted(film, references)
        return cls(film, truths, faces, references, portrait, opened(portrait))

    def pictures(self, stage: str) -> list[Array]:
        """The film's frames with the tuning as it is now, from a portrait that is fitted anew, opened anew, or as it was."""
        portrait = fitted(self.film, self.references) if stage == FIT else self.portrait
        session = self.session if stage == DRAW else opened(portrait)
        return [each.image for each in session.shot(self.film.motion, 0, {}) if each is not None][1:]

    def psnr(self, pictures: list[Array]) -> float:
        """PSNR in dB of the faces, the mean of the frames that have one."""
        values = [
            psnr_and_ssim(picture[face], truth[face], "")["psnr"]
            for picture, truth, face in zip(pictures, self.truths, self.faces)
            if face is not None
        ]
        return float(np.mean(values))


def fitted(film: Film, references: int) -> Portrait:
    return Portrait.open(as_png(film.portrait), references=[as_png(each) for each in film.references[:references]])


def opened(portrait: Portrait) -> Session:
    return RENDERERS["proxy"].open(portrait, RenderSettings(engine="proxy", size=SIZE), EnginePool())


def constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Each constant of a tuning with its section, in the order of the file; ``KERNELS.crown`` for a field of the kernels' tuple."""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    headings = {
        number: line[6:].split(":")[0].split(".")[0]
        for number, line in enumerate(text.splitlines(), 1)
        if line.startswith("# --- ")
    }
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            section = headings[max(number for number in headings if number < node.lineno)]
            names = [each.id for each in ast.walk(node.targets[0]) if isinstance(each, ast.Name)]
            yield from ((name, section) for name in names if name not in ("SAMPLE_MARGINS", "KERNELS"))
    if hasattr(module, "KERNELS"):
        yield from ((f"KERNELS.{field}", "kernels") for field in module.KERNELS._fields)


def bound_at_import(module: ModuleType) -> set[str]:
    """Constants that other modules read once, when they are imported, so that they cannot be changed in a process."""
    found: set[str] = set()
    for path in Path(str(module.__file__)).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(each)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            for part in node.body
            for each in ast.walk(part)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "tuning"
                and id(node) not in inside
            ):
                found.add(node.attr)
            if isinstance(node, ast.ImportFrom) and node.module == "tuning":
                found |= {each.name for each in node.names}
    return found


def scaled(value: Any, factor: float) -> Any:
    """A number, or all numbers of a tuple or an array, by a factor."""
    if isinstance(value, tuple):
        return tuple(scaled(each, factor) for each in value)
    if isinstance(value, int):
        return round(value * factor) if round(value * factor) != value else value + (1 if factor > 1 else -1)
    return value * factor


def put(module: ModuleType, name: str, change: Callable[[Any], Any]) -> Callable[[], None]:
    """Changes a constant; returns what restores it."""
    whole = name.split(".")[0]
    old = getattr(module, whole)
    new = old._replace(**{name[8:]: change(getattr(old, name[8:]))}) if "." in name else change(old)
    setattr(module, whole, new)
    forget(module)

    def restore() -> None:
        setattr(module, whole, old)
        forget(module)

    return restore


def forget(module: ModuleType) -> None:
    """Empties the caches that hold what was computed with a tuning's numbers: those of its package."""
    package = module.__name__.rpartition(".")[0] + "."
    for each in gc.get_objects():
        if (
            type(each).__name__ == "_lru_cache_wrapper"
            and each.__module__.startswith(package)
            and each.__module__ != networks.__name__
        ):
            each.cache_clear()


def names_read(module: ModuleType, case: Case) -> dict[str, str]:
    """The constants of a tuning that a case reads, with the first stage that does."""
    found: dict[str, str] = {}

    class Recording(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            found.setdefault(name, stage)
            return super().__getattribute__(name)

    forget(module)
    stage = FIT
    module.__class__ = Recording
    portrait = fitted(case.film, case.references)
    stage = OPEN
    session = opened(portrait)
    stage = DRAW
    list(session.shot(case.film.motion, 0, {}))
    module.__class__ = ModuleType
    return found


def sweep(film: Film, results: dict[str, Any], save: Callable[[], None]) -> None:
    """Measures each constant that ``results`` lack for this film, with the portrait alone, or with references where only those read it."""
    cases = [Case.of(film, 0), Case.of(film, REFERENCES)]
    plain = [case.pictures(FIT) for case in cases]
    print(
        f"{film.name}: {', '.join(f'{case.psnr(pictures):.2f} dB' for case, pictures in zip(cases, plain))} unchanged", flush=True
    )
    for module, folder in ROOMS:
        read, bound = [names_read(module, case) for case in cases], bound_at_import(module)
        for name, section in constants(module):
            row = results.setdefault(f"{folder}.{name}", {"section": section, "state": "", "films": {}})
            if film.name in row["films"]:
                continue
            which = next((place for place in range(len(cases)) if name.split(".")[0] in read[place]), None)
            if name in bound or which is None:
                row["state"] = "bound at import" if name in bound else row["state"] or "not read"
                continue
            stage = read[which][name.split(".")[0]]
            row["state"] = "with references" if which else "alone"
            row["films"][film.name] = [changed(module, name, factor, stage, cases[which], plain[which]) for factor in FACTORS]
            save()
            print(f"{folder}.{name:24}", *cells(row), flush=True)
    save()


def changed(module: ModuleType, name: str, factor: float, stage: str, case: Case, plain: list[Array]) -> dict[str, Any]:
    """PSNR less that of the ``plain`` pictures, and the largest change of a pixel from them, in levels of 0–255."""
    restore = put(module, name, lambda value: scaled(value, factor))
    try:
        pictures = case.pictures(stage)
    except Exception as error:  # a percentile above 100, say: the table says so
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        restore()
    levels = max(int(np.abs(one.astype(int) - two).max()) for one, two in zip(pictures, plain))
    return {"psnr": case.psnr(pictures) - case.psnr(plain), "levels": levels}


def cells(row: dict[str, Any]) -> list[str]:
    """The mean change in dB and the furthest of a film, lower and higher; the largest change of a pixel; films."""
    films = list(row["films"].values())
    if not films:
        return ["", "", "", row["state"]]
    texts = []
    for each in zip(*films):
        values = [change["psnr"] for change in each if "psnr" in change]
        texts.append(f"{np.mean(values):+.3f} ({max(values, key=abs):+.3f})" if len(values) == len(each) else "fails")
    levels = max(change.get("levels", 0) for film in films for change in film)
    return [*texts, str(levels), f"{len(films)}{' with references' if row['state'] == 'with references' else ''}"]


def page(results: dict[str, Any]) -> str:
    """The table in Markdown of the constants that there are, by room and section."""
    lines = ["| constant | −20 %, dB | +20 %, dB | levels | films |", "|---|---|---|---|---|"]
    section = ""
    for module, folder in ROOMS:
        for name, of in constants(module):
            if (heading := f"{folder}: {of}") != section:
                lines.append(f"| **{(section := heading)}** | | | | |")
            row = results.get(f"{folder}.{name}", {"films": {}, "state": "not measured"})
            lines.append(f"| `{name.removeprefix('KERNELS.')}` | {' | '.join(cells(row))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder of videos")
    parser.add_argument("results", type=Path, help="JSON file, which an earlier run may have begun")
    parser.add_argument("--page", type=Path, help="Markdown file: its text up to the first table stays, the table is made anew")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results.exists() else {}

    def save() -> None:
        options.results.write_text(json.dumps(results, indent=1), encoding="utf-8")

    films = [path for path in sorted(options.films.iterdir()) if path.suffix.lower() in VIDEOS]
    if not films:
        sys.exit(f"{options.films} holds no videos ({', '.join(VIDEOS)}): give a folder with some")
    for path in films:
        sweep(read_film(path, FRAMES, REFERENCES), results, save)
    if options.page:
        text = options.page.read_text(encoding="utf-8").split("\n| ")[0] if options.page.exists() else ""
        options.page.write_text(f"{text}\n{page(results)}", encoding="utf-8")


if __name__ == "__main__":
    main()
