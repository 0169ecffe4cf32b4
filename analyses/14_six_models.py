"""What does each policy cost and gain on any list of checkpoints: nine benchmarks, sparsity, speed of decoding?

    python analyses/14_six_models.py --model NAME [--model NAME …] [--limit 300] [--policy clada …] [--scheduler S] [--no-speed]
    python analyses/14_six_models.py --tables

NAME is what `clada_neuro.load_model` takes: the embedded model, a folder, or a checkpoint of the hub. One model after the
other is calibrated on C4 and Gutenberg text (or --text files; the calibration that ships is taken where there is one), answers the same items
of all tasks under dense and the policies, and is timed. Calibrations and answers go to the workers of a scheduler where one is
named (`local:4`, an address; see `clada-neuro evaluate --help`); decoding is timed in this process, with nothing else on the machine.
Writes results/six_models/: MODEL.scores.csv, MODEL.speed.csv, and the table of every model that is there. Interrupt it at any time;
the same command goes on, and adds to what other machines wrote there. A model that cannot be taken or timed is told and stays in the
table with its reason; the others are measured, and the exit code is 2.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from _shared.results import results_folder
from _shared.six_models_page import page
from _shared.texts import books, c4_for_calibration

from clada_neuro.artifacts import cache_folder, content_hash, write_text
from clada_neuro.bench.decode_speed import bench_decode
from clada_neuro.calibration.stage import CalibrateStage
from clada_neuro.calibration.texts import read_documents
from clada_neuro.errors import CladaNeuroError
from clada_neuro.evaluation.evaluate import evaluate
from clada_neuro.evaluation.summary import summarise
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Places
from clada_neuro.models.placing import find_device
from clada_neuro.policies.artifact import read_calibration, shipped_calibration
from clada_neuro.scale.processes import places
from clada_neuro.scale.setting import Setting

CONFIDENCE, BOUND = 0.95, 0.10  # of a calibration's certificate, as `clada-neuro calibrate` has them
DENSE = "dense"
SCRIPT = "analyses/14_six_models.py"
HASHES = {"weights": str, "calibration": str}  # which may be digits only
PLACES = ("model", "scheduler", "calibrations", "out", "tables")  # options that change no number


@dataclass(frozen=True)
class Study:
    """What is asked of every model, and where it goes."""

    tasks: Sequence[str]
    policies: Sequence[str]
    sparsity: float
    limit: int | None
    texts: Sequence[Path]
    tokens: int
    dtype: str
    device: str
    scheduler: str | None
    rounds: int
    calibrations: Path
    out: Path
    chosen: str  # options of this call that differ from their defaults, as they are typed

    def score(self, name: str) -> Path:
        """Calibrate and score one model, and return its calibration; what is finished is not done again."""
        setting = Setting(name, self.dtype, self.device)
        model = setting.load()
        with places(setting, model, self.scheduler) as where:
            calibration = self._calibration(model, where)
            scores = self._scores(model, calibration, where)
        write_text(self._file(name, "scores"), scores.to_csv(index=False, float_format="%.6g"))
        return calibration

    def missed(self, name: str, reason: str, *, timed: bool) -> None:
        """Keep why a model has no scores, or no times."""
        row = pd.DataFrame(
            {"model": [_shown(name)], "missing": ["speed" if timed else "all"], "reason": [reason]}
        )
        write_text(self._file(name, "missing"), row.to_csv(index=False))

    def complete(self, name: str) -> None:
        """Forget why something was missing; where nothing is timed, a speed that was missing still is."""
        file = self._file(name, "missing")
        if not self.rounds and file.is_file() and (pd.read_csv(file)["missing"] == "speed").all():
            return
        file.unlink(missing_ok=True)

    def _calibration(self, model: LanguageModel, where: Places) -> Path:
        shipped = shipped_calibration(model.weights_hash)
        if shipped.is_file():
            return shipped
        given = [text for file in self.texts for text in read_documents(file)]
        documents = given or c4_for_calibration() + books()
        asked = content_hash(documents, self.tokens, self.sparsity, self.dtype)
        path = self.calibrations / f"{model.weights_hash}-{asked}.safetensors"
        if not path.is_file():
            CalibrateStage(
                model, documents, path.name, BOUND, CONFIDENCE, self.sparsity, self.tokens, "loss", 0, where
            ).into(path.parent)
        return path

    def _scores(self, model: LanguageModel, calibration: Path, where: Places) -> pd.DataFrame:
        items = evaluate(
            model,
            self.tasks,
            [DENSE, *(policy for policy in self.policies if policy != DENSE)],
            sparsities=[self.sparsity],
            limit=self.limit,
            calibration=calibration,
            places=where,
        )
        about = {
            "model": _shown(model.name),
            "weights": model.weights_hash,
            "start_token": model.start_token,
            "calibration": next(iter(items["calibration"].dropna()), ""),
            "made_by": self._made_by(model.name),
        }
        scores = summarise(items)
        return pd.concat([pd.DataFrame(about, index=scores.index), scores], axis=1)

    def time(self, name: str, calibration: Path) -> None:
        """Time decoding of a model, unless the same was timed before."""
        file = self._file(name, "speed")
        place = "cuda" if find_device(self.device).type == "cuda" else "cpu"
        asked = {
            "asked": self.sparsity,
            "dtype": self.dtype,
            "device": place,
            "rounds": self.rounds,
            "calibration": read_calibration(calibration).identity,
        }
        if file.is_file():
            kept = pd.read_csv(file, dtype=HASHES)
            if all((kept[column] == value).all() for column, value in asked.items()):
                return
        table = bench_decode(
            name,
            sparsities=(self.sparsity,),
            dtype=self.dtype,
            device=place,
            rounds=self.rounds,
            calibration=calibration,
        )
        table = table.assign(**{**asked, "model": _shown(name), "made_by": self._made_by(name)})
        write_text(file, table.to_csv(index=False, float_format="%.6g"))

    def _made_by(self, name: str) -> str:
        return f"{SCRIPT} --model {_shown(name)}{self.chosen}"

    def _file(self, name: str, kind: str) -> Path:
        return self.out / f"{_shown(name).replace('/', '--')}.{kind}.csv"


def _shown(name: str) -> str:
    """Return how a model is called in tables: a folder by its last part, a checkpoint of the hub by its whole name."""
    return Path(name).name if Path(name).exists() else name


def write_tables(out: Path) -> str:
    """Write the table of all models in a folder, and return it."""
    scores, speeds, missing = (_together(out, kind) for kind in ("scores", "speed", "missing"))
    text = page(scores, speeds, missing)
    write_text(out / "six_models.md", text)
    return text


def _together(out: Path, kind: str) -> pd.DataFrame:
    found = [pd.read_csv(file, dtype=HASHES) for file in sorted(out.glob(f"*.{kind}.csv"))]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", default=[], help="may be repeated")
    parser.add_argument("--task", nargs="+", default=list(TASKS))
    parser.add_argument("--policy", nargs="+", default=["clada", "griffin", "teal"])
    parser.add_argument("--sparsity", type=float, default=0.4)
    parser.add_argument("--limit", type=int, help="items of each task; default all")
    parser.add_argument(
        "--text", nargs="+", type=Path, default=[], help="to calibrate on, in place of C4 and books"
    )
    parser.add_argument("--tokens", type=int, default=65_536, help="read to calibrate")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scheduler")
    parser.add_argument("--rounds", type=int, default=12, help="of timing")
    parser.add_argument("--no-speed", dest="rounds", action="store_const", const=0, help="time nothing")
    parser.add_argument("--calibrations", type=Path, help="folder of calibrations; default in the cache")
    parser.add_argument("--out", type=Path, default=results_folder(__file__))
    parser.add_argument("--tables", action="store_true", help="only make the table")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> str:
    """Return the options that decide numbers and differ from their defaults, as they are typed; files by their names."""
    typed = ""
    for name, default in vars(parsed([])).items():
        value = getattr(options, name)
        if name not in PLACES and value != default:
            values = value if isinstance(value, list) else [value]
            words = [one.name if isinstance(one, Path) else str(one) for one in values]
            typed += f" {shlex.join([f'--{name}', *words])}"
    return typed


def study_of(options: argparse.Namespace) -> Study:
    """Return what the options ask for."""
    kept = options.calibrations or cache_folder("analyses", "six_models")
    return Study(
        options.task, options.policy, options.sparsity, options.limit, options.text, options.tokens, options.dtype,
        options.device, options.scheduler, options.rounds, kept, options.out, chosen(options),
    )  # fmt: skip


def measured(study: Study, name: str) -> bool:
    """Do all for one model, and return whether nothing is missing."""
    print(f"model {_shown(name)}", file=sys.stderr)
    scored = False
    try:
        calibration = study.score(name)
        scored = True
        if study.rounds:
            study.time(name, calibration)
    except CladaNeuroError as error:
        reason = str(error).replace(f"{Path(name).parent}/", "") if Path(name).exists() else str(error)
        study.missed(name, reason, timed=scored)
        print(f"{_shown(name)}: {error}", file=sys.stderr)
        return False
    study.complete(name)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if not options.model and not options.tables:
        print("no model given; name one with --model, or make the table with --tables", file=sys.stderr)
        return 2
    study = study_of(options)
    options.out.mkdir(parents=True, exist_ok=True)
    missed = sum(not measured(study, name) for name in options.model)
    print(write_tables(options.out))
    if missed:
        print(
            f"{missed} of {len(options.model)} models are not complete; the rest is in the table",
            file=sys.stderr,
        )
    return 2 if missed else 0


if __name__ == "__main__":  # timing starts processes that import this file
    sys.exit(main())
