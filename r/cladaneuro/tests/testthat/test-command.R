test_that("names of R become options of the program", {
  expect_equal(
    cladaneuro:::as_options(list(
      start_token = "none", attention = TRUE, csv = FALSE, scheduler = NULL, where = c("a > 1", "b < 2"),
      column = c(item = "Frame", context = ""), sparsity = 0.4, limit = 100000
    )),
    c("--start-token", "none", "--attention", "--where", "a > 1", "--where", "b < 2",
      "--column", "item=Frame", "--column", "context=", "--sparsity", "0.4", "--limit", "100000")
  )
  expect_error(cladaneuro:::as_options(list("gpt2")), "options of the program have names")
})

test_that("texts with spaces, quotes and other scripts reach the program as they are", {
  program <- stand_in(copying)
  trace("my file.csv", out = file.path(tempdir(), "a b.csv"), model = "it's \u00fc\"q\"", quiet = TRUE)
  told <- program$calls()
  expect_equal(told[1:2], c("trace", "my file.csv"))
  expect_equal(told[3:4], c("--out", file.path(tempdir(), "a b.csv")))
  expect_equal(enc2utf8(told[6]), "it's \u00fc\"q\"")
})

test_that("a program that is not there is one line", {
  before <- options(cladaneuro.command = "")
  on.exit(options(before))
  expect_error(trace("x.csv"), "was not found: install it", fixed = TRUE)
  options(cladaneuro.command = "/nowhere/clada-neuro")
  expect_error(trace("x.csv", quiet = TRUE), "/nowhere/clada-neuro", fixed = TRUE)
})

test_that("the program's line becomes the error, its notes messages", {
  stand_in("message('working'); message('Error: row 3: no such word'); quit(status = 2)")
  expect_error(trace("x.csv", quiet = TRUE), "^row 3: no such word$")
  stand_in(paste("message('note: 3 rows left out')", copying, sep = "\n"))
  expect_message(trace("x.csv"), "note: 3 rows left out")
})

test_that("what is no table, file or name is refused", {
  stand_in(copying)
  expect_error(trace(list(1)), "stimuli is a data frame, a file or the name of a data set; given was list")
})

test_that("the program finds the libraries that it would find outside of R", {
  skip_on_os("windows")
  whole <- function(path) cladaneuro:::without_libraries_of_r(path)
  ours <- system2("sh", c("-c", shQuote(sprintf("unset LD_LIBRARY_PATH; . '%s/ldpaths'; echo \"$LD_LIBRARY_PATH\"", R.home("etc")))), stdout = TRUE)
  expect_equal(whole(ours), "")
  expect_equal(whole(paste0(ours, ":/opt/mine:/opt/other")), "/opt/mine:/opt/other")
  expect_equal(whole("/opt/mine"), "/opt/mine")
})
