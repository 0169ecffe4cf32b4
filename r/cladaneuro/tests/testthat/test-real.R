# The program itself, with a model in a folder: both are named where the tests of the Python package call these.
model <- Sys.getenv("CLADANEURO_TEST_MODEL")

test_that("stimuli become words and trials by the program itself", {
  skip_if_not(nzchar(model))
  stimuli <- data.frame(
    item = c("a", "a", "b", "b"), condition = c(1, 2, 1, 2), critical_word = c("dog", "cat", "tea", "mud"),
    sentence = c("The dog ran.", "The cat ran.", "She drank tea today.", "She drank mud today."), mine = 4:1
  )
  words <- trace(stimuli, model = model, quiet = TRUE)
  expect_equal(as.vector(table(words$item)), c(6, 8))
  expect_equal(words$word[words$is_critical], stimuli$critical_word)
  expect_equal(words$mine[words$is_critical], 4:1)
  expect_true(all(words$surprisal_bits > 0))
  expect_error(trace(stimuli["mine"], model = model, quiet = TRUE), "sentence")
})
