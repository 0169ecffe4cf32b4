# usage: Rscript glmer_reference.R DIR   -> glmer_reference.json
# tolPwrss = 1e-12: with the default, 1e-7, standard errors still differ in the third digit from those of the exact Hessian.
suppressPackageStartupMessages({library(lme4); library(jsonlite)})
dir <- commandArgs(TRUE)[1]
models <- list(
 list("crossed",     accurate ~ surprisal + condition + (1|subject) + (1|item), "binomial"),
 list("slope",       accurate ~ surprisal + condition + (1 + surprisal|subject) + (1|item), "binomial"),
 list("uncorrelated",accurate ~ surprisal + (1 + surprisal||subject) + (1|item), "binomial"),
 list("sum",         accurate ~ condition * group + (1|subject) + (1|item), "binomial", c("condition", "group")),
 list("interaction", accurate ~ surprisal * group + condition + (1|subject) + (1|item), "binomial"),
 list("subject",     accurate ~ surprisal + (1|subject), "binomial"),
 list("aggregated",  hits/(hits + misses) ~ surprisal + condition + (1 + surprisal|subject) + (1|item), "binomial"),
 list("poisson",     regressions ~ surprisal + condition + (1|subject) + (1|item), "poisson"),
 list("poissonslope",regressions ~ surprisal * group + (1 + surprisal|subject) + (1|item), "poisson"))
out <- list(versions=list(R=as.character(getRversion()), lme4=as.character(packageVersion("lme4"))), fits=list())
for (ds in c("full", "unbalanced", "nearzero")) {
  for (m in models) {
    d <- read.csv(file.path(dir, paste0("counts_", ds, ".csv")), stringsAsFactors=TRUE)
    for (f in if (length(m) > 3) m[[4]]) contrasts(d[[f]]) <- contr.sum(nlevels(d[[f]]))
    w <- if (m[[1]] == "aggregated") d$hits + d$misses else NULL
    d$w <- if (is.null(w)) 1 else w
    one <- function(o, tol) suppressWarnings(suppressMessages(glmer(m[[2]], d, family=m[[3]], weights=w,
      control=glmerControl(optimizer=o, tolPwrss=tol, optCtrl=if (o == "bobyqa") list(maxfun=1e5, rhoend=1e-9) else list()))))
    # at 1e-12 its step halvings can fail by rounding
    fits <- Filter(Negate(is.null), lapply(c("bobyqa", "nlminbwrap"), function(o)
      tryCatch(one(o, 1e-12), error=function(e) tryCatch(one(o, 1e-10), error=function(e) NULL))))
    g <- fits[[which.max(sapply(fits, logLik))]]
    h <- g@optinfo$derivs$Hessian
    r <- list(dataset=ds, model=m[[1]], family=m[[3]], formula=paste(deparse(m[[2]], width.cutoff=500), collapse=" "),
      sum=if (length(m) > 3) m[[4]] else character(0), terms=names(fixef(g)), beta=unname(fixef(g)), se=unname(sqrt(diag(as.matrix(vcov(g))))),
      loglik=as.numeric(logLik(g)), aic=AIC(g), parameters=attr(logLik(g), "df"), theta=unname(getME(g, "theta")), singular=isSingular(g),
      definite=all(eigen(h)$values > 0), sdcor=as.data.frame(VarCorr(g))$sdcor, fitted_first5=unname(fitted(g)[1:5]))
    out$fits[[length(out$fits) + 1]] <- r
    cat(ds, m[[1]], sprintf("ll=%.6f singular=%s definite=%s", r$loglik, r$singular, r$definite), format(r$theta), "\n")
  }
}
write(toJSON(out, digits=NA, auto_unbox=TRUE, pretty=TRUE), file.path(dir, "glmer_reference.json"))
