"""What does overlap do to the waveforms of words read 300 to 600 ms apart, and does estimating them together undo it?

Simulated readers of 1,000 words with planted N400 and P600 responses; a surprising word tends to be followed by a predictable one
(r = −.4). Words come at intervals of 300 to 600 ms, or every 500 ms with a second more between texts of 12 words. Each
recording is regressed twice: epoch by epoch, and with overlapping responses estimated together.

    python analyses/19_overlap.py [--runs 200] [--words 1000]

Writes results/overlap/: bias.csv (means over the component's window at Pz, µV: planted, and found without and with
correction), coverage.csv (share of channels and moments at which the 95 % interval holds the planted value) and waveforms.png
(Pz, without noise).
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from _shared.results import results_folder
from matplotlib.figure import Figure as Canvas
from scipy import stats

from clada_neuro.erp.components import PRESETS
from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.erp.simulate_raw import TMAX, TMIN, ReadingSimulation, simulate_reading
from clada_neuro.reporting.figures import COLORS, compose

INTERVALS: dict[str, float | tuple[float, float]] = {"300 to 600 ms": (0.3, 0.6), "500 ms": 0.5}
WAVEFORMS = {"average word": "intercept", "per bit of surprisal": "surprisal_bits"}
MODEL = EventModel("word", "1 + center(surprisal_bits)", TMIN, TMAX)
CORRELATION, TEXT, SFREQ, SITE = -0.4, 12, 100.0, "Pz"
MICROVOLTS = 1e6


def words(n: int, seed: int) -> pd.DataFrame:
    """Return words whose surprisal depends on that of the word before."""
    steps = np.random.default_rng(seed).normal(size=n)
    values = [steps[0]]
    for step in steps[1:]:
        values.append(CORRELATION * values[-1] + np.sqrt(1 - CORRELATION**2) * step)
    return pd.DataFrame({"stimulus_id": np.arange(n) // TEXT, "surprisal_bits": 5 + 2.5 * np.array(values)})


def reading(interval: str, n: int, seed: int, noise: bool = True) -> ReadingSimulation:
    """Return one reader's recording."""
    soa = INTERVALS[interval]
    pause = None if isinstance(soa, tuple) else 1.0
    made = partial(simulate_reading, words(n, seed), soa=soa, pause=pause, sfreq=SFREQ, seed=seed)
    return made() if noise else made(noise_uv=0.0, residual_uv=0.0)


def epoched(made: ReadingSimulation) -> dict[str, np.ndarray]:
    """Return each waveform (n_channels, n_times) by least squares over epochs, every word on its own."""
    samples = np.round(made.events["onset"].to_numpy() * SFREQ).astype(int)
    lags = np.round(made.truth["intercept"].times * SFREQ).astype(int)
    epochs = made.raw.get_data()[:, samples[:, None] + lags]
    x = made.events["surprisal_bits"].to_numpy()
    design = np.column_stack([np.ones(len(x)), x - x.mean()])
    found = np.linalg.lstsq(design, epochs.transpose(1, 0, 2).reshape(len(x), -1))[0]
    return dict(zip(WAVEFORMS.values(), found.reshape(2, *epochs.shape[::2]), strict=True))


def windows(made: ReadingSimulation, waveform: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield each component's window and the waveform's mean in it, µV."""
    times, row = made.truth["intercept"].times, made.raw.ch_names.index(SITE)
    for component in PRESETS.values():
        inside = (times >= component.tmin - 1e-9) & (times <= component.tmax + 1e-9)
        yield component.name, MICROVOLTS * float(waveform[row, inside].mean())


def run(interval: str, n: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield one reader's means and coverage, with and without correction."""
    made = reading(interval, n, seed)
    plain, found = epoched(made), overlap_rerp(made.raw, made.events, [MODEL])
    critical = stats.t.ppf(0.975, found.n_blocks - 1)
    for (said, name), corrected in zip(WAVEFORMS.items(), found.names, strict=True):
        planted, estimate = made.truth[name].data, found.evoked(corrected).data
        covered = np.abs(estimate - planted) < critical * found.standard_error(corrected).data
        both = zip(windows(made, planted), windows(made, plain[name]), windows(made, estimate), strict=True)
        for (window, truth), (_, without), (_, with_correction) in both:
            yield {
                "interval": interval, "waveform": said, "window": window, "planted_uv": truth, "epochs_uv": without,
                "corrected_uv": with_correction, "coverage": covered.mean(), "condition": found.condition,
                "inflation": found.inflation[corrected],
            }  # fmt: skip


def draw(canvas: Canvas, n: int) -> None:
    """Draw planted, epoched and corrected waveforms at one electrode without noise."""
    panels = canvas.subplots(2, 2, sharex=True)
    for axes, interval in zip(panels.T, INTERVALS, strict=True):
        made = reading(interval, n, 0, noise=False)
        plain, found = epoched(made), overlap_rerp(made.raw, made.events, [MODEL])
        row, times = made.raw.ch_names.index(SITE), 1e3 * made.truth["intercept"].times
        for panel, (said, name), corrected in zip(axes, WAVEFORMS.items(), found.names, strict=True):
            panel.plot(times, MICROVOLTS * plain[name][row], color=COLORS[3], label="epoch by epoch")
            panel.plot(
                times, MICROVOLTS * made.truth[name].data[row], color="0.6", linewidth=4, label="planted"
            )
            panel.plot(
                times,
                MICROVOLTS * found.evoked(corrected).data[row],
                color=COLORS[0],
                linestyle="--",
                label="estimated together",
            )
            panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
            panel.set_title(f"{said}, words every {interval}")
            panel.set_ylabel("µV")
        axes[-1].set_xlabel("ms after word onset")
    panels[0, 0].legend()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--words", type=int, default=1000)
    options = parser.parse_args()
    rows = [
        row
        for interval in INTERVALS
        for seed in range(options.runs)
        for row in run(interval, options.words, seed)
    ]
    table = pd.DataFrame(rows)
    by_window = table.groupby(["interval", "waveform", "window"], sort=False)
    amplitudes = ["planted_uv", "epochs_uv", "corrected_uv"]
    bias = by_window[amplitudes].mean().join(by_window[amplitudes[1:]].std().add_suffix("_sd"))
    by_waveform = table[table["window"] == table["window"].iloc[0]].groupby(
        ["interval", "waveform"], sort=False
    )
    coverage = by_waveform[["coverage", "condition", "inflation"]].mean().assign(runs=options.runs)
    results = results_folder(__file__)
    bias.round(4).reset_index().to_csv(results / "bias.csv", index=False)
    coverage.round(4).reset_index().to_csv(results / "coverage.csv", index=False)
    figure = compose("waveforms", "", "", lambda canvas: draw(canvas, options.words), (9.0, 6.0))
    (results / "waveforms.png").write_bytes(figure.png)


if __name__ == "__main__":
    main()
