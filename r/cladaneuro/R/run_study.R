run_study <- function(stimuli, trials = NULL, out, ..., quiet = FALSE) {
  scratch <- tempfile("cladaneuro")
  dir.create(scratch)
  on.exit(unlink(scratch, recursive = TRUE))
  given <- as_file(stimuli, "stimuli", scratch)
  responses <- if (!is.null(trials)) c("--trials", as_file(trials, "trials", scratch))
  call_program(c("run", given, responses, "--out", out, as_options(list(...))), quiet)
  structure(
    list(folder = out, report = file.path(out, "report.html"), trials = read_trials(out)),
    class = "cladaneuro_study"
  )
}

print.cladaneuro_study <- function(x, ...) {
  cat("A study of ", nrow(x$trials), " trials in ", x$folder, "\nReport: ", x$report, "\n", sep = "")
  invisible(x)
}
