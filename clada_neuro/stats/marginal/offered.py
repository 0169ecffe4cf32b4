"""Marginal means and slopes as methods of a fit, linear or generalised."""

from collections.abc import Mapping
from typing import Any

from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.marginal import means
from clada_neuro.stats.marginal.estimates import Estimates
from clada_neuro.stats.marginal.scales import LINK


class Marginal(Fitted):
    """A fit that offers its marginal means and slopes."""

    def emmeans(
        self,
        specs: str,
        at: Mapping[str, Any] | None = None,
        *,
        type: str = LINK,
        bias_adjust: bool = False,
    ) -> Estimates:
        """Return the estimated marginal means of the cells of ``"condition | group"`` (see `marginal.means.emmeans`)."""
        return means.emmeans(self, specs, at, type, bias_adjust)

    def emtrends(
        self, predictor: str, specs: str = "", at: Mapping[str, Any] | None = None, *, type: str = LINK
    ) -> Estimates:
        """Return a predictor's slopes in the cells of factors (see `marginal.means.emtrends`)."""
        return means.emtrends(self, predictor, specs, at, type)
