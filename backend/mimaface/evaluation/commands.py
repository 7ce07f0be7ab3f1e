"""``mimaface evaluate`` from the command line."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from mimaface.protocol.errors import NotInstalled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mimaface evaluate``."""
    parser.add_argument("data", type=Path, help="folder of shards that were never trained on")
    parser.add_argument("--model", type=Path, help="model folder (default: the one that is shipped)")
    parser.add_argument("--generators", default="source,proxy,autoencoder,model", help="names separated by commas")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--sampling-steps", type=int, help="denoising steps (default: the model's)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON that is written")
    parser.add_argument("--readme", type=Path, help="Markdown file whose evaluation table is written anew")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write, print; returns 0. Raises :class:`NotInstalled` without the extra ``evaluate``."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.progress import Progress

    from mimaface.animate import DEMO_MODEL
    from mimaface.data.samples import read_shards, shards_in
    from mimaface.model.family import load_config

    try:
        from .evaluate import evaluate, generators_of, write_results
    except ImportError as error:
        raise NotInstalled(f"evaluation needs {error.name}", 'pip install "mimaface[evaluate]"') from error
    from .tables import read_results, replace_between, table

    folder = arguments.model or DEMO_MODEL
    shards = shards_in(arguments.data)
    samples = islice(read_shards(shards), arguments.samples)
    config = load_config(folder)
    generators = generators_of(arguments.generators.split(","), folder, arguments.sampling_steps)
    with Progress(transient=True) as bar:
        task = bar.add_task("evaluating", total=arguments.samples)
        clip = config.clip_length, config.overlap
        results = evaluate(samples, generators, clip, lambda done: bar.update(task, completed=done))
    command = f"mimaface evaluate {arguments.data} --generators {arguments.generators} --samples {arguments.samples}"
    if arguments.model:
        command += f" --model {arguments.model}"
    if arguments.sampling_steps:
        command += f" --sampling-steps {arguments.sampling_steps}"
    write_results(arguments.out, results, command, shards)
    text = table(read_results(arguments.out)["results"])
    console = Console()
    console.print(Markdown(text))
    for name, reason in results["absent"].items():
        console.print(f"absent: {name}, {reason}")
    for name, count in results["frames_without_a_face"].items():
        if count:
            console.print(f"{name}: no face in {count} of {results['frames']} frames; no row's faces are measured there")
    if arguments.readme:
        replace_between(arguments.readme, "evaluation", text)
    return 0
