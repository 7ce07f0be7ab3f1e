"""Preview window in Tk."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NotInstalled


class Window:
    """Shows a picture and a line of text below it; :meth:`keys` returns key presses. Use as a context manager."""

    def __init__(self, title: str) -> None:
        """Raises :class:`NotInstalled` without a display or Tk."""
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise NotInstalled(
                "this Python has no Tk, which shows windows", "install python3-tk, or write a film with --output"
            ) from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise NotInstalled(
                f"no window can be opened ({error})", "run it on a desktop, or write a film with --output"
            ) from error
        self._root.title(title)
        self._photo_class, self._gone = ImageTk.PhotoImage, False
        self._photo: Any = None  # the Tk image, of the current picture's size
        self._pressed: list[str] = []
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._line = tkinter.Label(self._root, anchor="w")
        self._line.pack(fill="x")
        self._root.bind("<Key>", lambda event: self._pressed.append(event.keysym.lower()))
        self._root.protocol("WM_DELETE_WINDOW", self._close)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def is_open(self) -> bool:
        """False after the user closed the window."""
        return not self._gone

    def show(self, image: Array | None, line: str) -> None:
        """Draws a picture (H, W, 3) uint8, or keeps the previous one for None, and a line of text; then processes window
        events."""
        if self._gone:
            return
        if image is not None:
            picture = Image.fromarray(np.ascontiguousarray(image))
            if self._photo is None or (self._photo.width(), self._photo.height()) != picture.size:
                self._photo = self._photo_class(picture)
                self._label.configure(image=self._photo)
            else:
                self._photo.paste(picture)
        self._line.configure(text=line)
        self._root.update()

    def keys(self) -> list[str]:
        """Returns the names of keys pressed since the last call, such as "n" and "escape"."""
        pressed, self._pressed = self._pressed, []
        return pressed

    def _close(self) -> None:
        if not self._gone:
            self._gone = True
            self._root.destroy()
