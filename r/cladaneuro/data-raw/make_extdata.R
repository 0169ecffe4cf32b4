# The example files of the package: run in its folder, with clada-neuro on the path.
#   clada-neuro trace inst/extdata/stimuli.csv --out inst/extdata/traced && Rscript data-raw/make_extdata.R
# Of the trace the rows of critical words are kept. The responses are simulated, with these values.
folder <- file.path("inst", "extdata", "traced")
words <- read.csv(file.path(folder, "words.csv"), encoding = "UTF-8")
critical <- words[words$is_critical, ]
write.csv(critical, file.path(folder, "words.csv"), row.names = FALSE, na = "")
unlink(file.path(folder, setdiff(list.files(folder, all.files = TRUE, no.. = TRUE), "words.csv")), recursive = TRUE)

set.seed(1)
subjects <- sprintf("s%02d", 1:12)
trials <- merge(data.frame(subject = subjects), critical[c("item", "condition", "surprisal_bits")])
named <- function(values, sd) setNames(rnorm(length(values), 0, sd), values)
by_subject <- named(subjects, 1.5)
by_item <- named(unique(trials$item), 0.6)
by_text <- named(unique(paste(trials$item, trials$condition)), 0.5)
trials$n400_uv <- round(
  2 - 0.25 * trials$surprisal_bits + by_subject[trials$subject] + by_item[trials$item] +
    by_text[paste(trials$item, trials$condition)] + rnorm(nrow(trials), 0, 3), 2)
write.csv(trials[c("subject", "item", "condition", "n400_uv")],
          file.path("inst", "extdata", "trials.csv"), row.names = FALSE)
