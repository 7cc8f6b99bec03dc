"""Models of a few labels that predictors and searches share."""
