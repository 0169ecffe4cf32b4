# usage: Rscript marginal_glmm_reference.R DIR   -> marginal_glmm_reference.json
# Marginal means, contrasts and slopes of counts (glmer) and of logarithms (lmer), on both scales, by emmeans; profiles by lme4.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(emmeans); library(jsonlite)})
dir <- commandArgs(TRUE)[1]
emm_options(lmerTest.limit = 1e5)
both <- "(1|subject) + (1|item)"
designs <- list(
 list(f = "accurate ~ surprisal * group + condition", r = both, family = "binomial", specs = c("condition | group", "condition"), trend = "surprisal", by = "group", profile = TRUE),
 list(f = "accurate ~ condition * group", r = both, family = "binomial", specs = c("condition | group", "group"), sum = c("condition", "group")),
 list(f = "accurate ~ condition * surprisal", r = "(1 + surprisal|subject) + (1|item)", family = "binomial", specs = "condition", trend = "surprisal", by = "condition", at = list(surprisal = 5)),
 list(f = "hits/(hits + misses) ~ condition * group + surprisal", r = both, family = "binomial", specs = c("condition | group", "condition")),
 list(f = "regressions ~ surprisal * group + condition", r = both, family = "poisson", specs = c("condition", "group"), trend = "surprisal", by = "group", profile = TRUE),
 list(f = "regressions ~ condition * group", r = "(1|subject)", family = "poisson", specs = "condition | group"),
 list(f = "log(rt_ms) ~ condition * group", r = both, specs = c("condition | group", "condition")),
 list(f = "log(rt_ms) ~ condition * x + group", r = both, specs = c("condition", "group"), trend = "x", by = "condition"),
 list(f = "log10(rt_ms) ~ condition + x", r = both, specs = "condition"))
quietly <- function(expr) suppressMessages(suppressWarnings(expr))
numbers <- function(s) { t <- as.data.frame(s)
  names(t)[names(t) %in% c("emmean", "prob", "rate", "response", "odds.ratio", "ratio", "x.trend", "surprisal.trend")] <- "estimate"
  names(t) <- sub("^[tz]\\.ratio$", "t", sub("^(asymp\\.LCL|lower\\.CL)$", "lower", sub("^(asymp\\.UCL|upper\\.CL)$", "upper", names(t))))
  keep <- intersect(c("estimate", "SE", "df", "lower", "upper", "t", "p.value"), names(t))
  c(list(labels = lapply(t[setdiff(names(t), c(keep, "null"))], as.character)), as.list(t[keep])) }
means <- function(m, spec, sigma, at = NULL) {
  e <- quietly(emmeans(m, as.formula(paste("~", spec)), lmer.df = "satterthwaite", at = at))
  pairs_by <- function(type) lapply(setNames(nm = c("tukey", "holm", "sidak", "none")), function(a) numbers(quietly(do.call(summary, list(pairs(e), adjust = a, infer = TRUE, type = type)))))
  c(list(spec = spec, link = numbers(quietly(summary(e, type = "link"))), response = numbers(quietly(summary(e, type = "response"))),
    pairs = list(link = pairs_by("link"), response = pairs_by("response")),
    control = numbers(quietly(summary(contrast(e, "trt.vs.ctrl"), adjust = "none", infer = TRUE, type = "response")))),
    if (!is.null(sigma)) list(adjusted = numbers(quietly(summary(e, type = "response", bias.adjust = TRUE, sigma = sigma))))) }
tight <- function(o, tol) glmerControl(optimizer = o, tolPwrss = tol, optCtrl = if (o == "bobyqa") list(maxfun = 1e5, rhoend = 1e-9) else list())
counted <- function(formula, family, d, w, contrasts) {
  d$w <- w
  one <- function(o, tol) quietly(glmer(formula, d, family = family, weights = w, control = tight(o, tol), contrasts = contrasts))
  fits <- Filter(Negate(is.null), lapply(c("bobyqa", "nlminbwrap"), function(o)
    tryCatch(one(o, 1e-12), error = function(e) tryCatch(one(o, 1e-10), error = function(e) NULL))))
  fits[[which.max(sapply(fits, logLik))]] }
out <- list(versions = lapply(setNames(nm = c("lme4", "lmerTest", "emmeans")), function(p) as.character(packageVersion(p))), designs = list())
for (ds in c("full", "unbalanced")) for (one in designs) {
  log_response <- is.null(one$family)
  d <- read.csv(file.path(dir, paste0(if (log_response) "factorial_" else "counts_", ds, ".csv")), stringsAsFactors = TRUE)
  if (log_response) d$rt_ms <- exp(6 + d$n400_uv / 8)
  d$share <- if (!log_response) d$hits / (d$hits + d$misses)
  # emmeans takes a quotient for a transformation
  text <- paste(one$f, "+", one$r); formula <- as.formula(sub("hits/(hits + misses)", "share", text, fixed = TRUE))
  contrasts <- if (!is.null(one$sum)) setNames(as.list(rep("contr.sum", length(one$sum))), one$sum)
  if (log_response) m <- quietly(eval(bquote(lmerTest::lmer(.(formula), d,  # emmeans finds the logarithm in the call
    control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e5))))))
  else m <- counted(formula, one$family, d, if (grepl("hits", one$f)) d$hits + d$misses else 1, contrasts)
  sigma <- if (log_response) sqrt(sum(as.data.frame(VarCorr(m))$vcov))
  r <- list(data = ds, formula = text, family = if (log_response) "gaussian" else one$family, sum = if (is.null(one$sum)) character(0) else one$sum,
    loglik = as.numeric(logLik(m)), sigma = sigma, means = lapply(one$specs, function(s) means(m, s, sigma)))
  if (!is.null(one$at)) r$at <- c(list(at = one$at), means(m, one$specs[1], sigma, one$at))
  if (!is.null(one$trend)) { e <- quietly(emtrends(m, as.formula(paste("~", one$by)), var = one$trend, lmer.df = "satterthwaite"))
    r$trends <- list(predictor = one$trend, spec = one$by, slopes = numbers(e), pairs = numbers(quietly(summary(pairs(e), adjust = "none", infer = TRUE)))) }
  if (isTRUE(one$profile) && ds == "unbalanced") { p <- quietly(confint(m, parm = "beta_", method = "profile"))
    r$profile <- list(terms = rownames(p), low = unname(p[, 1]), high = unname(p[, 2])) }
  out$designs[[length(out$designs) + 1]] <- r
  cat(ds, text, r$loglik, "\n")
}
write(toJSON(out, digits = 10, auto_unbox = TRUE), file.path(dir, "marginal_glmm_reference.json"))
