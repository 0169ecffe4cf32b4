# Reference fits of smooths beside random effects: mgcv's bam and gam, gamm4.
# Rscript smooth_reference.R  writes smooths.csv and smooth_reference.json beside this file.
suppressMessages({library(mgcv); library(gamm4); library(jsonlite)})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
set.seed(20261127)
n_subjects <- 30; n_items <- 80
d <- expand.grid(subject = sprintf("s%02d", 1:n_subjects), item = sprintf("i%02d", 1:n_items))
s <- as.integer(d$subject); i <- as.integer(d$item)
d$x <- round(rgamma(n_items, 3, 0.3), 3)[i]
d$z <- round(rnorm(n_items), 3)[i]
d$group <- c("low", "mid", "high")[(s %% 3) + 1]
d$trial <- round(runif(nrow(d), 0, 100), 4)   # more distinct values than thin plate knots
d$few <- (i %% 6) + 1
d$w <- round(runif(nrow(d), 0.5, 2), 3)
noise <- function() rnorm(n_subjects)[s] + 0.5 * rnorm(n_items)[i] + 2 * rnorm(nrow(d))
slopes <- 0.08 * rnorm(n_subjects)[s] * d$x
d$wiggly <- round(2 + 1.5 * sin(d$x / 3) + 0.3 * d$z + noise(), 3)
d$straight <- round(1 + 0.2 * d$x + 0.3 * d$z + noise(), 3)
d$sloped <- round(1 + 1.2 * sin(d$x / 4) + slopes + noise(), 3)
d$surface <- round(sin(d$x / 4) * d$z + 0.05 * d$x + noise(), 3)
d$plane <- round(0.1 * d$x + 0.2 * d$z + 0.02 * d$x * d$z + noise(), 3)
d$two <- round(1.2 * sin(d$x / 3) + 0.4 * d$z^2 + noise(), 3)
d$groups <- round(ifelse(d$group == "high", 1.5 * sin(d$x / 3), 0.1 * d$x) + noise(), 3)
d$slow <- round(1.5 * cos(d$trial / 12) + noise(), 3)
d$steps <- round((d$few - 3)^2 / 3 + noise(), 3)
d$no_item <- round(2 + 1.5 * sin(d$x / 3) + rnorm(n_subjects)[s] + 2 * rnorm(nrow(d)), 3)
write.csv(d, file.path(here, "smooths.csv"), row.names = FALSE, quote = FALSE)
d <- read.csv(file.path(here, "smooths.csv"), stringsAsFactors = TRUE)

crossed <- "(1 | subject) + (1 | item)"
cases <- list(
  list("wiggly", "s(x)", crossed), list("wiggly", "z + s(x)", crossed), list("wiggly", 's(x, bs = "cr")', crossed),
  list("wiggly", "s(x, k = 20)", crossed), list("wiggly", 'z + group + s(x, k = 15, bs = "cr")', crossed),
  list("wiggly", "s(x)", crossed, "w"), list("wiggly", "s(x)", ""), list("wiggly", "s(x)", "(1 | subject)"),
  list("straight", "s(x)", crossed), list("straight", "s(x) + s(z)", crossed), list("straight", "s(trial)", crossed),
  list("two", "s(x) + s(z)", crossed), list("two", 's(x, bs = "cr", k = 8) + s(z, k = 6)', crossed),
  list("surface", "te(x, z)", crossed), list("surface", "te(x, z, k = c(4, 7))", crossed, NULL, c(0.1, 1e6)), list("surface", "te(x, z)", ""),
  list("plane", "te(x, z)", crossed), list("two", "group + te(x, z) + s(trial)", crossed),
  list("groups", "group + s(x, by = group)", crossed), list("straight", "group + s(x, by = group, k = 8)", crossed),
  list("slow", "s(trial)", crossed), list("slow", 's(trial, bs = "cr") + s(x)', crossed),
  list("steps", "s(few, k = 6)", "(1 | subject)"), list("no_item", "s(x)", crossed),
  list("sloped", "s(x)", "(1 + x | subject) + (1 | item)"), list("sloped", "z + s(x)", "(1 | subject) + (0 + x | subject) + (1 | item)")
)

fit <- function(response, fixed, random, weights = NULL, start = NULL) {
  d$weight <- if (is.null(weights)) 1 else d[[weights]]
  text <- paste(response, "~", fixed)
  if (grepl("x |", random, fixed = TRUE)) {
    # lmer's default tolerance leaves the smoothness off in the fourth digit.
    control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
    model <- gamm4(as.formula(text), random = as.formula(paste("~", random)), data = d, control = control)$gam
    return(list("gamm4", model))
  }
  groups <- c("subject", "item")[c(grepl("subject", random), grepl("item", random))]
  text <- paste(c(text, sprintf('s(%s, bs = "re")', groups)), collapse = " + ")
  if (!length(groups)) return(list("gam", gam(as.formula(text), data = d, weights = weight, method = "REML")))
  model <- bam(as.formula(text), data = d, weights = weight, method = "fREML", control = list(epsilon = 1e-11))
  if (is.null(start)) return(list("bam", model))
  # Two penalties can have several optima; from its own start mgcv ends at a lower one here.
  sizes <- c(start, model$sp[-(1:2)])
  list("gam", gam(as.formula(text), data = d, weights = weight, method = "REML", in.out = list(sp = sizes, scale = model$sig2)))
}

places <- list(x = as.numeric(quantile(d$x, seq(0, 1, 0.1))), z = as.numeric(quantile(d$z, seq(0, 1, 0.1))),
               trial = seq(1, 99, length = 11), few = 1:6)
curves <- function(model) {
  found <- list()
  for (smooth in model$smooth) {
    if (smooth$label %in% c("s(subject)", "s(item)")) next
    at <- expand.grid(places[smooth$term])
    new <- d[rep(1, nrow(at)), ]
    new[smooth$term] <- at
    if (smooth$by != "NA") new[[smooth$by]] <- factor(smooth$by.level, levels = levels(d[[smooth$by]]))
    values <- predict(model, new, type = "terms", se.fit = TRUE, terms = smooth$label)
    row <- summary(model, re.test = FALSE)$s.table[smooth$label, ]
    found[[length(found) + 1]] <- list(label = smooth$label, at = as.list(at), estimate = as.numeric(values$fit),
      se = as.numeric(values$se.fit), edf = unname(row["edf"]), ref_df = unname(row["Ref.df"]), p = unname(row[4]))
  }
  found
}

results <- lapply(cases, function(case) {
  made <- do.call(fit, case)
  table <- summary(made[[2]], re.test = FALSE)$p.table
  text <- paste(c(paste(case[[1]], "~", case[[2]]), if (nzchar(case[[3]])) case[[3]]), collapse = " + ")
  list(formula = text, weights = if (length(case) > 3) case[[4]], witness = made[[1]], sigma = sqrt(made[[2]]$sig2),
    fixed = list(term = I(rownames(table)), estimate = I(unname(table[, 1])), se = I(unname(table[, 2]))),
    residual_df = made[[2]]$df.residual, smooths = curves(made[[2]]))
})
versions <- sapply(c("mgcv", "gamm4", "lme4"), function(name) as.character(packageVersion(name)))
write_json(list(made_with = c(R = R.version.string, versions), fits = results), file.path(here, "smooth_reference.json"),
  auto_unbox = TRUE, digits = 10, null = "null")
