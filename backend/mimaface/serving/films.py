"""Films as the source of jobs: each is tracked once, its fits are kept in the store, and its frames are read from the user's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimaface.drivers.archives import ZIP
from mimaface.drivers.film import Film, film_digest, film_steps, pack_film, unpack_film
from mimaface.output.sound import has_sound
from mimaface.protocol.errors import InvalidInput, UnknownJob
from mimaface.protocol.people import apart
from mimaface.protocol.texts import shown

from .contents import parts_of
from .mesh import reference_picture
from .recent import Recent
from .store import Store

CACHED = 2  # films whose fits are kept in memory: 12 kB a frame


class Films:
    """The films of a store. Safe from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cached: Recent[str, Film] = Recent(CACHED)

    def follow(self, path: Path, face: int, progress: Any) -> Iterator[tuple[dict[str, Any], bytes] | None]:
        """Track a face through the film at ``path``; yields None after every step, then fields of ``film.open.reply`` and the first frame with
        that face as PNG, of at most ``REFERENCE_SIZE`` pixels."""
        film: Film | None = None
        for film in film_steps(path, face, 0.0, progress):
            if film is None:
                yield None
        assert film is not None
        identity = f"{film.sha256}-{face}-{self._store.put_portrait(pack_film(film))}"
        self._store.put_path(film.sha256, path.absolute())
        self._cached.drop(lambda name: name == identity)  # it may have been elsewhere
        first = min(film.fits)
        still = next(picture for index, picture in enumerate(film.frames()) if index == first)
        fields = {
            "film": identity, "frames": len(film), "rate": float(film.rate), "warnings": list(film.warnings),
            "sound": path.is_file() and has_sound(path),
        }  # fmt: skip
        yield fields, reference_picture(still.image)

    def film(self, identity: str) -> Film | None:
        """Returns the film of an id from :meth:`follow`; None for a photograph's id. Raises :class:`InvalidInput` for an invalid id."""
        found = self._cached.find(identity)
        if found is not None:
            return found
        people = apart(identity)
        name, _, listed = parts_of(people[0])
        kept = self._store.portrait(listed) if listed and len(people) == 1 else b""
        if not kept.startswith(ZIP):
            return None
        found = unpack_film(kept, self._store.path(name))
        self._cached.keep(identity, found)
        return found

    def unchanged(self, film: Film) -> Iterator[None]:
        """Checks that the file is unchanged since it was tracked, then yields one step. Raises :class:`UnknownJob` or :class:`InvalidInput`."""
        if not film.path.exists():
            raise UnknownJob(f"the film {shown(film.path)} is not there any more", "put it back, or load it again")
        if film_digest(film.path) != film.sha256:
            raise InvalidInput(f"the film {shown(film.path)} has changed since it was tracked", "load it again")
        yield None

    def forget(self) -> None:
        """Free memory."""
        self._cached.drop()
