"""Engines that fit linear mixed models: a file each, which declares one as ``ENGINE``."""

DEFAULT = "mixedlm"
ENGINES = {
    DEFAULT: "clada_neuro.stats.engines.mixedlm",
    "statsmodels": "clada_neuro.stats.engines.statsmodels",
    "lme4": "clada_neuro.stats.engines.lme4",
}
