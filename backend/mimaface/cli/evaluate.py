"""``mimaface evaluate``: measure generators on held-out shards."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from mimaface.protocol.errors import NotInstalled

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``evaluate``."""
    parser = commands.add_parser("evaluate", help="measure a model and its baselines on held-out shards")
    parser.add_argument("data", type=Path, help="folder of shards that were never trained on")
    parser.add_argument("--model", type=Path, help="model folder (default: the shipped model)")
    parser.add_argument(
        "--generators", default="source,proxy,autoencoder,model", help="names separated by commas (default: %(default)s)"
    )
    parser.add_argument("--samples", type=int, default=64, help="number of people")
    parser.add_argument("--sampling-steps", type=int, help="denoising steps (default: the model's)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--readme", type=Path, help="a Markdown file whose evaluation table is replaced")
    parser.set_defaults(command=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.progress import Progress

    from mimaface.data.samples import read_shards, shards_in
    from mimaface.model.family import load_config
    from mimaface.renderers.generated import SHIPPED

    try:
        from mimaface.evaluation.evaluate import evaluate, generators_of, write_results
    except ImportError as error:
        raise NotInstalled(f"evaluation needs {error.name}", 'pip install "mimaface[evaluate]"') from error
    from mimaface.evaluation.tables import read_results, replace_between, table

    folder = parsed.model or SHIPPED
    shards = shards_in(parsed.data)
    samples = islice(read_shards(shards), parsed.samples)
    config = load_config(folder)
    generators = generators_of(parsed.generators.split(","), folder, parsed.sampling_steps)
    with Progress(transient=True) as bar:
        task = bar.add_task("evaluating", total=parsed.samples)
        clip = config.clip_length, config.overlap
        results = evaluate(samples, generators, clip, lambda done: bar.update(task, completed=done))
    command = f"mimaface evaluate {parsed.data} --generators {parsed.generators} --samples {parsed.samples}"
    if parsed.model:
        command += f" --model {parsed.model}"
    if parsed.sampling_steps:
        command += f" --sampling-steps {parsed.sampling_steps}"
    write_results(parsed.out, results, command, shards)
    text = table(read_results(parsed.out)["results"])
    console = Console()
    console.print(Markdown(text))
    for name, reason in results["absent"].items():
        console.print(f"absent: {name}, {reason}")
    for name, count in results["frames_without_a_face"].items():
        if count:
            console.print(f"{name}: no face in {count} of {results['frames']} frames; no row's faces are measured there")
    if parsed.readme:
        replace_between(parsed.readme, "evaluation", text)
    return 0
