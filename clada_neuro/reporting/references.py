"""Whom a Methods section cites: short forms for the text, full ones for the list below it."""

import re
from collections.abc import Iterable

from clada_neuro.measures.tokens import TOKENS
from clada_neuro.records.manifest import ModelFacts

_WORKS = {
    "smollm2": (
        "Allal et al., 2025",
        "Allal, L. B., Lozhkov, A., Bakouch, E., et al. (2025). SmolLM2: When Smol goes big: Data-centric training of a "
        "small language model. arXiv:2502.02737.",
    ),
    "gpt2": (
        "Radford et al., 2019",
        "Radford, A., Wu, J., Child, R., Luan, D., Amodei, D., & Sutskever, I. (2019). Language models are unsupervised "
        "multitask learners. OpenAI.",
    ),
    "pythia": (
        "Biderman et al., 2023",
        "Biderman, S., Schoelkopf, H., Anthony, Q., et al. (2023). Pythia: A suite for analyzing large language models "
        "across training and scaling. Proceedings of the 40th International Conference on Machine Learning.",
    ),
    "opt": (
        "Zhang et al., 2022",
        "Zhang, S., Roller, S., Goyal, N., et al. (2022). OPT: Open pre-trained transformer language models. "
        "arXiv:2205.01068.",
    ),
    "satterthwaite": (
        "Kuznetsova et al., 2017",
        "Kuznetsova, A., Brockhoff, P. B., & Christensen, R. H. B. (2017). lmerTest package: Tests in linear mixed effects "
        "models. Journal of Statistical Software, 82(13), 1–26.",
    ),
    "kenward-roger": (
        "Kenward & Roger, 1997",
        "Kenward, M. G., & Roger, J. H. (1997). Small sample inference for fixed effects from restricted maximum "
        "likelihood. Biometrics, 53(3), 983–997.",
    ),
    "r2_latent": (
        "Nakagawa et al., 2017",
        "Nakagawa, S., Johnson, P. C. D., & Schielzeth, H. (2017). The coefficient of determination R² and intra-class "
        "correlation coefficient from generalized linear mixed-effects models revisited and expanded. Journal of the Royal "
        "Society Interface, 14(134), 20170213.",
    ),
    "r2": (
        "Johnson, 2014; Nakagawa & Schielzeth, 2013",
        "Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R²GLMM to random slopes models. Methods in Ecology "
        "and Evolution, 5(9), 944–946. Nakagawa, S., & Schielzeth, H. (2013). A general and simple method for obtaining R² "
        "from generalized linear mixed-effects models. Methods in Ecology and Evolution, 4(2), 133–142.",
    ),
    "smooths": (
        "Wood, 2017",
        "Wood, S. N. (2017). Generalized additive models: An introduction with R (2nd ed.). Chapman & Hall/CRC.",
    ),
    "rlrt": (
        "Crainiceanu & Ruppert, 2004",
        "Crainiceanu, C. M., & Ruppert, D. (2004). Likelihood ratio tests in linear mixed models with one variance component. "
        "Journal of the Royal Statistical Society B, 66(1), 165–185.",
    ),
    "overlap": (
        "Ehinger & Dimigen, 2019; Smith & Kutas, 2015",
        "Ehinger, B. V., & Dimigen, O. (2019). Unfold: An integrated toolbox for overlap correction, non-linear modeling, and "
        "regression-based EEG analysis. PeerJ, 7, e7838. Smith, N. J., & Kutas, M. (2015). Regression-based estimation of ERP "
        "waveforms: II. Nonlinear effects, overlap correction, and practical considerations. Psychophysiology, 52(2), 169–181.",
    ),
    "wild": (
        "Modugno & Giannerini, 2015",
        "Modugno, L., & Giannerini, S. (2015). The wild bootstrap for multilevel models. Communications in Statistics: Theory "
        "and Methods, 44(22), 4812–4825.",
    ),
    "clusters": (
        "Maris & Oostenveld, 2007",
        "Maris, E., & Oostenveld, R. (2007). Nonparametric statistical testing of EEG- and MEG-data. Journal of Neuroscience "
        "Methods, 164(1), 177–190.",
    ),
    "tfce": (
        "Smith & Nichols, 2009",
        "Smith, S. M., & Nichols, T. E. (2009). Threshold-free cluster enhancement: Addressing problems of smoothing, threshold "
        "dependence and localisation in cluster inference. NeuroImage, 44(1), 83–98.",
    ),
    "fractional_peak": (
        "Kiesel et al., 2008",
        "Kiesel, A., Miller, J., Jolicoeur, P., & Brisson, B. (2008). Measurement of ERP latency differences: A comparison of "
        "single-participant and jackknife-based scoring methods. Psychophysiology, 45(2), 250–274.",
    ),
    "max_t": (
        "Westfall & Young, 1993",
        "Westfall, P. H., & Young, S. S. (1993). Resampling-based multiple testing: Examples and methods for p-value "
        "adjustment. Wiley.",
    ),
    "bh": (
        "Benjamini & Hochberg, 1995",
        "Benjamini, Y., & Hochberg, Y. (1995). Controlling the false discovery rate: A practical and powerful approach to "
        "multiple testing. Journal of the Royal Statistical Society B, 57(1), 289–300.",
    ),
}
_MODELS = ("smollm2", "gpt2", "pythia", "opt")


def cite(key: str) -> str:
    """Return the short form: ``Kuznetsova et al., 2017``."""
    return _WORKS[key][0]


def of_model(model: ModelFacts) -> str | None:
    """Return the key of a checkpoint's paper, from its name; nothing for one that is not known here."""
    name = model.name.lower()
    return next((key for key in _MODELS if re.search(rf"(^|[/_.-]){key}([/_.-]|$)", name)), None)


def listed(text: Iterable[str]) -> list[str]:
    """Return the full references, in alphabetical order, of every work that the text cites."""
    said = " ".join(text)
    works = {*_WORKS.values(), *(measure.source for measure in TOKENS if measure.source)}
    return sorted(full for short, full in works if short in said)
