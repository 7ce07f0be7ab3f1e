"""XMP in PNG and MP4 files: the digital source type, for programs without content credentials."""

from __future__ import annotations

import struct
import uuid
import zlib
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from mimaface.protocol.errors import InvalidInput

# header of the iTXt chunk: not compressed, no language, no translation; XMP specification part 3
KEYWORD = b"XML:com.adobe.xmp\0\0\0\0\0"
BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes  # the MP4 box of XMP; same specification
FILMS = (".mp4", ".m4v", ".mov")  # suffixes of files that consist of such boxes
LARGEST = 1 << 20  # bytes of a packet that is read at most
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
XMP = "http://ns.adobe.com/xap/1.0/"


def packet(source_type: str, tool: str) -> bytes:
    """Returns an XMP packet with a picture's digital source type, a URI of the IPTC's list, and its creator tool."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" '
        f'xmlns:Iptc4xmpExt="{IPTC}" xmlns:xmp="{XMP}" '
        f'Iptc4xmpExt:DigitalSourceType="{escape(source_type)}" xmp:CreatorTool="{escape(tool)}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def into_png(content: bytes, xmp: bytes) -> bytes:
    """Returns a PNG file with the packet before its pixels."""
    place = content.index(b"IDAT") - 4
    body = b"iTXt" + KEYWORD + xmp
    return content[:place] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + content[place:]


def into_mp4(path: Path, xmp: bytes) -> None:
    """Appends the packet to a finished MP4 file."""
    with path.open("ab") as file:
        file.write(struct.pack(">I", 24 + len(xmp)) + b"uuid" + BOX + xmp)


def source_type_of(path: Path) -> str:
    """Returns the digital source type in the XMP of a picture or MP4 file, or "". Raises :class:`InvalidInput` for broken XMP."""
    found = _of_mp4(path) if path.suffix.lower() in FILMS else _of_picture(path)
    try:
        descriptions = ElementTree.fromstring(found).iter(f"{{{RDF}}}Description") if found else ()
        return next((value for item in descriptions if (value := item.get(f"{{{IPTC}}}DigitalSourceType"))), "")
    except ElementTree.ParseError as error:
        raise InvalidInput(f"{path.name}: its XMP cannot be read ({error})", "the file was changed since it was made") from error


def _of_picture(path: Path) -> bytes:
    with Image.open(path) as picture:
        found = picture.info.get("xmp", b"")
    return found if isinstance(found, bytes) and len(found) <= LARGEST else b""


def _of_mp4(path: Path) -> bytes:
    whole = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while place + 8 <= whole:
            file.seek(place)
            head = file.read(32)
            size, header = struct.unpack_from(">I", head)[0], 8
            if size == 1 and len(head) >= 16:
                size, header = struct.unpack_from(">Q", head, 8)[0], 16
            if head[4:8] == b"uuid" and head[header : header + 16] == BOX and size <= LARGEST:
                file.seek(place + header + 16)
                return file.read(size - header - 16)
            if size < header:  # size 0: up to the end of the file
                return b""
            place += size
    return b""
