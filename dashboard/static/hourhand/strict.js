"use strict";
// htmx would add a style element and evaluate attributes, which the pages' Content-Security-Policy forbids; neither is used.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
