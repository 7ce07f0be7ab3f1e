"""Measurements of models: ``mimaface evaluate`` on held-out shards or films, ``ablate`` of a model's parts, ``golden`` against reference values."""

from __future__ import annotations

import argparse
import logging
from itertools import islice
from pathlib import Path
from typing import Any

from mimaface.optional import imports
from mimaface.protocol.driver_files import FILMS, ends
from mimaface.protocol.errors import InvalidInput

from .terminal import Commands

OF_SHARDS, OF_FILMS = "source,proxy,autoencoder,model", "source,proxy,demo"


def add(commands: Commands) -> None:
    """Add ``evaluate``, ``ablate`` and ``golden``."""
    parser = commands.add_parser("evaluate", help="measure a model and its baselines on held-out shards or on films of people")
    films = "films: the first frame is the portrait, the others are the motion and the truth"
    parser.add_argument("data", type=Path, help=f"folder of shards that were never trained on, or of {films}")
    parser.add_argument("--model", type=Path, help="model folder, for shards (default: the shipped model)")
    parser.add_argument("--generators", help=f"names separated by commas (default: {OF_SHARDS}; of films: {OF_FILMS})")
    parser.add_argument("--samples", type=int, default=64, help="number of people or films at most")
    parser.add_argument("--sampling-steps", type=int, help="denoising steps, for shards (default: the model's)")
    parser.add_argument("--frames", type=int, default=24, help="measured frames of each film's second half (default: %(default)s)")
    parser.add_argument("--references", type=int, default=0, help="also measure with this many frames of each film's first half as references")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--readme", type=Path, help="a Markdown file whose table of the evaluation or of films is replaced")
    parser.set_defaults(command=_evaluate)
    _add_ablate(commands)
    _add_golden(commands)


def _evaluate(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.progress import Progress

    with imports("evaluation", "evaluate"):
        from mimaface.evaluation.evaluate import write_results
    from mimaface.evaluation.tables import read_results, replace_between, table

    films = sorted(path for path in parsed.data.glob("*") if ends(path.name, FILMS))[: parsed.samples]
    parsed.generators = parsed.generators or (OF_FILMS if films else OF_SHARDS)
    with Progress(transient=True) as bar:
        files, results = (_of_films if films else _of_shards)(parsed, films, bar)
    write_results(parsed.out, results, _as_typed(parsed), files)
    text = table(read_results(parsed.out)["results"])
    console = Console()
    console.print(Markdown(text))
    for name, reason in results["absent"].items():
        console.print(f"absent: {name}, {reason}")
    for name, count in results["frames_without_a_face"].items():
        if count:
            console.print(f"{name}: no face in {count} of {results['frames']} frames; face metrics of all rows leave these frames out")
    if parsed.readme:
        replace_between(parsed.readme, "films" if films else "evaluation", text)
    return 0


def _as_typed(parsed: argparse.Namespace) -> str:
    """Returns the command line with the options that its results depend on."""
    options = {
        "--model": parsed.model, "--sampling-steps": parsed.sampling_steps, "--references": parsed.references,
    }  # fmt: skip
    given = [f"{name} {value}" for name, value in options.items() if value]
    return " ".join([f"mimaface evaluate {parsed.data} --generators {parsed.generators} --samples {parsed.samples}", *given])


def _of_films(parsed: argparse.Namespace, films: list[Path], bar: Any) -> tuple[list[Path], dict[str, Any]]:
    from mimaface.evaluation.films import COPY, evaluate_films
    from mimaface.renderers.registry import usable

    engines = parsed.generators.split(",")
    for engine in engines:
        if engine != COPY:
            usable(engine)
    if parsed.model or parsed.sampling_steps:
        raise InvalidInput("films are evaluated for engines", "leave --model and --sampling-steps out; --generators names the engines")
    task = bar.add_task("measuring", total=len(films))
    results = evaluate_films(films, engines, parsed.frames, parsed.references, lambda done: bar.update(task, completed=done))
    return films, results


def _of_shards(parsed: argparse.Namespace, _: list[Path], bar: Any) -> tuple[list[Path], dict[str, Any]]:
    from mimaface.data.samples import read_shards, shards_in
    from mimaface.evaluation.evaluate import evaluate, generators_of
    from mimaface.model.family import load_config
    from mimaface.renderers.registry import SHIPPED

    folder = parsed.model or SHIPPED
    shards = shards_in(parsed.data)
    config = load_config(folder)
    generators = generators_of(parsed.generators.split(","), folder, parsed.sampling_steps)
    task = bar.add_task("evaluating", total=parsed.samples)
    clip = config.clip_length, config.overlap
    samples = islice(read_shards(shards), parsed.samples)
    return shards, evaluate(samples, generators, clip, lambda done: bar.update(task, completed=done))


def _add_ablate(commands: Commands) -> None:
    parser = commands.add_parser("ablate", help="train and measure the paper's ablations")
    parser.add_argument(
        "--model", required=True, help="folder to start from: after the autoencoder, or a whole model to train on"
    )
    parser.add_argument("--images", type=Path, required=True, help="shards of the image stage")
    parser.add_argument("--videos", type=Path, required=True, help="shards of the video stage, of neighbouring frames")
    parser.add_argument("--held-out", type=Path, required=True, help="shards of neighbouring frames, never trained on")
    parser.add_argument("--recipe", type=Path, help="folder of image.json and video.json (default: those of the shipped model)")
    parser.add_argument("--image-steps", type=int, default=600, help="steps of the image stage")
    parser.add_argument("--video-steps", type=int, default=150, help="steps of the video stage")
    parser.add_argument("--samples", type=int, default=16, help="number of people of the evaluation")
    parser.add_argument(
        "--variants", default="", help="only these, separated by commas, so that several machines share the work (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of the table, ablations.json")
    parser.add_argument("--readme", type=Path, help="a Markdown file whose ablation table is replaced")
    parser.set_defaults(command=_ablate)


def _ablate(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown

    from mimaface.evaluation.ablations import Ablation, ablate, choose_variants
    from mimaface.evaluation.tables import replace_between, table
    from mimaface.renderers.registry import SHIPPED

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    variants = choose_variants(list(filter(None, parsed.variants.split(","))))
    folders = (parsed.images, parsed.videos, parsed.held_out, parsed.recipe or SHIPPED / "training")
    ablation = Ablation(parsed.model, *folders, parsed.image_steps, parsed.video_steps, parsed.samples)
    text = table(ablate(ablation, variants, parsed.out))
    Console().print(Markdown(text))
    if parsed.readme:
        replace_between(parsed.readme, "ablations", text)
    return 0


def _add_golden(commands: Commands) -> None:
    golden = commands.add_parser("golden", help="compare the networks with a folder of reference values")
    golden.add_argument("folder", type=Path, help="the folder of .safetensors files and manifest.json")
    golden.add_argument("--salt", default="", help="the text from which the reference weights were derived")
    golden.set_defaults(command=_golden)


def _golden(parsed: argparse.Namespace) -> int:
    from mimaface.evaluation.golden_check import Golden

    total = misses = 0
    print(f"{'array':28} {'max |Δ|':>10} {'/ std':>10}")
    for row in Golden(parsed.folder, parsed.salt).rows():
        total, misses = total + 1, misses + (not row.ok)
        numbers = f"{row.difference:10.2e} {row.relative:10.2e}" if not row.problem else f"{'–':>10} {'–':>10}"
        print(f"{row.name:28} {numbers}  {row.words()}", flush=True)
    print(f"{total - misses} of {total} arrays agree")
    return 1 if misses else 0
