# Rscript within_anova_reference.R > within_anova_reference.json (R 4.2.2)
# One within-subject factor: anova.mlm with spherical test, Greenhouse-Geisser epsilon; paired t tests, Holm's p.
set.seed(4)
y <- round(matrix(rnorm(14 * 4), 14) %*% chol(toeplitz(c(4, 3, 2, 1))) + rep(c(0, -1, -1.5, .4), each = 14) + rnorm(14), 3)
colnames(y) <- c("a", "b", "c", "d")
found <- anova(lm(y ~ 1), X = ~1, test = "Spherical")
pairs <- combn(4, 2)
p <- apply(pairs, 2, function(k) t.test(y[, k[1]], y[, k[2]], paired = TRUE)$p.value)
cat(jsonlite::toJSON(list(
  y = y, f = found[1, "F"], df1 = found[1, "num Df"], df2 = found[1, "den Df"], p_gg = found[1, "G-G Pr"],
  epsilon = as.numeric(sub(".*: *", "", grep("Greenhouse", attr(found, "heading"), value = TRUE))),
  pairs = apply(pairs, 2, function(k) paste(colnames(y)[k], collapse = "-")), p = p, p_holm = p.adjust(p, "holm")
), digits = 15, auto_unbox = TRUE))
