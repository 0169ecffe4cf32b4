# usage: Rscript model_matrix_reference.R DIR   -> model_matrix_reference.json
# The columns of model.matrix() for formulas as R users write them; levels in the order of code points (LC_COLLATE=C).
invisible(Sys.setlocale("LC_COLLATE", "C"))
suppressPackageStartupMessages({library(splines); library(MASS)})
dir <- commandArgs(TRUE)[1]
d <- read.csv(file.path(dir, "model_matrix.csv"), check.names = FALSE, stringsAsFactors = TRUE)
sides <- c(
  "x %in% cond", "x * cond", "0 + cond:x", "cond/x", "(x + two + num)^2", "x * two - x",
  "scale(`word length`)", "scale(cloze.prob)", "scale(x, scale=FALSE)", "scale(x, center = FALSE)", "scale(x, T, F)",
  "log(rt)", "log(rt, 2)", "log(rt, base = 10)", "I(-1000/rt)", "I(x^2)", "I((x > 0) * cloze.prob)", "I(num %% 2)",
  "ns(x, 3)", "ns(`word length`, df = 2)", "ns(x, knots = c(-1, 0.5))", "bs(x, 5)", "bs(cloze.prob, df = 4, degree = 2)",
  "poly(x, 2)", "poly(x, degree = 2, raw = TRUE)", "relevel(cond, ref = \"control\")", "relevel(cond, \"baseline\") * x",
  "C(cond, contr.sum)", "C(cond, sum)", "C(cond, \"contr.helmert\")", "C(cond, contr.poly)", "C(cond, contr.sdif)",
  "C(cond, contr.treatment(3, base = 2))", "C(cond, contr.treatment, base = 3)", "C(cond, contr.SAS)",
  "C(two, c(-0.5, 0.5)) * x", "C(cond, cbind(c(1, -1, 0), c(0, 0.5, -0.5)))", "0 + C(two, c(-0.5, 0.5))",
  "factor(num)", "as.factor(num) * x", "ordered(num)", "factor(cond, levels = c(\"control\", \"Expt\", \"baseline\"))",
  "factor(num, levels = c(10, 1, 2))", "as.numeric(num)", "0 + cond * two", "cloze.prob + `word length`:two")
numbers <- function(x) paste0("[", paste(format(x, digits = 17, trim = TRUE, scientific = TRUE), collapse = ","), "]")
one <- function(side) {
  X <- model.matrix(as.formula(paste("~", side)), d)
  sprintf('  {"side": %s, "columns": [%s]}', dQuote(gsub('"', '\\\\"', side), FALSE), paste(apply(X, 2, numbers), collapse = ",\n    "))
}
head <- sprintf('{"versions": {"R": "%s"},\n "matrices": [\n', getRversion())
cat(head, paste(sapply(sides, one), collapse = ",\n"), "\n]}\n", sep = "", file = file.path(dir, "model_matrix_reference.json"))
