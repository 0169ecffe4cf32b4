library(testthat)
library(cladaneuro)

test_check("cladaneuro")
