"""Whose measures they are."""

from clada_neuro.measures.measure import Publication

SURPRISAL = Publication(
    "Hale, 2001; Levy, 2008",
    "Hale, J. (2001). A probabilistic Earley parser as a psycholinguistic model. Proceedings of NAACL. "
    "Levy, R. (2008). Expectation-based syntactic comprehension. Cognition, 106(3), 1126–1177.",
)
PSEUDO = Publication(
    "Kauf & Ivanova, 2023",
    "Kauf, C., & Ivanova, A. (2023). A better way to do masked language model scoring. Proceedings of ACL.",
)
CORRECTION = Publication(
    "Oh & Schuler, 2024; Pimentel & Meister, 2024",
    "Oh, B.-D., & Schuler, W. (2024). Leading whitespaces of language models' subword vocabulary pose a confound for "
    "calculating word probabilities. Proceedings of EMNLP. Pimentel, T., & Meister, C. (2024). How to compute the "
    "probability of a word. Proceedings of EMNLP.",
)
RENYI = Publication(
    "Rényi, 1961",
    "Rényi, A. (1961). On measures of entropy and information. Proceedings of the Fourth Berkeley Symposium on "
    "Mathematical Statistics and Probability, 1, 547–561.",
)
HOYER = Publication(
    "Hoyer, 2004",
    "Hoyer, P. O. (2004). Non-negative matrix factorization with sparseness constraints. Journal of Machine Learning "
    "Research, 5, 1457–1469.",
)
CLADA = Publication(
    "arXiv:2502.19078", "Cognitive-Load-Aware Dynamic Activation for language models. arXiv:2502.19078."
)
LENS = Publication(
    "nostalgebraist, 2020; Kuribayashi et al., 2025",
    "nostalgebraist (2020). Interpreting GPT: the logit lens. LessWrong. Kuribayashi, T., Oseki, Y., Ben Taieb, S., Inui, K., "
    "& Baldwin, T. (2025). Large language models are human-like internally. Transactions of the Association for Computational "
    "Linguistics, 13, 1743–1766.",
)
TRAJECTORY = Publication(
    "Barenholtz, 2026",
    "Barenholtz, E. (2026). Trajectory dynamics in language model hidden states predict human processing costs beyond "
    "surprisal. arXiv:2606.05346.",
)
ASSOCIATION = Publication(
    "Michaelov et al., 2024",
    "Michaelov, J. A., Bardolph, M. D., Van Petten, C. K., Bergen, B. K., & Coulson, S. (2024). Strong prediction: Language "
    "model surprisal explains multiple N400 effects. Neurobiology of Language, 5(1), 107–135.",
)
WORDFREQ = Publication("Speer, 2022", "Speer, R. (2022). wordfreq (version 3.0). Zenodo.")
