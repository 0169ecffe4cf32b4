# Calling the command line: where it is, what it is told, what it answers.

# The words that start clada-neuro: an option, the environment, or the search path.
program <- function() {
  found <- getOption("cladaneuro.command", Sys.getenv("CLADA_NEURO", Sys.which("clada-neuro")[[1]]))
  if (!any(nzchar(found))) {
    fail(
      "the program clada-neuro was not found: install it (pip install clada-neuro), or say where it is, ",
      "options(cladaneuro.command = \"/path/to/clada-neuro\")"
    )
  }
  found
}

# Run the program; its last line of complaint becomes the error.
call_program <- function(arguments, quiet = FALSE) {
  words <- program()
  told <- tempfile()
  before <- Sys.getenv("LD_LIBRARY_PATH", NA)
  on.exit(unlink(told))
  if (!is.na(before)) {
    on.exit(Sys.setenv(LD_LIBRARY_PATH = before), add = TRUE)
    Sys.setenv(LD_LIBRARY_PATH = without_libraries_of_r(before))
  }
  status <- suppressWarnings(system2(
    words[[1]], shQuote(c(words[-1], arguments)), stdout = if (quiet) FALSE else "", stderr = told
  ))
  lines <- if (file.exists(told)) readLines(told, warn = FALSE, encoding = "UTF-8") else character()
  lines <- lines[nzchar(trimws(lines))]
  if (status == 127 && !length(lines)) fail("the program could not be started: ", words[[1]])
  if (status != 0) {
    fail(if (length(lines)) sub("^Error: ", "", lines[[length(lines)]]) else paste("clada-neuro ended with code", status))
  }
  if (!quiet) for (line in grep("^(note|warning)", lines, value = TRUE, ignore.case = TRUE)) message(line)
  invisible(lines)
}

# R puts folders of its own before LD_LIBRARY_PATH, where a Python would find libraries of another Python.
without_libraries_of_r <- function(path) {
  file <- file.path(R.home("etc"), "ldpaths")
  if (!file.exists(file)) return(path)
  ask <- sprintf("unset LD_LIBRARY_PATH; . %s; echo \"$LD_LIBRARY_PATH\"", shQuote(file))
  added <- system2("sh", c("-c", shQuote(ask)), stdout = TRUE)
  if (identical(path, added)) "" else if (startsWith(path, paste0(added, ":"))) substring(path, nchar(added) + 2) else path
}

# R's names to the program's: start_token = "none" is --start-token none, TRUE a flag, several values several options.
as_options <- function(given) {
  if (length(given) && (is.null(names(given)) || !all(nzchar(names(given))))) {
    fail("options of the program have names, such as model = \"smollm2\"; one here has none")
  }
  unlist(lapply(names(given), function(name) {
    value <- given[[name]]
    option <- paste0("--", gsub("_", "-", name, fixed = TRUE))
    if (is.null(value) || identical(value, FALSE)) return(character())
    if (identical(value, TRUE)) return(option)
    keys <- names(value)
    value <- if (is.numeric(value)) format(value, digits = 15, trim = TRUE, scientific = FALSE) else as.character(value)
    if (!is.null(keys)) value <- paste0(keys, ifelse(nzchar(keys), "=", ""), value)
    as.vector(rbind(option, value))
  }))
}

# A table as the file that the program reads; what is a path or a name already stays as it is.
as_file <- function(table, name, folder) {
  if (is.character(table) && length(table) == 1) return(table)
  if (!is.data.frame(table)) fail(name, " is a data frame, a file or the name of a data set; given was ", class(table)[[1]])
  path <- file.path(folder, paste0(name, ".csv"))
  write.csv(table, path, row.names = FALSE, na = "", fileEncoding = "UTF-8")
  path
}

fail <- function(...) stop(..., call. = FALSE)
