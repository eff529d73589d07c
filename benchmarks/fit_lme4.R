# Child process: time one case in lme4, print one line of JSON. Argument: a JSON file.
suppressMessages({library(lme4); library(jsonlite)})
spec <- fromJSON(commandArgs(TRUE)[1])
meta <- fromJSON(file.path(spec$folder, "meta.json"), simplifyDataFrame = FALSE)

read_column <- function(entry) {
  path <- file.path(spec$folder, entry$name)
  if (entry$type == "double") return(readBin(paste0(path, ".f64"), "double", meta$rows))
  codes <- readBin(paste0(path, ".i32"), "integer", meta$rows) + 1L
  codes[codes == 0L] <- NA
  kind <- if (entry$ordered) c("ordered", "factor") else "factor"
  structure(codes, levels = as.character(unlist(entry$levels)), class = kind)
}
data <- lapply(meta$columns, read_column)
names(data) <- vapply(meta$columns, function(entry) entry$name, "")
data <- as.data.frame(data, optional = TRUE)
responses <- if (meta$responses > 0) {
  count <- min(meta$responses, spec$replicates)
  matrix(readBin(file.path(spec$folder, "Y.f64"), "double", meta$rows * count), ncol = count)
}

kilobytes <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line))
}
quietly <- function(expr) suppressWarnings(suppressMessages(expr))
generalized <- nzchar(spec$family)
control <- if (generalized) glmerControl(calc.derivs = FALSE) else lmerControl(calc.derivs = FALSE)
formula <- as.formula(spec$formula)
fit_once <- function(...) {
  if (!generalized) return(quietly(lmer(formula, data, control = control, ...)))
  quietly(glmer(formula, data, family = spec$family, nAGQ = spec$nodes, control = control, ...))
}
# system.time counts whole milliseconds: short work is timed several times at a go.
timed <- function(work) {
  first <- system.time(work())[["elapsed"]]
  times <- if (first < 0.2) max(1, round(0.2 / max(first, 0.001))) else 1
  seconds <- if (first > 2) first else c()
  while (length(seconds) == 0 || (length(seconds) < spec$limits[1] && times * sum(seconds) < spec$limits[2])) {
    seconds <- c(seconds, system.time(for (i in 1:times) work())[["elapsed"]] / times)
  }
  seconds
}
# What is done with a fit: the names of inference_work.py, the numbers in the same order.
inference_work <- list(
  "kenward-roger" = function(fit) {
    adjusted <- pbkrtest::vcovAdj(fit)
    df <- vapply(seq_along(fixef(fit)), function(j) {
      pbkrtest::Lb_ddf(as.numeric(seq_along(fixef(fit)) == j), vcov(fit), adjusted)
    }, 0)
    c(sqrt(diag(as.matrix(adjusted))), df)
  },
  # signames = FALSE only names the rows; both give standard deviations first, row by row.
  "profile" = function(fit) as.numeric(t(confint(profile(fit, signames = FALSE)))),
  "bootstrap interval" = function(fit) {
    confint(fit, method = "boot", nsim = 1000, seed = 1)
    numeric(0)
  }
)
# Code is loaded before memory is measured.
small <- data.frame(y = c(1, 2, 4, 3, 5, 7, 2, 9), g = gl(4, 2))
quietly(if (generalized) {
  glmer(y > 3 ~ 1 + (1 | g), small, family = binomial, nAGQ = spec$nodes, control = control)
} else {
  lmer(y ~ 1 + (1 | g), small, control = control)
  crossed <- data.frame(i = 0:1199)
  crossed <- within(crossed, {
    g <- i %% 120
    h <- (7 * i + i %/% 120) %% 110
    x <- sin(i)
    y <- cos(3 * i) + sin(g) + x * cos(g) + sin(2 * h) + x * cos(2 * h)
    h <- factor(h)
    g <- factor(g)
  })
  lmer(y ~ x + (x | g) + (x | h), crossed, control = control)
  rm(crossed)
})

out <- list(version = as.character(packageVersion("lme4")), R = as.character(getRversion()),
            blas = unname(extSoftVersion()["BLAS"]))
result <- NULL
before <- NULL
measure <- function(work) {
  invisible(gc())
  cat("5", file = "/proc/self/clear_refs")
  before <<- kilobytes("VmRSS")
  first <- system.time(result <<- work())[["elapsed"]]
  out$memory <<- max(0, kilobytes("VmHWM") - before) / 1024
  first
}

if (spec$kind == "evaluation") {
  # The whole fit would take hours: the criterion is evaluated at mixeff's optimum and around it.
  out$set_up <- measure(function() fit_once(devFunOnly = TRUE))
  theta <- as.numeric(spec$theta)
  value <- result(theta)
  seconds <- c()
  for (step in seq_len(spec$limits[1] + 1)) {
    seconds <- c(seconds, system.time(result(theta * (1 + 0.01 * step)))[["elapsed"]])
    if (sum(seconds) > spec$limits[2]) break
  }
  out$seconds <- seconds
  out$memory <- (kilobytes("VmHWM") - before) / 1024
  out$loglik <- -value / 2
  out$nobs <- meta$rows
} else {
  first <- measure(fit_once)
  fit <- result
  out$seconds <- if (first > 10 || spec$once) first else timed(fit_once)
  if (first > 10 && first < spec$limits[2] && !spec$once) {
    out$seconds <- c(first, system.time(fit_once())[["elapsed"]])
  }
  if (spec$kind == "inference") {
    work <- inference_work[[spec$work]]
    answers <- NULL
    first <- measure(function() answers <<- quietly(work(fit)))
    out$seconds <- if (first > 10 || spec$once) first else timed(function() quietly(work(fit)))
    if (length(answers) > 0) out$answers <- as.numeric(answers)
    out$loglik <- as.numeric(logLik(if (spec$work == "profile") quietly(refitML(fit)) else fit))
  } else if (spec$kind == "bootstrap" || spec$kind == "refit") {
    count <- ncol(responses)
    again <- function() lapply(seq_len(count), function(j) quietly(refit(fit, responses[, j], control = control)))
    measure(again)
    spec$limits[1] <- min(spec$limits[1], 3)
    out$seconds <- timed(again) / count
    # Not from refit(): the REML log-likelihood it reports after a new response is not that of the
    # model (lme4 1.1-31; the same response given to lmer() has another one, by whole units).
    named <- all.vars(formula)[1]
    out$logliks <- vapply(seq_len(min(count, 20)), function(j) {
      data[[named]] <- responses[, j]
      as.numeric(logLik(quietly(lmer(formula, data, control = control))))
    }, 0)
    out$loglik <- out$logliks[1]
    out$replicates <- count
  } else {
    out$loglik <- as.numeric(logLik(fit))
  }
  out$evaluations <- fit@optinfo$feval
  out$singular <- isSingular(fit)
  out$nobs <- nobs(fit)
}
for (name in intersect(c("seconds", "logliks", "answers"), names(out))) out[[name]] <- I(out[[name]])
cat("\n", toJSON(out, digits = I(17), auto_unbox = TRUE), "\n", sep = "")
