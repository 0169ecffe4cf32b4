"""Does a word-order violation raise the P600? Subject averages of Sayehli et al. (2022), Swedish, V3 against V2.

    python analyses/08_swop_p600.py [FOLDER]

Reads the two Evoked files of the data set swop_sv (`clada-neuro data fetch swop_sv`) and writes results/swop_p600/: the
paired differences over 20 subjects in the preset windows, and a figure. The averages' baseline was
corrected by regression before they were published; nothing is subtracted here. The windows are this package's presets;
the authors used 500-700 and 700-900 ms. For two files of your own, change `FILES`.
"""

import argparse
from pathlib import Path

import pandas as pd
from _shared.results import results_folder

from clada_neuro.artifacts import output_folder, versions, write_atomic, write_json
from clada_neuro.erp.components import N400, P600
from clada_neuro.erp.evoked import (
    Groups,
    PairedDifference,
    differences,
    paired_difference,
    read_evokeds,
    topographies,
    waveforms,
)
from clada_neuro.exports import write_csv
from clada_neuro.reporting.figures import Figure
from clada_neuro.reporting.waveforms import averages
from clada_neuro.stimuli import datasets

FILES = {"V3": "SWOP_regrBsln_V3_idag-evo.fif", "V2": "SWOP_regrBsln_V2_idag-evo.fif"}


def main(folder: Path) -> None:
    home = output_folder(folder)
    source = datasets.path("swop_sv")
    groups = {order: read_evokeds(source / file) for order, file in FILES.items()}
    found = [paired_difference(groups, component, in_order=True) for component in (N400, P600)]
    write_csv(pd.DataFrame([result.row() for result in found]), home / "differences.csv", encoding="utf-8")
    figure = draw(groups, found[-1])
    write_atomic(home / f"{figure.name}.png", lambda part: part.write_bytes(figure.png))
    write_json(home / "manifest.json", {"files": FILES, "notes": found[-1].notes, "versions": versions()})
    for result in found:
        print(result)


def draw(groups: Groups, result: PairedDifference) -> Figure:
    maps = topographies({**groups, "V3 − V2": differences(groups, in_order=True)}, P600)
    caption = (
        f"Word order in Swedish: {result!r}. Mean of {', '.join(result.channels)} with 95 % intervals over subjects; "
        f"below: the scalp in {result.window}, µV."
    )
    return averages(
        "p600", caption, waveforms(groups, P600), maps, (P600.tmin, P600.tmax), legend="Word order"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="where to write, in place of the results folder")
    main(parser.parse_args().folder or results_folder(__file__))
