"""One measure's maps over layers, as tables and as facts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.erp.evoked import seen_from_above
from clada_neuro.erp.layers.latency import Latencies
from clada_neuro.erp.layers.planes import Planes
from clada_neuro.erp.layers.tested import ALPHA, ITEMS, SUBJECTS, Tested
from clada_neuro.erp.predictors import PredictedEpochs

_MS = 1e3
_WINDOWS = 6


@dataclass(frozen=True, eq=False)
class Mapped:
    """What was found of a measure: coefficients, tests of the mean over `channels` and of every electrode, latencies."""

    measure: str
    data: PredictedEpochs
    planes: Planes
    channels: tuple[str, ...]
    roi: Tested
    scalp: Tested | None
    when: Latencies
    notes: list[str]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that are written, by name, each row with its measure."""
        clusters = [self.roi.table.assign(where="mean")]
        if self.scalp is not None:
            clusters.append(self.scalp.table.assign(where="every electrode"))
        tables = {
            "planes": self._plane(),
            "electrodes": self._electrodes(),
            "clusters": pd.concat(clusters, ignore_index=True),
            "latencies": self.when.table,
            "correlations": self.when.correlations,
            "scalp": self._scalp(),
            "lost": self.data.lost,
        }
        named = {name: table.assign(measure=self.measure) for name, table in tables.items()}
        return {name: table[["measure", *tables[name]]] for name, table in named.items()}

    def facts(self) -> dict[str, Any]:
        """Return what a document says of the measure."""
        metadata = [epochs.metadata for epochs in self.data.epochs.values()]
        latencies = self.when.table
        for name in [name for name in latencies if "_s" in name]:
            latencies = latencies.assign(**{name.replace("_s", "_ms"): _MS * latencies[name]}).drop(
                columns=name
            )
        return {
            "measure": self.measure,
            "layers": list(self.planes.layers),
            "n_subjects": len(metadata),
            "n_items": len(self.planes.scores),
            "n_epochs": sum(map(len, metadata)),
            "n_lost": len(self.data.lost),
            "n_stimuli": len(self.data.stimuli()),
            "roi": _strong(self.roi),
            "n_roi": _counted(self.roi),
            "electrodes": None if self.scalp is None else _strong(self.scalp),
            "n_electrodes": 0 if self.scalp is None else _counted(self.scalp),
            "latencies": latencies.to_dict("records"),
            "correlations": self.when.correlations.to_dict("records"),
            "notes": self.notes,
        }

    def _plane(self) -> pd.DataFrame:
        at = [self.planes.info["ch_names"].index(name) for name in self.channels]
        betas = self.planes.betas[:, :, at].mean(axis=2)
        frame = _long(betas, self.planes, None)
        return frame.assign(
            cluster=self.roi.numbers.ravel(),
            p_tfce=self.roi.tfce_p[SUBJECTS].ravel(),
            p_tfce_items=self.roi.tfce_p[ITEMS].ravel(),
        )

    def _electrodes(self) -> pd.DataFrame:
        frame = _long(self.planes.betas, self.planes, self.planes.info["ch_names"])
        return frame if self.scalp is None else frame.assign(cluster=self.scalp.numbers.ravel())

    def _scalp(self) -> pd.DataFrame:
        """Return b in windows over the scalp, a row a layer, window and electrode with its place seen from above."""
        times, info = self.planes.times, self.planes.info
        places = seen_from_above(info, info["ch_names"])
        frames = []
        for window in np.array_split(np.arange(len(times)), min(_WINDOWS, len(times))):
            means = self.planes.betas[..., window].mean(axis=(0, 3))
            for layer, values in zip(self.planes.layers, means, strict=True):
                frame = pd.DataFrame(places, columns=["x", "y"]).assign(
                    channel=info["ch_names"], amplitude_uv=values
                )
                ends = times[window[[0, -1]]]
                frames.append(frame.assign(layer=layer, from_ms=_MS * ends[0], to_ms=_MS * ends[1]))
        return pd.concat(frames, ignore_index=True)


def _long(betas: np.ndarray, found: Planes, channels: list[str] | None) -> pd.DataFrame:
    """Return b, its standard error and t over subjects, a row a layer, electrode and moment."""
    levels = [
        ("layer", found.layers),
        *([("channel", channels)] if channels else []),
        ("time_s", found.times),
    ]
    index = pd.MultiIndex.from_product([values for _, values in levels], names=[name for name, _ in levels])
    b, se = betas.mean(axis=0).ravel(), (betas.std(axis=0, ddof=1) / np.sqrt(len(betas))).ravel()
    t = np.divide(b, se, out=np.zeros_like(b), where=se > 0)
    return index.to_frame(index=False).assign(b_uv=b, se=se, t=t)


def _counted(tested: Tested) -> int:
    return int((tested.table["over"] == SUBJECTS).sum())


def _strong(tested: Tested) -> list[dict[str, Any]]:
    """Return the clusters over subjects with p < .05, those that hold over items first."""
    table = tested.table[(tested.table["over"] == SUBJECTS) & (tested.table["p"] < ALPHA)]
    return [
        {
            "sign": row.sign, "layer_first": row.layer_first, "layer_last": row.layer_last, "from_ms": _MS * row.tmin_s,
            "to_ms": _MS * row.tmax_s, "n_channels": row.n_channels, "p": row.p, "p_both": row.p_both,
        }
        for row in table.sort_values(["p_both", "p"], kind="stable").itertuples()
    ]  # fmt: skip
