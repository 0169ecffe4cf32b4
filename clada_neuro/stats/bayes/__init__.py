"""The same models by Bayes' rule: stated priors, draws of the posterior, Bayes factors (extra ``bayes``)."""
