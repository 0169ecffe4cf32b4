trace <- function(stimuli, out = NULL, ..., quiet = FALSE) {
  scratch <- tempfile("cladaneuro")
  dir.create(scratch)
  on.exit(unlink(scratch, recursive = TRUE))
  place <- if (is.null(out)) file.path(scratch, "words_of_trace.csv") else out
  given <- as_file(stimuli, "stimuli", scratch)
  call_program(c("trace", given, "--out", place, as_options(list(...))), quiet)
  read_words(place)
}
