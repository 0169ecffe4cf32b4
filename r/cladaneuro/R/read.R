# Tables of an output folder as data frames.

KEYS <- c("subject", "item", "condition", "stimulus", "stimulus_id", "list")

read_words <- function(folder) read_table(folder, "words")

read_trials <- function(folder) read_table(folder, "trials")

read_table <- function(folder, name) {
  path <- if (grepl("\\.(csv|parquet)$", folder)) folder else file.path(folder, paste0(name, ".csv"))
  if (!file.exists(path)) {
    path <- sub("\\.csv$", ".parquet", path)
    if (!file.exists(path)) fail("no ", name, ".csv and no ", name, ".parquet in ", folder)
  }
  as_keys(if (grepl("\\.parquet$", path)) read_parquet(path) else read_csv(path))
}

read_csv <- function(path) {
  header <- names(read.csv(path, nrows = 1, encoding = "UTF-8"))
  texts <- intersect(c(KEYS, "word", "critical_word", "sentence"), header)
  kinds <- structure(rep("character", length(texts)), names = texts)
  found <- read.csv(path, encoding = "UTF-8", na.strings = "", colClasses = kinds) # "NA" may be a word
  found[] <- lapply(found, unguarded)
  found
}

# Text that a spreadsheet would run was written with an apostrophe before it.
unguarded <- function(column) {
  if (is.character(column)) sub("^'(?=[=+@\t\r-])", "", column, perl = TRUE) else column
}

read_parquet <- function(path) {
  if (!requireNamespace("arrow", quietly = TRUE)) {
    fail(path, " is a parquet file, which R reads with the package arrow: install.packages(\"arrow\")")
  }
  found <- as.data.frame(arrow::read_parquet(path))
  names(found) <- make.names(names(found), unique = TRUE)
  found
}

# People, items and conditions are names, also where they are numbers.
as_keys <- function(table) {
  for (key in intersect(KEYS, names(table))) table[[key]] <- factor(as.character(table[[key]]))
  table
}
