# usage: Rscript marginal_reference.R DIR   -> marginal_reference.json
# Coefficients, marginal means, slopes, contrasts and F tests of 64 designs: lme4, lmerTest, emmeans, pbkrtest.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(emmeans); library(pbkrtest); library(MASS); library(jsonlite)})
args <- commandArgs(TRUE); dir <- args[1]
emm_options(pbkrtest.limit = 1e5, lmerTest.limit = 1e5)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)
crossed <- "(1|subject) + (1|item)"
fixed <- list(
 list(f = "condition", specs = "condition"),
 list(f = "condition * group", specs = c("condition | group", "group | condition", "condition")),
 list(f = "condition * group * block", specs = c("condition | group + block", "block", "condition | block")),
 list(f = "condition * x", specs = "condition", trend = "x", by = "condition"),
 list(f = "condition * group + x", specs = c("condition | group", "condition + group")),
 list(f = "condition + group + block", specs = c("condition", "group", "block")),
 list(f = "condition * group * x", specs = c("condition | group", "condition"), trend = "x", by = "condition | group"),
 list(f = "condition * log(z) + block", specs = "condition"),
 list(f = "condition * group + condition * block + x", specs = c("condition | block", "group | condition")),
 list(f = "condition + x + I(x^2)", specs = "condition"),
 list(f = "condition * half + x", specs = c("condition | half", "condition")),
 list(f = "factor(list) + condition:block + condition + block", specs = c("list", "condition | block")),
 list(f = "condition * (group + x) + z", specs = c("condition | group", "group"), trend = "x", by = "condition"),
 list(f = "block * x + group * x", specs = c("block", "group"), trend = "x", by = "block + group"),
 list(f = "condition * poly(x, 2)", specs = "condition"),
 list(f = "group * block * x + condition", specs = c("group | block", "condition"), trend = "x", by = "group | block"))
randoms <- c("(1|subject) + (1|item)", "(1+x||subject) + (1|item)", "(1|subject) + (1|subject:block) + (1|item)", "(1|subject)", "(1+x|subject) + (1|item)")
codings <- list(
 list(), list(condition = "sum", group = "sum"), list(condition = "helmert", block = "sum"), list(condition = "poly", group = "treatment"),
 list(condition = "sdif", group = "helmert", block = "sdif"))
coding <- c(sum = "contr.sum", helmert = "contr.helmert", poly = "contr.poly", sdif = "contr.sdif", treatment = "contr.treatment")
numbers <- function(s) { t <- as.data.frame(s); names(t)[names(t) %in% c("emmean", "x.trend")] <- "estimate"
  keep <- intersect(c("estimate", "SE", "df", "lower.CL", "upper.CL", "t.ratio", "p.value"), names(t))
  labels <- setdiff(names(t), keep)
  c(list(labels = lapply(t[labels], as.character)), as.list(t[keep])) }
quietly <- function(expr) suppressMessages(suppressWarnings(expr))
means <- function(m, spec) {
  e <- quietly(emmeans(m, as.formula(paste("~", spec)), lmer.df = "satterthwaite"))
  adjusts <- c("tukey", "holm", "sidak", "none")
  plain <- function(...) numbers(quietly(summary(contrast(e, ...), adjust = "none", infer = TRUE)))
  set.seed(1)
  list(spec = spec, means = numbers(e),
    pairs = c(lapply(setNames(adjusts, adjusts), function(a) numbers(quietly(summary(pairs(e), adjust = a, infer = TRUE)))),
      list(mvt = numbers(quietly(summary(pairs(e), adjust = "mvt", infer = c(FALSE, TRUE)))))),
    polynomial = plain("poly"), control = plain("trt.vs.ctrl", ref = 2), effects = plain("eff"), consecutive = plain("consec"))
}
# What emmeans and lmerTest do with pbkrtest, with the adjusted covariance computed once a model: their own calls take minutes.
kr_rows <- function(m, V, L) list(estimate = as.vector(L %*% fixef(m)), SE = sqrt(diag(as.matrix(L %*% V %*% t(L)))),
  df = apply(L, 1, function(l) pbkrtest::Lb_ddf(l, vcov(m), V)))
kr_tests <- function(m, V, Ls) { found <- lapply(Ls, function(L) if (nrow(L)) pbkrtest:::.finalizeKR(lapply(pbkrtest:::.KR_adjust(V, vcov(m), L, fixef(m), 0), c))$test)
  row <- function(name) unname(sapply(found, function(t) t["Ftest", name]))
  list(term = names(Ls), F = row("stat"), df1 = row("ndf"), df2 = row("ddf"), p = row("p.value")) }
out <- list(versions = lapply(setNames(nm = c("lme4", "lmerTest", "emmeans", "pbkrtest")), function(p) as.character(packageVersion(p))))
count <- 0
for (ds in c("unbalanced", "few", "nearzero", "full")) {
  d <- read.csv(file.path(dir, paste0("factorial_", ds, ".csv")), stringsAsFactors = TRUE)
  for (k in seq_along(fixed)) {
    one <- fixed[[k]]; count <- count + 1
    random <- randoms[(count + k) %% 5 + 1]
    if (ds == "few" && grepl("x", random)) random <- crossed
    chosen <- codings[[count %% 5 + 1]]
    chosen <- chosen[names(chosen) %in% all.vars(as.formula(paste("~", one$f)))]
    formula <- paste("n400_uv ~", one$f, "+", random)
    m <- quietly(lmerTest::lmer(as.formula(formula), d, control = control, contrasts = if (length(chosen)) lapply(chosen, function(c) coding[[c]])))
    V <- vcovAdj(m)
    s <- quietly(coef(summary(m)))
    tests <- function(type) { a <- quietly(as.data.frame(anova(m, type = type)))
      list(term = rownames(a), F = a[["F value"]], df1 = a$NumDF, df2 = a$DenDF, p = a[["Pr(>F)"]]) }
    r <- list(data = ds, formula = formula, contrasts = chosen, n = nobs(m), loglik = as.numeric(logLik(m)), sigma = sigma(m), singular = isSingular(m),
      terms = names(fixef(m)), satterthwaite = list(estimate = unname(s[, 1]), SE = unname(s[, 2]), df = unname(s[, 3])),
      kenward_roger = kr_rows(m, V, diag(length(fixef(m)))),
      anova = list(type2 = tests(2), type3 = tests(3), type2_kr = kr_tests(m, V, lmerTest:::get_contrasts_type2_unfolded(m)),
        type3_kr = kr_tests(m, V, lmerTest:::get_contrasts_type3(m))),
      means = lapply(one$specs, function(s) means(m, s)),
      means_kr = { e <- quietly(emmeans(m, as.formula(paste("~", one$specs[1])), lmer.df = "asymptotic"))
        list(spec = one$specs[1], means = kr_rows(m, V, e@linfct), pairs = kr_rows(m, V, pairs(e)@linfct)) })
    if (!is.null(one$trend)) {
      e <- quietly(emtrends(m, as.formula(paste("~", one$by)), var = one$trend, lmer.df = "satterthwaite"))
      r$trends <- list(predictor = one$trend, spec = one$by, slopes = numbers(e), pairs = numbers(quietly(summary(pairs(e), adjust = "none", infer = TRUE))))
    }
    if (grepl("condition \\* group", one$f)) {
      e <- quietly(emmeans(m, ~ condition + group, lmer.df = "satterthwaite"))
      r$interaction <- numbers(quietly(summary(contrast(e, interaction = c("pairwise", "consec")), adjust = "none", infer = TRUE)))
    }
    if (grepl("x", one$f) && !grepl("poly|\\^", one$f)) {
      e <- quietly(emmeans(m, as.formula(paste("~", one$specs[1])), at = list(x = 5), lmer.df = "satterthwaite"))
      r$at5 <- numbers(e)
    }
    out$designs[[count]] <- r
    cat(count, ds, formula, "\n")
  }
}
write(toJSON(out, digits = 10, auto_unbox = TRUE), file.path(dir, "marginal_reference.json"))
