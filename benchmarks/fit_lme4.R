# Child process: time one model in lme4, print one line of JSON.
# Arguments: CSV file, factor columns (comma-separated), formula, repeats, seconds to spend.
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
data <- read.csv(arguments[1], colClasses = NA)
for (column in strsplit(arguments[2], ",")[[1]]) data[[column]] <- factor(data[[column]])
formula <- as.formula(arguments[3])
repeats <- as.integer(arguments[4])
budget <- as.numeric(arguments[5])

time_fits <- function(control) {
  fit_once <- function() suppressWarnings(suppressMessages(lmer(formula, data, control = control)))
  fit <- fit_once()
  seconds <- c()
  while (length(seconds) < 3 || (length(seconds) < repeats && sum(seconds) < budget)) {
    seconds <- c(seconds, system.time(fit <- fit_once())[["elapsed"]])
  }
  list(seconds = seconds, loglik = as.numeric(logLik(fit)), nobs = nobs(fit))
}

# system.time counts whole milliseconds: short fits are timed ten at a go.
time_short <- function(control, first) {
  if (median(first$seconds) > 0.1) return(first)
  fit_ten <- function() for (i in 1:10)
    suppressWarnings(suppressMessages(lmer(formula, data, control = control)))
  first$seconds <- replicate(max(3, repeats %/% 3), system.time(fit_ten())[["elapsed"]] / 10)
  first
}

plain <- lmerControl(calc.derivs = FALSE)
checked <- lmerControl()
without <- time_short(plain, time_fits(plain))
with_check <- time_short(checked, time_fits(checked))
numbers <- function(x) paste0("[", paste(format(x, digits = 6), collapse = ","), "]")
cat(sprintf(
  '{"version": "%s", "R": "%s", "seconds": %s, "seconds_checked": %s, "loglik": %.12f, "nobs": %d}\n',
  as.character(packageVersion("lme4")), getRversion(), numbers(without$seconds),
  numbers(with_check$seconds), without$loglik, without$nobs
))
