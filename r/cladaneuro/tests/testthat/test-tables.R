test_that("a data frame reaches the program as a UTF-8 file and comes back as words", {
  program <- stand_in(copying)
  words <- trace(data.frame(item = 1, sentence = "Das M\u00e4dchen, \"na\" ja."), quiet = TRUE)
  seen <- read.csv(program$seen, encoding = "UTF-8")
  expect_equal(seen$sentence, "Das M\u00e4dchen, \"na\" ja.")
  expect_equal(nrow(words), 72)
  expect_s3_class(words$condition, "factor")
  expect_type(words$surprisal_bits, "double")
})

test_that("names that are numbers are factors, and words that look like missing values or truths stay words", {
  path <- tempfile(fileext = ".csv")
  writeLines(c("item,condition,word,rank,mine", "1,2,NA,5,", "2,1,TRUE,,'=a"), path)
  words <- read_words(path)
  expect_equal(levels(words$item), c("1", "2"))
  expect_equal(words$word, c("NA", "TRUE"))
  expect_equal(words$rank, c(5L, NA))
  expect_equal(words$mine, c(NA, "=a"))
})

test_that("parquet without arrow, and a folder without tables, are one line each", {
  folder <- tempfile()
  dir.create(folder)
  expect_error(read_trials(folder), "no trials.csv and no trials.parquet in")
  skip_if(requireNamespace("arrow", quietly = TRUE))
  file.create(file.path(folder, "words.parquet"))
  expect_error(read_words(folder), "which R reads with the package arrow: install.packages(\"arrow\")", fixed = TRUE)
})

test_that("parquet is read by arrow", {
  skip_if_not_installed("arrow")
  path <- tempfile(fileext = ".parquet")
  arrow::write_parquet(data.frame(item = c(1, 2), word = c("a", "b")), path)
  expect_equal(levels(read_words(path)$item), c("1", "2"))
})

test_that("a study gives its trials and its report", {
  answer <- sprintf("dir.create(out); invisible(file.copy(%s, out))", deparse(example_file("trials.csv")))
  program <- stand_in(answer)
  out <- tempfile("study")
  study <- run_study("demo.csv", data.frame(subject = 1, rt_ms = 300), out, response = c("rt_ms", "log(rt_ms)"), quiet = TRUE)
  expect_equal(program$calls()[c(1, 2, 3, 5, 6)], c("run", "demo.csv", "--trials", "--out", out))
  expect_equal(program$calls()[7:10], c("--response", "rt_ms", "--response", "log(rt_ms)"))
  expect_equal(nrow(study$trials), 12 * 72)
  expect_output(print(study), "A study of 864 trials")
})
