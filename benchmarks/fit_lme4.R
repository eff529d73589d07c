# Child process: time one model in lme4, print one line of JSON.
# Arguments: CSV file, factor columns (comma-separated), formula, repeats, seconds to spend,
# plain or checked (lme4's derivative check after the fit).
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
data <- read.csv(arguments[1], colClasses = NA)
for (column in strsplit(arguments[2], ",")[[1]]) data[[column]] <- factor(data[[column]])
formula <- as.formula(arguments[3])
repeats <- as.integer(arguments[4])
budget <- as.numeric(arguments[5])

check <- arguments[6] == "checked"

control <- lmerControl(calc.derivs = check)
fit_once <- function() suppressWarnings(suppressMessages(lmer(formula, data, control = control)))
fit <- NULL
first <- system.time(fit <- fit_once())[["elapsed"]]
# The first fit only warms up, unless it is so long that warmth does not matter. system.time counts
# whole milliseconds: short fits are timed ten at a go.
times <- if (first < 0.1) 10 else 1
seconds <- if (first > 2) first else c()
while (length(seconds) < 3 || (length(seconds) < repeats && times * sum(seconds) < budget)) {
  elapsed <- system.time(for (i in 1:times) fit <- fit_once())[["elapsed"]]
  seconds <- c(seconds, elapsed / times)
}
cat(sprintf(
  '{"version": "%s", "R": "%s", "seconds": [%s], "loglik": %.12f, "nobs": %d}\n',
  as.character(packageVersion("lme4")), getRversion(),
  paste(format(seconds, digits = 6), collapse = ","), as.numeric(logLik(fit)), nobs(fit)
))
