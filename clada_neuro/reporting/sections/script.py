"""The R code that refits every regression with lme4."""

from collections.abc import Iterator

from clada_neuro.reporting.blocks import Absent, Block, Code, Headed, Paragraph
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results


def blocks(results: Results) -> Iterator[Block]:
    """Yield a script a regression."""
    scripts: list[Block] = [
        Headed(fit.name, [Code(fit.lme4_script)]) for fit in results.fits if fit.lme4_script
    ]
    if not scripts:
        yield Absent("fits.json carries no R script.")
        return
    yield Paragraph("R code that refits the models from trials.csv; all of it stands in refit.R.")
    yield from scripts


SECTION = Declared("script", "lme4 script", 1400, blocks)
