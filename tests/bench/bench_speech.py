"""Speech without and with its words, on sentences that espeak-ng and flite speak with known phones: lips shut at p, b and m, lips shut
where none is, and the timing of visemes.

The constants of ``drivers/speech`` were chosen on the sentences and voices "chosen on" alone. Sentences are Harvard's (IEEE 1969) and some more.
Needs ``apt-get install espeak-ng flite``.

python tests/bench/bench_speech.py [OUTPUT.json]
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import report

from mimaface.drivers import ReadingSettings, open_motion
from mimaface.drivers.speech.phones import Phone, phones_of
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import PARTING
from mimaface.protocol.motion import MotionClip

# the blendshape whose peak dates a viseme; for PP it is lip closure
PEAKS = {
    "FF": "mouthRollLower",
    "U": "mouthPucker",
    "O": "mouthFunnel",
    "CH": "mouthFunnel",
    "aa": "jawOpen",
    "I": "mouthStretchLeft",
}
NEAR = 0.06  # seconds around a p, b or m in which shut lips are meant for it
QUIET = 28.0  # decibels below the loudest in which a stop's closure is silent: espeak-ng counts it to the phone before
CHOSEN = """\
The birch canoe slid on the smooth planks.
Glue the sheet to the dark blue background.
It's easy to tell the depth of a well.
These days a chicken leg is a rare dish.
Rice is often served in round bowls.
The juice of lemons makes fine punch.
The box was thrown beside the parked truck.
The hogs were fed chopped corn and garbage.
Four hours of steady work faced us.
A large size in stockings is hard to sell.
The boy was there when the sun rose.
A rod is used to catch pink salmon.
The source of the huge river is the clear spring.
Kick the ball straight and follow through.
Help the woman get back to her feet.
A pot of tea helps to pass the evening.
Smoky fires lack flame and heat.
The soft cushion broke the man's fall.
The salt breeze came across from the sea.
The girl at the booth sold fifty bonds.
The small pup gnawed a hole in the sock.
The fish twisted and turned on the bent hook.
Press the pants and sew a button on the vest.
The swan dive was far short of perfect.
The beauty of the view stunned the young boy.
Two blue fish swam in the tank.
Her purse was full of useless trash.
The colt reared and threw the tall rider.
It snowed, rained, and hailed the same morning.
Read verse out loud for pleasure.
Hoist the load to your left shoulder.
Take the winding path to reach the lake.
Note closely the size of the gas tank.
Wipe the grease off his dirty face.
Mend the coat before you go out.
The wrist was badly strained and hung limp.
The stray cat gave birth to kittens.
The young girl gave no clear response.
The meal was cooked before the bell rang.
What joy there is in living.
Please bring me an umbrella and a map of the museum, because it might rain tomorrow.
Number five, maybe somebody else can improve the problem.
""".splitlines()
HELD_OUT = """\
A king ruled the state in the early days.
The ship was torn apart on the sharp reef.
Sickness kept him home the third week.
The wide road shimmered in the hot sun.
The lazy cow lay in the cool grass.
Lift the square stone over the fence.
The rope will bind the seven books at once.
Hop over the fence and plunge in.
The friendly gang left the drug store.
Mesh wire keeps chicks inside.
The frosty air passed through the coat.
The crooked maze failed to fool the mouse.
Adding fast leads to wrong sums.
The show was a flop from the very start.
A saw is a tool used for making boards.
The wagon moved on well oiled wheels.
March the soldiers past the next hill.
A cup of sugar makes sweet fudge.
Place a rosebush near the porch steps.
Both lost their lives in the raging storm.
We talked of the side show in the circus.
Use a pencil to write the first draft.
He ran half way to the hardware store.
The clock struck to mark the third period.
A small creek cut across the field.
Cars and busses stalled in snow drifts.
The set of china hit the floor with a crash.
This is a grand season for hikes on the road.
The dune rose from the edge of the water.
Those words were the cue for the actor to leave.
A yacht slid around the point into the bay.
The two met while playing on the sand.
The ink stain dried on the finished page.
The walled town was seized without a fight.
The lease ran out in sixteen weeks.
A tame squirrel makes a nice pet.
The horn of the car woke the sleeping cop.
The heart beat strongly and with firm strokes.
The pearl was worn in a thin silver ring.
The fruit peel was cut in thick slices.
Perhaps the company will publish a better number by the beginning of September.
My mother remembers the summer when a bear jumped over the bridge.
""".splitlines()
ESPEAK = {
    "chosen on": (CHOSEN, ["gmw/en-US", "gmw/en", "gmw/en-US+f2", "gmw/en-GB-scotland", "gmw/en-029+m3", "gmw/en-GB-x-gbcwmd"]),
    "held out": (
        HELD_OUT,
        ["gmw/en-GB-x-rp", "gmw/en-US+m7", "gmw/en-US+f4", "gmw/en-GB-x-gbclan", "gmw/en-US-nyc", "gmw/en+f3"],
    ),
}
FLITE = {"flite, chosen on": (CHOSEN[::2], ["kal16", "rms"]), "flite, held out": (HELD_OUT[::2], ["slt", "awb"])}
Spoken = tuple[
    Array, int, list[tuple[float, float, str]]
]  # samples (N,) in 16 bit, their rate, and phones by begin and end in seconds


class _Event(ctypes.Structure):
    """espeak-ng's espeak_EVENT; the phone's name are the eight bytes of its union."""

    _fields_ = [
        ("type", ctypes.c_int), ("id", ctypes.c_uint), ("text", ctypes.c_int), ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8),
    ]  # fmt: skip


class Espeak:
    """Speaks by espeak-ng's library, which tells the sample at which each phone begins."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(2, 0, None, 3)  # into memory; events of phones, in IPA
        self._pieces, self._events = list[Array](), list[tuple[int, str]]()
        self._callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))(
            self._heard
        )
        self._library.espeak_SetSynthCallback(self._callback)

    def _heard(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if samples and count:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == 7:  # a phone
                self._events.append((events[index].sample, events[index].name.decode("utf-8", "replace")))
            index += 1
        return 0

    def speak(self, text: str, voice: str, words_a_minute: int) -> Spoken:
        self._pieces, self._events = [], []
        assert self._library.espeak_SetVoiceByName(voice.encode()) == 0, f"espeak-ng has no voice {voice}"
        self._library.espeak_SetParameter(1, words_a_minute, 0)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._pieces)
        ends = [*(sample for sample, _ in self._events[1:]), len(samples)]
        phones = [(begin / self._rate, end / self._rate, name) for (begin, name), end in zip(self._events, ends) if end > begin]
        return samples, self._rate, _with_closures(samples, self._rate, phones)


def _with_closures(samples: Array, rate: int, phones: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Returns ``phones`` without pauses, with stops that begin where the silence before them does."""
    step = rate // 200
    level = 10 * np.log10(np.square(samples[: len(samples) // step * step].reshape(-1, step).astype(float)).mean(axis=1) + 1)
    quiet, found = level < np.percentile(level, 95) - QUIET, list[tuple[float, float, str]]()
    for begin, end, name in phones:
        first = int(begin * 200)
        while found and name[0:1] in tuple("pbtdkɡ") and first > begin * 200 - 20 and quiet[first - 1]:
            first -= 1
        if found and first / 200 < begin:
            begin = max(first / 200, found[-1][0] + 0.02)
            found[-1] = (found[-1][0], min(found[-1][1], begin), found[-1][2])
        if name.strip("_ ː;|"):
            found.append((begin, end, name))
    return found


def flite(text: str, voice: str, path: Path) -> Spoken:
    command = ["flite", "-voice", voice, "-t", text, "-psdur", "-o", str(path)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    with wave.open(str(path)) as sound:
        samples, rate = np.frombuffer(sound.readframes(sound.getnframes()), np.int16), sound.getframerate()
    names, ends = [each.split(":")[0] for each in listed], [float(each.split(":")[1]) for each in listed]
    return samples, rate, [(begin, end, name) for begin, end, name in zip([0.0, *ends], ends, names) if name != "pau"]


def joined(spoken: list[Spoken]) -> Spoken:
    """Returns sentences of one rate, with half a second of silence after each, as one."""
    rate, parts, phones, now = spoken[0][1], list[Array](), list[tuple[float, float, str]](), 0
    for samples, _, found in spoken:
        parts += [samples, np.zeros(rate // 2, np.int16)]
        phones += [(now / rate + begin, now / rate + end, name) for begin, end, name in found]
        now += len(samples) + rate // 2
    return np.concatenate(parts), rate, phones


def parted(clip: MotionClip) -> Array:
    """Returns the lip opening (T,) as a share of what mouthClose at 1 closes."""
    shares = clip.blendshapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values()))
    return np.asarray(shares - clip.blendshapes[:, BLENDSHAPE_INDEX["mouthClose"]])


def judged(clip: MotionClip, known: list[Phone]) -> tuple[int, int, int, list[float]]:
    """Returns how many p, b and m have shut lips, how many there are, how often lips shut without one, and the errors of visemes in seconds."""
    gap, lips, late = parted(clip), [phone for phone in known if phone.viseme == "PP"], list[float]()
    shut = sum(bool((gap[(clip.time >= each.begin - 0.02) & (clip.time <= each.end + 0.02)] <= 0.01).any()) for each in lips)
    visemes = [*clip.meta["visemes"], ["sil", clip.meta["seconds"], 1.0]]
    closures = [(begin, following[1]) for (name, begin, _), following in zip(visemes, visemes[1:]) if name == "PP"]
    wrong = sum(not any(begin < each.end + NEAR and end > each.begin - NEAR for each in lips) for begin, end in closures)
    for phone in known:
        middle = (phone.begin + phone.end) / 2
        near = np.flatnonzero(np.abs(clip.time - middle) < 0.15)
        sign = -gap if phone.viseme == "PP" else clip.blendshapes[:, BLENDSHAPE_INDEX[PEAKS.get(phone.viseme, "jawOpen")]]
        if phone.viseme in (*PEAKS, "PP") and len(near) and np.ptp(sign[near]) > 1e-3:
            late.append(float(np.abs(clip.time[near[sign[near] >= sign[near].max() - 1e-3]] - middle).min()))
    return shut, len(lips), wrong, late


def measured(
    sentences: list[str], voices: list[str], speak: Callable[[str, str, int], Spoken], english: bool
) -> dict[str, float | int]:
    counts, late, seconds, spent = np.zeros(3, int), list[float](), 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for index, voice in enumerate(voices):
            spoken = [speak(text, voice, place) for place, text in enumerate(sentences[index :: len(voices)])]
            samples, rate, phones = joined(spoken)
            path = Path(folder) / f"{index}.wav"
            with wave.open(str(path), "wb") as sound:
                sound.setparams((1, 2, rate, 0, "NONE", ""))
                sound.writeframes(samples.astype("<i2").tobytes())
            start = time.process_time()
            clip = open_motion(path, reading=ReadingSettings(rate=25))
            spent, seconds = spent + time.process_time() - start, seconds + len(samples) / rate
            known = [each for begin, end, name in phones for each in phones_of(name, begin, end, english)]
            *found, errors = judged(clip, known)
            counts, late = counts + found, late + errors
    shut, lips, wrong = counts.tolist()
    return {
        "p, b and m": lips, "shut %": round(100 * shut / lips, 1), "shut without one, per 100 p, b and m": round(100 * wrong / lips),
        "visemes off ms, median": round(1000 * float(np.median(late))), "processor s per s of sound": round(spent / seconds, 2),
    }  # fmt: skip


def main() -> None:
    espeak, found = Espeak(), dict[str, float | int | str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, (sentences, voices) in ESPEAK.items():
            rows = measured(
                sentences, voices, lambda text, voice, index: espeak.speak(text, voice, 150 + 20 * (index % 3)), False
            )
            found |= {f"{name}: {key}": value for key, value in rows.items()}
        for name, (sentences, voices) in FLITE.items():
            rows = measured(sentences, voices, lambda text, voice, _: flite(text, voice, Path(folder) / "flite.wav"), True)
            found |= {f"{name}: {key}": value for key, value in rows.items()}
    report("speech without its words", found)


if __name__ == "__main__":
    main()
